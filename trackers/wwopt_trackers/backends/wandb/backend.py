"""A project of Weights & Biases as a backend: each trial is one run, complete or made again."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wwopt.tracking import step_folder
from wwopt_trackers.backends.keys import WANDB
from wwopt_trackers.backends.wandb.offline_file import read_records, read_rows
from wwopt_trackers.journal.choice_tags import without_choice
from wwopt_trackers.journal.payload import SPECTRA
from wwopt_trackers.journal.records import STUDY

if TYPE_CHECKING:
    import wandb

    from wwopt.analysis import Analysis
    from wwopt_trackers.backends.protocol import Point
    from wwopt_trackers.journal.records import Delivery, Entry, Run

__all__ = ["ANALYSIS", "STEP", "WandbBackend", "WandbRun", "summary_key"]

STEP = "ww/step"
ANALYSIS = "ww-analysis"  # type of the artifact with the spectra of a step
FILE_TIMEOUT = 60.0  # seconds in which a finished offline run must be complete on disk
BINS = 64
COLUMNS = ("name", "layer_type", "status", "N", "M", "alpha", "D", "stable_rank", "num_traps")


class WandbBackend:
    """A project of Weights & Biases, or its files on this disk.

    Parameters
    ----------
    about : mapping
        What the journal says of its tracker.
    """

    def __init__(self, about: Mapping[str, Any]) -> None:
        self._about = about

    def check(self) -> None:
        """W&B's own service holds what its server does not take."""

    def open(self, run: Run, parent: str | None, delivery: Delivery | None) -> WandbRun:  # noqa: ARG002
        """Make a run from its start; what an earlier attempt left is removed, since it would be duplicated."""
        if delivery and delivery.remote:
            _remove_others(self._about, run.id)
        return WandbRun(self._about, run)

    def points(self, remote: str, names: Sequence[str]) -> Iterator[Point]:
        """Read back what lies on this disk of a run under these names.

        Raises
        ------
        NotImplementedError
            The run is at W&B's server.
        """
        if self._about["mode"] != "offline":
            raise NotImplementedError("What is at W&B's server cannot be compared; `wandb sync` says what it lacks.")
        keys = {WANDB.encode(name): name for name in names}
        for file in (folder / f"run-{remote}.wandb" for folder in _folders(self._about, remote)):
            for row in read_rows(file) if file.exists() else ():
                for key in row.keys() & keys.keys():
                    yield keys[key], row[STEP], round(1000 * row["_timestamp"]), float(row[key])

    def reset(self) -> None:
        """Start W&B's service again: once it has died, every call to it fails, this one too."""
        import wandb  # noqa: PLC0415

        with suppress(Exception):
            wandb.teardown()


class WandbRun:
    """A run of Weights & Biases, opened when there is something to log."""

    fresh = True

    def __init__(self, about: Mapping[str, Any], run: Run) -> None:
        self._about, self._run, self.name = about, run, run.id
        self._opened: wandb.Run | None = None
        self._table: wandb.Table | None = None
        self._rows = 0

    def log_metrics(self, entries: Sequence[Entry]) -> None:
        """Log a row for each step."""
        for entry in entries:
            self._log(entry, WANDB.encode_all(entry.metrics))

    def log_artifacts(self, folder: Path, entry: Entry) -> None:
        """Log the spectra as an artifact, the layers as rows of a table, and the eigenvalues as a histogram."""
        import wandb  # noqa: PLC0415  (takes seconds)

        from wwopt.analysis import Analysis  # noqa: PLC0415  (loads pandas)

        analysis = Analysis.load(folder / SPECTRA)
        if self._table is None:
            self._table = wandb.Table(columns=["step", *COLUMNS], log_mode="INCREMENTAL")
        for row in analysis.details[list(COLUMNS)].itertuples(index=False):
            self._table.add_data(entry.step, *row)
        artifact = wandb.Artifact(f"ww-{self._run.id}", type=ANALYSIS, metadata={"step": entry.step})
        artifact.add_dir(str(self._keep(folder, entry)), policy="immutable")
        self._log(entry, {"ww/layers": self._table} | _histograms(analysis))
        self._open().log_artifact(artifact)

    def _keep(self, folder: Path, entry: Entry) -> Path:
        """Copy files into the run's folder, where W&B takes them from; its own copies would fill the user's home."""
        kept = Path(self._open().settings.sync_dir, "ww", step_folder(entry.step))
        return Path(shutil.copytree(folder, kept, dirs_exist_ok=True))

    def log_choice(self, tags: Mapping[str, str]) -> None:
        """Put the choice into the summary of the study's run, which is made for it."""
        self._open().summary.update({summary_key(key): value or None for key, value in tags.items()})

    def upload_figures(self, figures: Sequence[Path]) -> None:
        """Log the figures of a run."""
        import wandb  # noqa: PLC0415  (takes seconds)

        if figures:
            self._open().log({f"ww/pictures/{file.stem}": wandb.Image(str(file)) for file in figures})
            self._rows += 1

    def close(self, run: Run, last: Sequence[Entry]) -> None:  # noqa: ARG002  (W&B itself keeps what came last)
        """End the run and read it back; a study of which only the trials logged anything has none."""
        if run.parent is None and self._opened is None:
            return
        opened = self._open()
        opened.summary.update({"ww/state": run.state, "ww/reason": run.reason})
        opened.finish(exit_code=1 if run.state == "failed" else 0)
        if self._about["mode"] == "offline":
            self._wait_for_file(Path(opened.settings.sync_file))
            _remove_others(self._about, run.id, keep=Path(opened.settings.sync_dir))

    def _log(self, entry: Entry, row: Mapping[str, object]) -> None:
        self._open().log({**row, STEP: entry.step, "_timestamp": entry.time / 1000})
        self._rows += 1

    def _open(self) -> wandb.Run:
        if self._opened is None:
            import wandb  # noqa: PLC0415  (takes seconds)

            about, run = self._about, self._run
            self._opened = wandb.init(
                project=about["project"],
                group=about["group"] or run.tags.get("study") or run.tags.get(STUDY) or about["name"],
                job_type="trial" if run.parent else "study",
                id=run.id,
                name=run.name,
                config={**run.params, "wwopt": {**without_choice(run.tags), **about["provenance"]}},
                mode=about["mode"],
                dir=about["dir"],
                reinit="create_new",
                settings=wandb.Settings(console="off", silent=True, x_disable_stats=True, x_save_requirements=False),
            )
            self._opened.define_metric(STEP)
            self._opened.define_metric("*", step_metric=STEP)
        return self._opened

    def _wait_for_file(self, file: Path) -> None:
        """W&B says nothing of rows that a full disk refused: count them."""
        end = time.monotonic() + FILE_TIMEOUT
        while not _complete(file, self._rows):
            if time.monotonic() > end:
                raise OSError(f"{file} lacks rows: the disk may be full")
            time.sleep(0.05)


def summary_key(tag: str) -> str:
    """Name in a summary: `ww/chosen_reason` of the tag `wwopt.chosen.reason`, since W&B nests at dots."""
    return "ww/" + tag.removeprefix("wwopt.").replace(".", "_")


def _folders(about: Mapping[str, Any], run: str) -> list[Path]:
    return list(Path(about["dir"], "wandb").glob(f"*run-*-{run}"))


def _remove_others(about: Mapping[str, Any], run: str, keep: Path | None = None) -> None:
    """Remove what earlier attempts at a run left, which `wandb sync` would deliver too."""
    for folder in _folders(about, run):
        if keep is None or not folder.samefile(keep):
            shutil.rmtree(folder, ignore_errors=True)


def _histograms(analysis: Analysis) -> dict[str, object]:
    """Eigenvalues of all layers, each over its layer's mean, with edges that grow by a factor."""
    import wandb  # noqa: PLC0415  (takes seconds)

    means = [evals / evals.mean() for evals in analysis.spectra.values() if np.isfinite(evals).all() and evals.any()]
    values = np.concatenate([np.empty(0), *means])
    values = values[values > 0]
    if not len(values) or values.min() == values.max():
        return {}
    counts = np.histogram(values, bins=np.geomspace(values.min(), values.max(), BINS + 1))
    return {"ww/eigenvalues": wandb.Histogram(np_histogram=counts)}


def _complete(file: Path, rows: int) -> bool:
    kinds = [record.WhichOneof("record_type") for record in read_records(file)]
    return "exit" in kinds and kinds.count("history") == rows

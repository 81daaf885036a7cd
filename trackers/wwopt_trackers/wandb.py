"""Weights & Biases: a study is a group, each of its trials a run."""

from __future__ import annotations

import netrc
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from wwopt_trackers.keys import WANDB
from wwopt_trackers.tracker import STUDY, JournalTracker
from wwopt_trackers.wandb_file import read_records, read_rows

if TYPE_CHECKING:
    import wandb

    from wwopt_trackers.destination import Point
    from wwopt_trackers.records import Delivery, Entry, Run

__all__ = ["WandbDestination", "WandbTracker"]

STEP = "ww/step"
FLUSH = 30.0  # seconds in which a finished offline run must be complete on disk


class WandbTracker(JournalTracker):
    """Log to Weights & Biases: the study as a group, each trial a run with its true final state.

    Parameters
    ----------
    project : str
        Name of the project.
    group : str, optional
        Group of the runs. None: the study's name.
    mode : {"online", "offline"}, optional
        None: ``WANDB_MODE``, else online where a key is set and offline where none is.
    dir : path, optional
        Where W&B keeps its files. None: ``WANDB_DIR``, else the working directory.
    run_name : str, optional
        Name of the run for what is logged directly.
    journal : path
        Folder for the journals, on a local disk.

    Raises
    ------
    ImportError
        wandb is not installed.

    Examples
    --------
    >>> with WandbTracker(project="digits") as tracker:  # doctest: +SKIP
    ...     tracker.log(wwopt.analyze(model), step=epoch)
    """

    def __init__(
        self,
        project: str,
        *,
        group: str | None = None,
        mode: Literal["online", "offline"] | None = None,
        dir: str | os.PathLike[str] | None = None,  # noqa: A002  (W&B's name)
        run_name: str | None = None,
        journal: str | os.PathLike[str] = "wwopt-journal",
    ) -> None:
        if find_spec("wandb") is None:
            raise ImportError("Weights & Biases is not installed. Run `pip install 'wwopt[wandb]'`.")
        if mode not in (None, "online", "offline"):
            raise ValueError(f"`mode` must be 'online' or 'offline', got {mode!r}.")
        super().__init__(journal, run_name, delivers=True)
        self._project, self._group = project, group
        self._mode = mode or _default_mode()
        self._dir = str(Path(dir or os.environ.get("WANDB_DIR", ".")).absolute())

    @property
    def about(self) -> dict[str, Any]:
        """Kind and arguments of the tracker, as the journal keeps them."""
        return {
            "kind": "wandb",
            "name": self._run_name or self._group or self._project,
            "project": self._project,
            "group": self._group,
            "mode": self._mode,
            "dir": self._dir,
        }


class WandbDestination:
    """A project of Weights & Biases, or its files on this disk."""

    def __init__(self, about: Mapping[str, Any]) -> None:
        self._about = about

    def check(self) -> None:
        """W&B's own service holds what its server does not take."""

    def open(self, run: Run, parent: str | None, delivery: Delivery | None) -> WandbRun:
        """Make a run from its start; what is left of an earlier attempt is removed, since it would be doubled."""
        if delivery and delivery.remote and self._about["mode"] == "offline":
            for left in self._files(run.id):
                shutil.rmtree(left, ignore_errors=True)
        return WandbRun(self._about, run, parent)

    def points(self, remote: str, names: Sequence[str]) -> Iterator[Point]:
        """Read back what lies on this disk of a run under these names."""
        keys = {WANDB.encode(name): name for name in names}
        for file in self._files(remote):
            for row in read_rows(file / f"run-{remote}.wandb"):
                for key in row.keys() & keys.keys():
                    yield keys[key], row[STEP], round(1000 * row["_timestamp"]), row[key]

    def forget(self) -> None:
        """Start W&B's service again: once it has died, every call to it fails."""
        import wandb  # noqa: PLC0415

        wandb.teardown()

    def _files(self, remote: str) -> list[Path]:
        return list(Path(self._about["dir"], "wandb").glob(f"offline-run-*-{remote}"))


class WandbRun:
    """A run of Weights & Biases, opened when there is something to log."""

    fresh = True

    def __init__(self, about: Mapping[str, Any], run: Run, group: str | None) -> None:
        self._about, self._run = about, run
        self.name = str(about["group"] or run.tags.get(STUDY) or run.name) if run.parent is None else run.id
        self._group = group if run.parent else self.name
        self._opened: wandb.Run | None = None
        self._rows = 0

    def send(self, entries: Sequence[Entry]) -> None:
        """Log a row for each step."""
        for entry in entries:
            row = WANDB.encode_all(entry.metrics) | {STEP: entry.step, "_timestamp": entry.time / 1000}
            self._open().log(row)
            self._rows += 1

    def attach(self, folder: Path, step: int) -> None:
        """Log the files of a step as an artifact."""
        import wandb  # noqa: PLC0415

        artifact = wandb.Artifact(f"ww-{self._run.id}", type="ww-analysis", metadata={"step": step})
        for file in sorted(folder.iterdir()):
            artifact.add_file(str(file), f"step-{step:06d}/{file.name}")
        self._open().log_artifact(artifact)

    def close(self, run: Run) -> None:
        """End the run and read it back; a study of which only the trials logged anything has none."""
        if run.parent is None and self._opened is None:
            return
        opened = self._open()
        opened.summary.update({"ww/state": run.state, "ww/reason": run.reason})
        opened.finish(exit_code=1 if run.state == "failed" else 0)
        if self._about["mode"] == "offline":
            self._wait_for_file(Path(opened.settings.sync_file))

    def _open(self) -> wandb.Run:
        if self._opened is None:
            import wandb  # noqa: PLC0415  (takes seconds)

            self._opened = wandb.init(
                project=self._about["project"],
                group=self._group,
                job_type="trial" if self._run.parent else "study",
                id=self._run.id,
                name=self._run.name,
                config={**self._run.params, "wwopt": dict(self._run.tags)},
                mode=self._about["mode"],
                dir=self._about["dir"],
                reinit="create_new",
                settings=wandb.Settings(console="off", silent=True, x_disable_stats=True, x_save_requirements=False),
            )
            self._opened.define_metric(STEP)
            self._opened.define_metric("*", step_metric=STEP)
        return self._opened

    def _wait_for_file(self, file: Path) -> None:
        """W&B says nothing of rows that a full disk refused: count them."""
        end = time.monotonic() + FLUSH
        while not _complete(file, self._rows):
            if time.monotonic() > end:
                raise OSError(f"{file} lacks rows: the disk may be full")
            time.sleep(0.05)


def _complete(file: Path, rows: int) -> bool:
    kinds = [record.WhichOneof("record_type") for record in read_records(file)]
    return "exit" in kinds and kinds.count("history") == rows


def _default_mode() -> str:
    """Offline where no key is set, so that nothing waits for somebody to type one."""
    mode = os.environ.get("WANDB_MODE")
    return mode if mode in ("online", "offline") else "online" if _key_is_set() else "offline"


def _key_is_set() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False

"""Runs of Weights & Biases, read back with their spectra: from offline files, or from a server."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wwopt.tracking import step_folder
from wwopt_trackers.backends.keys import WANDB
from wwopt_trackers.backends.logged_run import LoggedRun, read_analysis
from wwopt_trackers.backends.wandb.backend import ANALYSIS, STEP, summary_key
from wwopt_trackers.backends.wandb.offline_file import read_records, read_row
from wwopt_trackers.journal.choice_tags import TAGS, choice_in
from wwopt_trackers.journal.payload import SPECTRA

if TYPE_CHECKING:
    from wwopt.analysis import Analysis

__all__ = ["wandb_runs"]

STATES = {"finished": "complete", "failed": "failed", "crashed": "failed", "killed": "failed"}


def wandb_runs(path: str | os.PathLike[str]) -> Iterator[LoggedRun]:
    """Read the runs of a folder with offline runs, of one of its ``.wandb`` files, or of ``entity/project``.

    Raises
    ------
    FileNotFoundError
        There is neither.
    """
    if Path(path).exists():
        files = [Path(path)] if Path(path).is_file() else sorted(Path(path).rglob("run-*.wandb"))
        return (_from_file(file) for file in files)
    if os.fspath(path).count("/") != 1:
        raise FileNotFoundError(f"There is no folder {path}, and a project at W&B is called `entity/project`.")
    return _from_server(os.fspath(path))


def _from_file(file: Path) -> LoggedRun:
    run: Any = None
    metrics, summary, artifacts, ended = dict[str, float](), dict[str, Any](), dict[int, Any](), False
    for record in read_records(file):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
        elif kind == "history":
            metrics |= _numbers(read_row(record.history.item))
        elif kind == "summary":
            summary |= read_row(record.summary.update)
        elif kind == "artifact" and record.artifact.type == ANALYSIS:
            artifacts[int(json.loads(record.artifact.metadata)["step"])] = record.artifact
        ended = ended or kind == "exit"
    step = max(artifacts, default=None)
    config = {} if run is None else read_row(run.config.update)
    return LoggedRun(
        name=file.stem.removeprefix("run-") if run is None else run.display_name or run.run_id,
        id=file.stem.removeprefix("run-"),
        study="" if run is None else run.run_group,
        state=str(summary.get("ww/state") or ("complete" if ended else "running")),
        step=step,
        params={key: value for key, value in config.items() if key not in ("_wandb", "wwopt")},
        metrics=metrics,
        read=lambda: read_analysis(_locate(file, artifacts[step or 0], step or 0)),
        choice=_choice(summary),
    )


def _locate(file: Path, artifact: Any, step: int) -> Path:
    """File of an artifact's spectra: the one that W&B names, or that in the run's folder where this was moved."""
    (said,) = (Path(entry.local_path) for entry in artifact.manifest.contents if entry.path == SPECTRA)
    return said if said.exists() else file.parent / "ww" / step_folder(step) / SPECTRA


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    return {
        WANDB.decode(key): float(value)
        for key, value in row.items()
        if isinstance(value, (int, float)) and "." not in key and not key.startswith("_") and key != STEP
    }


def _choice(summary: Mapping[str, Any]) -> dict[str, str]:
    return choice_in({tag: str(summary.get(summary_key(tag))) for tag in TAGS if summary.get(summary_key(tag))})


def _from_server(path: str) -> Iterator[LoggedRun]:
    """Ask W&B's server; not tested here, since that needs one."""
    import wandb  # noqa: PLC0415  (takes seconds)

    return map(_from_api, wandb.Api().runs(path, order="+created_at"))


def _from_api(run: Any) -> LoggedRun:
    artifacts = {int(each.metadata["step"]): each for each in run.logged_artifacts() if each.type == ANALYSIS}
    step = max(artifacts, default=None)
    return LoggedRun(
        name=run.name,
        id=run.id,
        study=run.group or "",
        state=str(run.summary.get("ww/state") or STATES.get(run.state, "running")),
        step=step,
        params={key: value for key, value in run.config.items() if key != "wwopt"},
        metrics=_numbers(run.summary),
        read=lambda: _download(artifacts[step or 0]),
        choice=_choice(run.summary),
    )


def _download(artifact: Any) -> Analysis:
    with tempfile.TemporaryDirectory() as scratch:
        return read_analysis(Path(artifact.download(scratch), SPECTRA))

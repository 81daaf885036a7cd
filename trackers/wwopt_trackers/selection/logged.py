"""Runs that were logged, read back with their spectra: from journals, from MLflow, from W&B."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wwopt_trackers.journal.journal import Journal, find_journals
from wwopt_trackers.journal.payload import SPECTRA
from wwopt_trackers.recording.tracker import STUDY

if TYPE_CHECKING:
    from wwopt.analysis import Analysis
    from wwopt_trackers.journal.records import Run

__all__ = ["LoggedRun", "journal_runs", "logged_runs"]


@dataclass(frozen=True)
class LoggedRun:
    """A run as it was logged.

    Attributes
    ----------
    name : str
        Of the run, such as "trial-3".
    id : str
        The backend's.
    study : str
        Name of the study that it belongs to; empty where it has none.
    state : str
        "complete", "pruned", "failed" or "running".
    step : int or None
        Of the spectra; None where none were logged.
    params : mapping
        What the run was made with.
    metrics : mapping of str to float
        What was logged last under each name.
    read : callable
        Reads the analysis of ``step``; raises `ValueError` or `OSError` where it cannot be read.
    """

    name: str
    id: str
    study: str
    state: str
    step: int | None
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    read: Callable[[], Analysis] = field(repr=False)


def logged_runs(
    *,
    journal: str | os.PathLike[str] | None = None,
    mlflow: str | None = None,
    wandb: str | os.PathLike[str] | None = None,
    uri: str | None = None,
) -> Iterator[LoggedRun]:
    """Read the runs of one place; see `wwopt_trackers.select`."""
    given = {"journal": journal, "mlflow": mlflow, "wandb": wandb}
    if sum(value is not None for value in given.values()) != 1:
        known = [name for name, value in given.items() if value is not None]
        raise ValueError(f"Give one of `journal`, `mlflow` and `wandb`, got {' and '.join(known) or 'none'}.")
    if uri is not None and mlflow is None:
        raise ValueError("`uri` is MLflow's: give it with `mlflow`.")
    if mlflow is not None:
        from wwopt_trackers.backends.mlflow.runs import mlflow_runs  # noqa: PLC0415  (each backend only where it is used)

        return mlflow_runs(mlflow, uri)
    if wandb is not None:
        from wwopt_trackers.backends.wandb.runs import wandb_runs  # noqa: PLC0415

        return wandb_runs(wandb)
    return journal_runs(journal or "wwopt-journal")


def journal_runs(path: str | os.PathLike[str]) -> Iterator[LoggedRun]:
    """Read the runs of a folder of journals, or of one.

    Raises
    ------
    FileNotFoundError, ValueError
        There is nothing at the path; a file is no journal.
    """
    for file in find_journals(path):
        journal = Journal(file)
        try:
            runs = journal.runs()
            parents = {run.parent for run in runs}
            logged = [_from_journal(journal, run) for run in runs]
            yield from [run for run in logged if run.id not in parents or run.step is not None]
        finally:
            journal.close()


def _from_journal(journal: Journal, run: Run) -> LoggedRun:
    written = [artifact for artifact in journal.artifacts(run.id) if artifact.folder]
    last = max(written, key=lambda artifact: (artifact.step, artifact.id), default=None)
    entries = journal.entries(run.id)
    folder = journal.path.parent / (last.folder if last else "")
    return LoggedRun(
        name=run.name,
        id=run.id,
        study=str(run.tags.get("study") or run.tags.get(STUDY) or ""),
        state=run.state or "running",
        step=last.step if last else None,
        params=run.params,
        metrics={key: value for entry in entries for key, value in entry.metrics.items()},
        read=lambda: read_analysis(folder / SPECTRA),
    )


def read_analysis(file: Path) -> Analysis:
    """Read a saved analysis; `FileNotFoundError` and `ValueError` say what is wrong with it."""
    from wwopt.analysis import Analysis  # noqa: PLC0415  (loads pandas)

    return Analysis.load(file)

"""Logged runs, read back from journals, from MLflow or from W&B."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from wwopt_trackers.backends.logged_run import LoggedRun, read_analysis
from wwopt_trackers.journal.choice_tags import choice_in
from wwopt_trackers.journal.journal import Journal, find_journals
from wwopt_trackers.journal.payload import SPECTRA
from wwopt_trackers.journal.records import STUDY

if TYPE_CHECKING:
    from wwopt_trackers.journal.records import Run

__all__ = ["journal_runs", "logged_runs"]


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
        from wwopt_trackers.backends.mlflow.logged_runs import mlflow_runs  # noqa: PLC0415  (each backend only where it is used)

        return mlflow_runs(mlflow, uri)
    if wandb is not None:
        from wwopt_trackers.backends.wandb.logged_runs import wandb_runs  # noqa: PLC0415

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
            yield from [run for run in logged if run.id not in parents or run.step is not None or run.choice]
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
        choice=choice_in(run.tags),
    )

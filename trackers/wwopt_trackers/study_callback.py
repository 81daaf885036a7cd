"""`StudyCallback`: track a study whose objective is the user's own, through Optuna's callbacks."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType

    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

    from wwopt.analysis import Analysis
    from wwopt.tracking import State, Tracker

__all__ = ["StudyCallback"]

STATES: dict[str, State] = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
REPORTED = "reported"
TrialKey = tuple[str, int]  # name of the study, number of the trial


class StudyCallback:
    """Give each trial of a study a run, whatever its objective returns.

    The objective may `log` its network when it likes; the callback adds the trial's value, what it reported to the
    pruner (``reported``), and its true final state. A trial that logs nothing has a run too.

    Parameters
    ----------
    *trackers : Tracker
        Each gets a child run for each trial.
    analyze_options : mapping, optional
        Further arguments of `wwopt.analyze`, for models that are handed to `log`.

    Raises
    ------
    ValueError
        There is no tracker.
    TypeError
        `wwopt.analyze` has no such option.

    Notes
    -----
    Suggest a trial's parameters before the first `log`: a run has those that are known then. Optuna calls no callback
    for a trial that ends by an uncaught exception; it is ended as failed with the next trial, or with the block.

    Examples
    --------
    >>> import optuna, tempfile, torch
    >>> from wwopt_trackers import LocalTracker, StudyCallback
    >>> callback = StudyCallback(LocalTracker(tempfile.mkdtemp()))
    >>> def objective(trial):
    ...     model = torch.nn.Linear(trial.suggest_int("width", 60, 90), 60)
    ...     return callback.log(trial, model).summary["stable_rank"]
    >>> study = optuna.create_study()
    >>> with callback:
    ...     study.optimize(objective, n_trials=2, callbacks=[callback])
    """

    def __init__(self, *trackers: Tracker, analyze_options: Mapping[str, Any] | None = None) -> None:
        if not trackers:
            raise ValueError("`trackers` must be one or more, got none.")
        if analyze_options:
            from wwopt.engine.check_options import check_options  # noqa: PLC0415  (loads the engine)

            check_options(analyze_options)
        self._trackers = trackers
        self._options: dict[str, Any] = {"progress": False, **(analyze_options or {})}
        self._guard = threading.Lock()
        self._runs: dict[TrialKey, list[Tracker]] = {}
        self._unended: dict[TrialKey, Study] = {}
        self._block = ExitStack()

    def log(
        self, trial: Trial, model: object, *, step: int = 0, metrics: Mapping[str, float] | None = None
    ) -> Analysis:
        """Analyse a trial's network, and log it.

        Parameters
        ----------
        trial : optuna.Trial
            The trial that is running.
        model : Analysis, or whatever `wwopt.analyze` reads
            The network as it is now.
        step : int
            Step of the training.
        metrics : mapping of str to float, optional
            More numbers, under their own names.

        Returns
        -------
        Analysis
            What was measured, for a score or for constraints.
        """
        from wwopt.analysis import Analysis  # noqa: PLC0415  (loads pandas)
        from wwopt.engine.analyze import analyze  # noqa: PLC0415  (loads the engine)

        analysis = model if isinstance(model, Analysis) else analyze(model, **self._options)
        for run in self._runs_of(trial.study, trial):
            run.log(analysis, step=step, metrics=metrics)
        return analysis

    def __call__(self, study: Study, trial: FrozenTrial) -> None:
        """End the run of a trial, as Optuna asks once the trial has ended."""
        self._runs_of(study, trial)  # a trial that logged nothing has a run too
        self._end(study, trial)
        self._end_others()

    def __enter__(self) -> Self:
        for tracker in self._trackers:
            self._block.enter_context(tracker)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_others()
        with self._guard:
            self._runs.clear()
            self._unended.clear()
        self._block.__exit__(kind, error, trace)

    def _runs_of(self, study: Study, trial: Trial | FrozenTrial) -> list[Tracker]:
        """Runs of a trial, one of each tracker; opened once, and remembered when the trial has ended."""
        with self._guard:
            key = study.study_name, trial.number
            if key not in self._runs:
                tags = {"study": study.study_name, "trial": str(trial.number)}
                name = f"trial-{trial.number}"
                self._runs[key] = [tracker.child(name, params=trial.params, tags=tags) for tracker in self._trackers]
                self._unended[key] = study
            return self._runs[key]

    def _end(self, study: Study, trial: FrozenTrial) -> None:
        """Log a trial's values, and end its runs, unless another thread has done so."""
        key = study.study_name, trial.number
        with self._guard:
            if self._unended.pop(key, None) is None:
                return
        values = _values(study, trial)
        for run in self._runs[key]:
            for step, value in trial.intermediate_values.items():
                run.log(None, step=step, metrics={REPORTED: value})
            if values:
                run.log(None, step=max(trial.intermediate_values, default=0), metrics=values)
            run.finish(STATES[trial.state.name], reason=_reason(trial))

    def _end_others(self) -> None:
        """End the runs of trials that ended by an error: Optuna calls no callback for them."""
        with self._guard:
            unended = list(self._unended.items())
        for (_, number), study in unended:
            trial = study.get_trials(deepcopy=False)[number]
            if trial.state.is_finished():
                self._end(study, trial)


def _values(study: Study, trial: FrozenTrial) -> dict[str, float]:
    values = trial.values or []
    default = ["value"] if len(values) == 1 else [f"value_{index}" for index in range(len(values))]
    return dict(zip(study.metric_names or default, values, strict=True))


def _reason(trial: FrozenTrial) -> str:
    """Why a trial did not complete, as far as the study knows."""
    if trial.state.name == "PRUNED":
        return str(trial.user_attrs.get("ww_pruned_by") or f"pruned at step {trial.last_step}")
    return "the objective raised an error" if trial.state.name == "FAIL" else ""

"""`TrainingCallback`: what the callbacks of all training frameworks share."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Literal, SupportsFloat

import optuna

from wwopt.engine.check_options import check_options
from wwopt.score import AlphaScore
from wwopt_objectives.training.distributed import from_rank_zero
from wwopt_objectives.training.monitor import AlphaMonitor
from wwopt_objectives.training.schedule import EveryNSteps
from wwopt_objectives.trial.asker import Asker
from wwopt_objectives.trial.recorder import KEEP_N, TrialRecorder

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch
    from optuna.artifacts._protocol import ArtifactStore

    from wwopt.consensus.answers import AnswerKind
    from wwopt.score import Score
    from wwopt.tracking import Tracker
    from wwopt_objectives.training.reports import MonitorReport

__all__ = ["TrainingCallback"]


class TrainingCallback:
    """Evaluate a network at the end of epochs, and say when to stop; every rank calls, rank 0 evaluates.

    A framework's callback inherits from it and calls `start` before the first epoch, `end_epoch` after each, and
    `fail` where the training raises.

    Parameters
    ----------
    every : int
        Epochs between two evaluations; the last epoch is always evaluated.
    stop : bool
        Stop a training whose network has collapsed, diverged or is not finite.
    freeze : bool
        Freeze layers once they have converged; see `AlphaMonitor`.
    trial : optuna.Trial, optional
        Reported to, and pruned by its study's pruner. Only rank 0 needs one.
    score : Score, optional
        None for `AlphaScore`.
    trackers : iterable of Tracker
        Each gets a child run; with a trial.
    inputs : object, optional
        Unlabelled inputs that the network is asked at its end; with a trial, on rank 0. See `AlphaObjective`.
    kind : {"auto", "classes", "values"}
        What the network answers to them.
    with_labels : bool
        Keep the labels that come with ``inputs``, for the meter.
    keep_n : int or None
        Trials whose weights are kept, where there is an ``artifact_store``. See `AlphaObjective`.
    artifact_store : optional
        Where the trial's weights are kept for `load_best`; False: nowhere. None: ``./wwopt-artifacts``.
    **analyze_options
        Further arguments of `wwopt.analyze`.

    Raises
    ------
    TypeError
        There is no such argument.
    ValueError
        ``every`` is out of its range, or the trial's study was begun with another score or other options.
    """

    def __init__(
        self,
        *,
        every: int = 1,
        stop: bool = True,
        freeze: bool = False,
        trial: optuna.Trial | None = None,
        score: Score | None = None,
        trackers: Iterable[Tracker] = (),
        inputs: object = None,
        kind: AnswerKind = "auto",
        with_labels: bool = False,
        keep_n: int | None = KEEP_N,
        artifact_store: ArtifactStore | Literal[False] | None = False,
        **analyze_options: Any,
    ) -> None:
        super().__init__()
        if not isinstance(every, int) or every < 1:
            raise ValueError(f"`every` must be at least 1, got {every!r}.")
        own = inspect.getfullargspec(TrainingCallback).kwonlyargs
        check_options(analyze_options, of=type(self).__name__, own=own)
        self._schedule = EveryNSteps(every)
        self._stop = stop
        self._freeze = freeze
        self._score: Score = AlphaScore() if score is None else score
        self._analyze_options = analyze_options
        self._monitor: AlphaMonitor | None = None
        self._reason: str | None = None
        self._recorder: TrialRecorder | None = None
        if trial is not None:
            self._recorder = TrialRecorder(
                trial,
                score=self._score,
                trackers=trackers,
                asker=None if inputs is None else Asker(inputs, kind=kind, with_labels=with_labels),
                keep_n=keep_n,
                artifact_store=artifact_store,
                keep="last",
                analyze_options=analyze_options,
            )

    @property
    def history(self) -> list[MonitorReport]:
        """Reports so far, the same on every rank."""
        return [] if self._monitor is None else self._monitor.history

    @property
    def reason(self) -> str | None:
        """Why the training was stopped, None where it was not."""
        return self._reason

    def start(self, model: torch.nn.Module, n_epochs: int | None) -> None:
        """Begin with a model; ``n_epochs`` will come, where that is known."""
        self._monitor = AlphaMonitor(model, freeze=self._freeze, score=self._score, **self._analyze_options)
        self._schedule = EveryNSteps(self._schedule.n, n_epochs)
        if self._recorder is not None:
            self._recorder.n_steps = n_epochs

    def end_epoch(self, epoch: int, loss: SupportsFloat | None = None) -> MonitorReport | None:
        """Evaluate the model where that is due; ``reason`` then says why to stop, the same on every rank."""
        if self._monitor is None:
            raise RuntimeError("`start` must be called before the first epoch ends.")
        if not self._schedule.is_due(epoch):
            return None
        monitor, train_loss = self._monitor, None if loss is None else float(loss)
        report, prune_reason = from_rank_zero(lambda: self._evaluate(monitor, epoch, train_loss))
        monitor.add(report)
        self._reason = prune_reason or (_broken_layers(report) if self._stop else None) or self._reason
        return report

    def result(self) -> float:
        """Return the score of the last evaluation, as an Optuna objective does; call it once, after the training.

        Raises
        ------
        optuna.TrialPruned
            The pruner stopped the trial, or the network was broken and the study's sampler reads pruned trials.
        RuntimeError
            Nothing was evaluated.
        """
        if not self.history:
            raise RuntimeError("Nothing was evaluated: the training ended before its first epoch did.")
        if self._recorder is None or self._recorder.last_step is None:
            return self.history[-1].score
        if self._reason is not None:
            with self._recorder:
                return self._recorder.stop(self._reason).score
        return self._recorder.complete().score

    def fail(self, error: BaseException) -> None:
        """Mark the trial of a training that failed or was pruned, where there is one, as infeasible."""
        if self._recorder is None:
            return
        if isinstance(error, optuna.TrialPruned):
            self._recorder.prune(str(error))
        else:
            self._recorder.fail(error)

    def unfreeze(self) -> None:
        """Train the frozen layers again."""
        if self._monitor is not None:
            self._monitor.unfreeze()

    def _evaluate(self, monitor: AlphaMonitor, epoch: int, loss: float | None) -> tuple[MonitorReport, str | None]:
        """Evaluate the model on this rank; with a trial, also report to Optuna and ask the pruner."""
        if self._recorder is None:
            return monitor.report(epoch), None
        evaluation = self._recorder.evaluate(monitor.model, step=epoch, loss=loss)
        return monitor.report(epoch, evaluation.analysis), self._recorder.prune_reason()


def _broken_layers(report: MonitorReport) -> str | None:
    return "; ".join(map(str, report.analysis.broken)) or None

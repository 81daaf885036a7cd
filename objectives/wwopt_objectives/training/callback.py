"""What the callbacks of training libraries share: look, tell all ranks, report to Optuna where there is a trial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import optuna

from wwopt.engine.analyze import analyze
from wwopt.score import AlphaScore
from wwopt_objectives.training.checkpoints import Checkpoint
from wwopt_objectives.training.distributed import from_rank_zero
from wwopt_objectives.training.monitor import AlphaMonitor, Reading
from wwopt_objectives.trial.recorder import Follower
from wwopt_objectives.trial.snapshots import Keeper
from wwopt_objectives.trial.study_score import claim

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch
    from optuna.artifacts._protocol import ArtifactStore

    from wwopt.score import Score
    from wwopt.tracking import Tracker

__all__ = ["Watch", "Watched"]


class Watch:
    """Watch a training from inside its loop; every rank calls, rank 0 looks.

    Parameters
    ----------
    every : int
        Epochs between two looks; the last epoch is always looked at.
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
    artifact_store : optional
        Where the trial's weights are kept for `load_best`; False: nowhere. None: ``./wwopt-artifacts``.
    **options
        Further arguments of `wwopt.analyze`.
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
        artifact_store: ArtifactStore | Literal[False] | None = False,
        **options: Any,
    ) -> None:
        if every < 1:
            raise ValueError(f"`every` must be at least 1, got {every}.")
        self._every = every
        self._stop_broken = stop
        self._freeze = freeze
        self._trial = trial
        self._score: Score = AlphaScore() if score is None else score
        self._trackers = tuple(trackers)
        self._options = options
        self._n_steps: int | None = None
        self._follower: Follower | None = None
        self._keeper = None if trial is None else Keeper(trial, artifact_store)
        self._pruned: str | None = None
        self.monitor: AlphaMonitor | None = None
        self.reason: str | None = None
        if trial is not None:
            claim(trial.study, self._score)

    @property
    def history(self) -> list[Reading]:
        """Readings so far, the same on every rank."""
        return [] if self.monitor is None else self.monitor.history

    def begin(self, model: torch.nn.Module, n_steps: int | None) -> None:
        """Start watching a model; ``n_steps`` epochs will come, where that is known."""
        self.monitor = AlphaMonitor(model, freeze=self._freeze, score=self._score, **self._options)
        self._n_steps = n_steps
        if self._trial is not None:
            self._follower = Follower(
                self._trial, score=self._score, n_steps=n_steps, trackers=self._trackers, options=self._options
            )

    def due(self, step: int) -> bool:
        """Whether a look is due after an epoch, counted from 0."""
        return (step + 1) % self._every == 0 or step + 1 == self._n_steps

    def step(self, model: torch.nn.Module, step: int, loss: float | None = None) -> Reading:
        """Look at the model; ``reason`` says afterwards why to stop, the same on every rank."""
        if self.monitor is None:
            self.begin(model, None)
        assert self.monitor is not None  # noqa: S101  (`begin` has set it)
        reading, self._pruned = from_rank_zero(lambda: self._look(Checkpoint(step, model, loss)))
        self.monitor.take(reading)
        if self._pruned is not None:
            self.reason = self._pruned
        elif self._stop_broken and reading.broken:
            self.reason = "; ".join(f"{layer.name} is {layer.verdict}" for layer in reading.layers if layer.broken)
        return reading

    def result(self) -> float:
        """Score of the last look, for Optuna; leaves the trial's record. Call it once, after the training.

        Raises
        ------
        optuna.TrialPruned
            The pruner stopped the trial, or the network was broken.
        RuntimeError
            There was no look.
        """
        if not self.history:
            raise RuntimeError("Nothing was looked at: the training ended before its first epoch did.")
        if self._follower is None or self._follower.last is None:
            return self.history[-1].score
        if self.reason is not None:
            self._follower.pruned(self.reason)
            raise optuna.TrialPruned(self.reason)
        look = self._follower.last
        self._follower.record(look)
        if self._keeper is not None:
            self._keeper.upload(look)
        self._follower.complete()
        return look.score

    def failed(self, error: BaseException) -> None:
        """Mark the trial of a training that failed, where there is one."""
        if self._follower is not None:
            self._follower.failed(error)

    def _look(self, checkpoint: Checkpoint) -> tuple[Reading, str | None]:
        assert self.monitor is not None  # noqa: S101  (`step` has set it)
        if self._follower is None or self._keeper is None:
            analysis = analyze(checkpoint.model, progress=False, **{**self._score.requires, **self._options})
            return self.monitor.read(checkpoint.step, analysis), None
        look = self._follower.look(checkpoint)
        self._keeper.snapshot(look)
        return self.monitor.read(checkpoint.step, look.analysis), self._follower.ask()


class Watched:
    """What a trainer's callback tells of its watch."""

    _watch: Watch

    @property
    def history(self) -> list[Reading]:
        """Readings so far."""
        return self._watch.history

    @property
    def reason(self) -> str | None:
        """Why the training was stopped, None where it was not."""
        return self._watch.reason

    def result(self) -> float:
        """Return what an Optuna objective returns, after the training; raises `optuna.TrialPruned` where pruned."""
        return self._watch.result()

    def unfreeze(self) -> None:
        """Train the frozen layers again."""
        if self._watch.monitor is not None:
            self._watch.monitor.unfreeze()

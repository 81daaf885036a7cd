"""`AlphaObjective`: an Optuna objective that needs training data alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal

import optuna

from wwopt.score import AlphaScore
from wwopt_objectives.training.checkpoints import Checkpoint, checkpoints, is_power_of_two, looks
from wwopt_objectives.training.quick_check import seems_broken
from wwopt_objectives.trial.recorder import Follower
from wwopt_objectives.trial.snapshots import Keeper
from wwopt_objectives.trial.study_score import claim

if TYPE_CHECKING:
    from optuna.artifacts._protocol import ArtifactStore

    from wwopt.score import Score
    from wwopt.tracking import Tracker
    from wwopt_objectives.trial.recorder import Look

__all__ = ["AlphaObjective"]

SPEAKS = 0.4  # share of a training before which a low score says little


class AlphaObjective:
    """Score what `train` makes of a trial's hyper-parameters, by its weights.

    Parameters
    ----------
    train : callable
        ``train(trial)`` returns a model, or a pair ``(model, train_loss)``, or yields one after each epoch;
        then the objective reports to Optuna and prunes. A model is a `torch.nn.Module`, a state dict or a path.
    score : Score, optional
        What to minimise; None for `AlphaScore`.
    every : int or "auto"
        Steps between two looks at the weights; the last step is always looked at. "auto": two to eight looks in equal
        distances, so many that they take some 4% of a training that sees a thousand examples a step; where ``n_steps``
        is not known, after 1, 2, 4, 8, ... steps. Before the first look a glance, without decompositions, finds what
        collapsed or diverged at once.
    n_steps : int, optional
        Number of models that `train` yields; `AlphaPruner` needs it to know how far a training has come.
    trackers : iterable of Tracker
        Each gets a child run for each trial.
    with_loss : bool
        Return the pair (score, training loss) for a study with two directions, both ``"minimize"``; then `select`
        chooses one trial at the end. Optuna takes no reports there, so only `AlphaPruner` prunes.
    artifact_store : optional
        Where the weights of the best trials are kept for `load_best`. None: the folder ``./wwopt-artifacts``;
        False: nowhere.
    keep : {"best", "last"}
        Which look at a training is its result: its score is the trial's value, its weights are the ones kept, its
        loss and constraints count. "best": the one with the lowest score among those after the first 40% of
        ``n_steps`` (among all, where that is not known); "last": the one at the end.
    analyze_options : mapping, optional
        Further arguments of `wwopt.analyze`, such as ``min_evals``.

    Notes
    -----
    On the trial it leaves the attributes ``ww_score`` (the score and its terms), ``ww_summary``, ``ww_step``
    (the step of the look that counts) and, where pruned, ``ww_pruned_by``; and the constraints of
    `apply_constraints`, also when the training fails. On the study it leaves the score's definition under
    ``ww_score``; a study that was begun with another score is refused.

    A score that is not finite counts as the score's ``maximum``. A training loss that is not finite prunes the trial
    where it is an objective, ``with_loss=True``, and is recorded as None where it is not.

    Examples
    --------
    >>> import optuna, torch
    >>> def train(trial):
    ...     torch.manual_seed(trial.number)
    ...     return torch.nn.Linear(100, trial.suggest_int("width", 60, 90))
    >>> study = optuna.create_study(direction="minimize")
    >>> study.optimize(AlphaObjective(train, artifact_store=False), n_trials=2)
    >>> 0 < study.best_value < AlphaScore().maximum
    True
    """

    def __init__(
        self,
        train: Callable[[optuna.Trial], object],
        *,
        score: Score | None = None,
        every: int | Literal["auto"] = "auto",
        n_steps: int | None = None,
        trackers: Iterable[Tracker] = (),
        artifact_store: ArtifactStore | Literal[False] | None = None,
        keep: Literal["best", "last"] = "best",
        with_loss: bool = False,
        analyze_options: dict[str, Any] | None = None,
    ) -> None:
        if not callable(train):
            raise TypeError(f"`train` must be a function of a trial, got {type(train).__name__}.")
        if every != "auto" and (not isinstance(every, int) or every < 1):
            raise ValueError(f'`every` must be "auto" or at least 1, got {every!r}.')
        if n_steps is not None and n_steps < 1:
            raise ValueError(f"`n_steps` must be at least 1, got {n_steps}.")
        if keep not in ("best", "last"):
            raise ValueError(f'`keep` must be "best" or "last", got {keep!r}.')
        self._train = train
        self._score: Score = AlphaScore() if score is None else score
        self._every = every
        self._n_steps = n_steps
        self._trackers = tuple(trackers)
        self._store = artifact_store
        self._keep = keep
        self._with_loss = with_loss
        self._options = analyze_options

    def __call__(self, trial: optuna.Trial) -> float | tuple[float, float]:
        """Run a trial: train, look, report, prune, and leave a record of it."""
        claim(trial.study, self._score, with_loss=self._with_loss)
        follower = Follower(
            trial, score=self._score, n_steps=self._n_steps, trackers=self._trackers, options=self._options
        )
        keeper = Keeper(trial, self._store)
        try:
            look = self._watch(trial, follower, keeper)
            follower.record(look)
        except optuna.TrialPruned as pruned:
            follower.pruned(str(pruned) or "train")
            raise
        except BaseException as error:
            follower.failed(error)
            raise
        keeper.upload(look)
        follower.complete()
        return (look.score, _loss(look.checkpoint)) if self._with_loss else look.score

    def _watch(self, trial: optuna.Trial, follower: Follower, keeper: Keeper) -> Look:
        """Follow a training to its end, and return the look that counts."""
        due: Callable[[int], bool] | None = None
        last: Checkpoint | None = None
        counts: Look | None = None
        for checkpoint in checkpoints(self._train(trial)):
            if due is None:
                due = looks(self._every, checkpoint.model, self._n_steps)
            last = checkpoint
            if self._with_loss:
                _loss(checkpoint)
            if due(checkpoint.step) or (counts is None and self._glance(checkpoint)):
                counts = self._look(follower, keeper, checkpoint, counts)
                reason = follower.ask()
                if reason is not None:
                    raise optuna.TrialPruned(reason)
        assert last is not None  # noqa: S101  (`checkpoints` raises where there is none)
        if counts is None or follower.last_step != last.step:
            counts = self._look(follower, keeper, last, counts)
        return counts

    def _glance(self, checkpoint: Checkpoint) -> bool:
        """Glance at a model before the first look; what diverges or collapses, mostly does so at once."""
        asked = self._every == "auto" and is_power_of_two(checkpoint.step)
        return asked and seems_broken(checkpoint.model, self._options or {})

    def _look(self, follower: Follower, keeper: Keeper, checkpoint: Checkpoint, counts: Look | None) -> Look:
        """Look at a model, and return which look counts so far; a tie goes to the longer training."""
        look = follower.look(checkpoint)
        if counts is not None and self._keep == "best" and counts.score < look.score and not self._early(counts):
            return counts
        keeper.snapshot(look)
        return look

    def _early(self, look: Look) -> bool:
        return self._n_steps is not None and look.checkpoint.step + 1 < SPEAKS * self._n_steps


def _loss(checkpoint: Checkpoint) -> float:
    """Training loss as an objective."""
    if checkpoint.loss is None:
        raise TypeError("`with_loss=True` needs the training loss: `train` must give pairs (model, train_loss).")
    if not math.isfinite(checkpoint.loss):
        raise optuna.TrialPruned(f"diverged: the training loss is {checkpoint.loss} at step {checkpoint.step}")
    return checkpoint.loss

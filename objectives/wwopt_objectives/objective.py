"""`AlphaObjective`: an Optuna objective that needs training data alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from wwopt.engine.check_options import check_options
from wwopt.score import AlphaScore
from wwopt_objectives.training.quick_check import fails_quick_check
from wwopt_objectives.training.schedule import PowersOfTwo, choose_schedule
from wwopt_objectives.training.trained_models import trained_models
from wwopt_objectives.trial.asker import Asker
from wwopt_objectives.trial.recorder import KEEP_N, TrialRecorder

if TYPE_CHECKING:
    import optuna
    from optuna.artifacts._protocol import ArtifactStore

    from wwopt.consensus.answers import AnswerKind
    from wwopt.score import Score
    from wwopt.tracking import Tracker
    from wwopt_objectives.training.schedule import Schedule
    from wwopt_objectives.training.trained_models import TrainedModel
    from wwopt_objectives.trial.evaluation import Evaluation

__all__ = ["AlphaObjective"]


class AlphaObjective:
    """Score what `train` makes of a trial's hyper-parameters, by its weights.

    Parameters
    ----------
    train : callable
        ``train(trial)`` returns a model, or a pair ``(model, train_loss)``, or yields one after each epoch;
        then the objective reports to Optuna and prunes. A model is a `torch.nn.Module`, a state dict or a path.
    inputs : object, optional
        Unlabelled inputs, of which each trial's network is asked some 512: then `select` chooses by what the trials
        answer, and not by score and loss alone. The training inputs will do. A tensor, an array, a list, a mapping of
        names to tensors, a dataset, a DataLoader or any other iterable of batches; it is read once, and labels that
        come with it are left out. `train` must then give modules.
    kind : {"auto", "classes", "values"}
        What the networks answer. "auto": several outputs are classes, of which the largest counts, and one is a value;
        labels that come with the inputs tell by their type.
    with_labels : bool
        Keep the labels that come with ``inputs``: `select` then says how often the vote contradicts them. They have no
        part in the choice.
    score : Score, optional
        What to minimise; None for `AlphaScore`.
    every : int or "auto"
        Steps between two evaluations of the weights; the last step is always evaluated. "auto": two to eight
        evaluations in equal distances, so many that they take some 4% of a training that sees a thousand examples a
        step; where ``n_steps`` is not known, after 1, 2, 4, 8, ... steps. Before the first evaluation a quick check,
        without decompositions, finds what collapsed or diverged at once.
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
    keep_n : int or None
        Trials whose weights are kept: those that `select` would put first so far, and the best value among them. The
        files of others are deleted from the store. None: all.
    keep : {"best", "last"}
        Which evaluation is a training's result: its score is the trial's value, its weights are the ones kept, its
        answers, loss and constraints count. "best": the one with the lowest score among those after the first 40% of
        ``n_steps`` (among all, where that is not known); "last": the one at the end.
    analyze_options : mapping, optional
        Further arguments of `wwopt.analyze`. Where ``min_evals`` is not among them, the study fixes it at its first
        evaluation: 50 where at least half of the weight matrices have so many eigenvalues, else the smallest number
        from which the estimator's results still say something (``wwopt.powerlaw.ESTIMATORS``).
    broken_trials : {"auto", "complete", "pruned"}
        How a trial ends that the pruner stops because its network has collapsed or diverged. Some samplers read
        complete trials only, and suggest again what was pruned. "complete": with its score, and infeasible by its
        constraints. "auto": as complete where the study's sampler is `GPSampler`, `NSGAIISampler`, `NSGAIIISampler` or
        `CmaEsSampler`, as pruned with others.

    Raises
    ------
    TypeError
        `train` is no function, or `wwopt.analyze` has no such option.
    ValueError
        An argument is out of its range; when called, the study was begun with another score or with other options of
        `wwopt.analyze` that change numbers, or no layer of its first network can be measured.

    Notes
    -----
    On the trial it leaves the attributes ``ww_score`` (the score and its terms), ``ww_summary``, ``ww_step``
    (the step of the evaluation that counts), ``ww_answers`` where there are ``inputs`` and, where pruned,
    ``ww_pruned_by``; and the constraints of
    `apply_constraints`, also when the training fails. On the study it leaves the score's definition and the options of
    its analyses under ``ww_score``; a study that was begun with others is refused.

    A score that is not finite counts as the score's ``maximum``. A training loss that is not finite at an evaluation
    makes the trial infeasible, is recorded as None, and is a reason for `AlphaPruner`; where it is an objective,
    ``with_loss=True``, it stops the trial at once. That ends as ``broken_trials`` says; as complete its loss is
    infinite.

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
        inputs: object = None,
        kind: AnswerKind = "auto",
        with_labels: bool = False,
        score: Score | None = None,
        every: int | Literal["auto"] = "auto",
        n_steps: int | None = None,
        trackers: Iterable[Tracker] = (),
        artifact_store: ArtifactStore | Literal[False] | None = None,
        keep: Literal["best", "last"] = "best",
        keep_n: int | None = KEEP_N,
        with_loss: bool = False,
        analyze_options: Mapping[str, Any] | None = None,
        broken_trials: Literal["auto", "complete", "pruned"] = "auto",
    ) -> None:
        if not callable(train):
            raise TypeError(f"`train` must be a function of a trial, got {type(train).__name__}.")
        if every != "auto" and (not isinstance(every, int) or every < 1):
            raise ValueError(f'`every` must be "auto" or at least 1, got {every!r}.')
        if n_steps is not None and n_steps < 1:
            raise ValueError(f"`n_steps` must be at least 1, got {n_steps}.")
        if keep not in ("best", "last"):
            raise ValueError(f'`keep` must be "best" or "last", got {keep!r}.')
        if keep_n is not None and keep_n < 1:
            raise ValueError(f"`keep_n` must be at least 1, or None for all, got {keep_n}.")
        if with_labels and inputs is None:
            raise ValueError("`with_labels=True` needs `inputs` that come with labels: give pairs of the two.")
        if broken_trials not in ("auto", "complete", "pruned"):
            raise ValueError(f'`broken_trials` must be "auto", "complete" or "pruned", got {broken_trials!r}.')
        check_options(analyze_options or {})
        self._train = train
        self._asker = None if inputs is None else Asker(inputs, kind=kind, with_labels=with_labels)
        self._score: Score = AlphaScore() if score is None else score
        self._every = every
        self._n_steps = n_steps
        self._trackers = tuple(trackers)
        self._artifact_store = artifact_store
        self._keep = keep
        self._keep_n = keep_n
        self._with_loss = with_loss
        self._analyze_options = dict(analyze_options or {})
        self._broken_trials = broken_trials

    def __call__(self, trial: optuna.Trial) -> float | tuple[float, float]:
        """Run a trial: train, evaluate, report, prune, and leave a record of it."""
        recorder = TrialRecorder(
            trial,
            score=self._score,
            n_steps=self._n_steps,
            trackers=self._trackers,
            artifact_store=self._artifact_store,
            asker=self._asker,
            keep=self._keep,
            keep_n=self._keep_n,
            with_loss=self._with_loss,
            analyze_options=self._analyze_options,
            broken_trials=self._broken_trials,
        )
        with recorder:
            result = self._train_and_evaluate(trial, recorder)
        return (result.score, _as_objective(result.loss)) if self._with_loss else result.score

    def _train_and_evaluate(self, trial: optuna.Trial, recorder: TrialRecorder) -> Evaluation:
        """Train to the end, or until the pruner says so, and return the evaluation that is the trial's result."""
        schedule: Schedule | None = None
        for trained in trained_models(self._train(trial)):
            has_diverged = self._with_loss and not math.isfinite(_as_objective(trained.loss))
            schedule = schedule or choose_schedule(self._every, trained.model, self._n_steps)
            if has_diverged or schedule.is_due(trained.step) or self._seems_broken(trained, recorder):
                recorder.evaluate(trained.model, step=trained.step, loss=trained.loss)
                reason = recorder.prune_reason()
                if has_diverged:
                    reason = f"diverged: the training loss is {trained.loss} at step {trained.step}"
                if reason is not None:
                    return recorder.stop(reason)
        if recorder.last_step != trained.step:
            recorder.evaluate(trained.model, step=trained.step, loss=trained.loss)
        return recorder.complete()

    def _seems_broken(self, trained: TrainedModel, recorder: TrialRecorder) -> bool:
        """Check a model before the first evaluation; what diverges or collapses, mostly does so at once."""
        is_checked = self._every == "auto" and recorder.last_step is None and PowersOfTwo().is_due(trained.step)
        if not is_checked:
            return False
        diverged = trained.loss is not None and not math.isfinite(trained.loss)
        return diverged or fails_quick_check(trained.model, recorder.options(trained.model))


def _as_objective(loss: float | None) -> float:
    """Training loss as an objective: infinity where it is not finite, since Optuna takes no NaN."""
    if loss is None:
        raise TypeError("`with_loss=True` needs the training loss: `train` must give pairs (model, train_loss).")
    return loss if math.isfinite(loss) else math.inf

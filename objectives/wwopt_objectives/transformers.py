"""`AlphaTrainerCallback`: evaluate, stop, prune and freeze by weights inside a Hugging Face `Trainer`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from wwopt_objectives.training.training_callback import TrainingCallback

try:
    from transformers import TrainerCallback
except ImportError as error:
    raise ImportError("`AlphaTrainerCallback` needs Transformers. Run `pip install 'wwopt[transformers]'`.") from error

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments

__all__ = ["AlphaTrainerCallback"]


class AlphaTrainerCallback(TrainingCallback, TrainerCallback):
    """Evaluate the weights at the end of epochs. Rank 0 evaluates, and all ranks stop together.

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

    Examples
    --------
    >>> callback = AlphaTrainerCallback(every=1)
    >>> # Trainer(model, arguments, train_dataset=data, callbacks=[callback]).train(); callback.history
    """

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002  (the callback's signature)
        **kwargs: Any,
    ) -> None:
        """Begin; Transformers calls this."""
        epochs = args.num_train_epochs if args.max_steps <= 0 else state.num_train_epochs
        self.start(kwargs["model"], math.ceil(epochs))

    def on_epoch_end(
        self,
        args: TrainingArguments,  # noqa: ARG002  (the callback's signature)
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,  # noqa: ARG002  (the callback's signature)
    ) -> None:
        """Evaluate, and stop on every rank; Transformers calls this."""
        losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
        self.end_epoch(math.ceil(state.epoch or 1) - 1, losses[-1] if losses else None)
        if self.reason is not None:
            control.should_training_stop = True

"""`AlphaTrainerCallback`: watch, stop, prune and freeze by weights inside a Hugging Face `Trainer`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from wwopt_objectives.training.callback import Watch, Watched

try:
    from transformers import TrainerCallback
except ImportError as error:
    raise ImportError("`AlphaTrainerCallback` needs Transformers. Run `pip install 'wwopt[transformers]'`.") from error

if TYPE_CHECKING:
    import torch
    from transformers import TrainerControl, TrainerState, TrainingArguments


__all__ = ["AlphaTrainerCallback"]


class AlphaTrainerCallback(Watched, TrainerCallback):
    """Look at the weights at the end of epochs. Rank 0 looks, and all ranks stop together.

    Parameters
    ----------
    **options
        ``every`` (epochs between looks), ``stop`` (a broken network's training), ``freeze`` (converged layers),
        ``trial`` (an Optuna trial to report to and be pruned by), ``score``, ``trackers``, ``artifact_store``, and
        further arguments of `wwopt.analyze`.

    Examples
    --------
    >>> watch = AlphaTrainerCallback(every=1)
    >>> # Trainer(model, arguments, train_dataset=data, callbacks=[watch]).train(); watch.history
    """

    def __init__(self, **options: Any) -> None:
        self._watch = Watch(**options)

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002  (the callback's signature)
        **kwargs: Any,
    ) -> None:
        """Begin."""
        epochs = args.num_train_epochs if args.max_steps <= 0 else state.num_train_epochs
        self._watch.begin(kwargs["model"], math.ceil(epochs))

    def on_epoch_end(
        self,
        args: TrainingArguments,  # noqa: ARG002  (the callback's signature)
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Look, and stop on every rank."""
        model: torch.nn.Module = kwargs["model"]
        step = math.ceil(state.epoch or 1) - 1
        if self._watch.due(step):
            losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
            self._watch.step(model, step, losses[-1] if losses else None)
        if self._watch.reason is not None:
            control.should_training_stop = True

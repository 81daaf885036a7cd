"""`AlphaCallback`: evaluate, stop, prune and freeze by weights inside a Lightning `Trainer`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wwopt_objectives.training.training_callback import TrainingCallback

try:
    from lightning.pytorch.callbacks import Callback
except ImportError:
    try:
        from pytorch_lightning.callbacks import Callback
    except ImportError as error:
        raise ImportError("`AlphaCallback` needs Lightning. Run `pip install 'wwopt[lightning]'`.") from error

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule, Trainer

__all__ = ["AlphaCallback"]


class AlphaCallback(TrainingCallback, Callback):  # type: ignore[misc]
    """Evaluate the weights at the end of training epochs; no validation loop is needed.

    The score is logged as ``ww_score``, so that loggers, ``ModelCheckpoint`` and ``EarlyStopping`` can use it. Rank 0
    evaluates, and all ranks stop together.

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
    >>> callback = AlphaCallback(every=2)
    >>> # Trainer(max_epochs=20, callbacks=[callback]).fit(module, loader); callback.history
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin; Lightning calls this."""
        self.start(pl_module, trainer.max_epochs if (trainer.max_epochs or 0) > 0 else None)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluate, and stop on every rank; Lightning calls this."""
        report = self.end_epoch(trainer.current_epoch, trainer.callback_metrics.get("train_loss"))
        if report is not None:
            pl_module.log("ww_score", report.score)
        if self.reason is not None:
            trainer.should_stop = True

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        """Mark the trial of a training that failed; Lightning calls this."""
        self.fail(exception)

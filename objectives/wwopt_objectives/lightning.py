"""`AlphaCallback`: watch, stop, prune and freeze by weights inside a Lightning `Trainer`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wwopt_objectives.training.callback import Watch, Watched

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


class AlphaCallback(Watched, Callback):  # type: ignore[misc]
    """Look at the weights at the end of training epochs; no validation loop is needed.

    The score is logged as ``ww_score``, so that loggers, ``ModelCheckpoint`` and ``EarlyStopping`` can use it. Rank 0
    looks, and all ranks stop together.

    Parameters
    ----------
    **options
        ``every`` (epochs between looks), ``stop`` (a broken network's training), ``freeze`` (converged layers),
        ``trial`` (an Optuna trial to report to and be pruned by), ``score``, ``trackers``, ``artifact_store``, and
        further arguments of `wwopt.analyze`.

    Examples
    --------
    >>> watch = AlphaCallback(every=2)
    >>> # Trainer(max_epochs=20, callbacks=[watch]).fit(module, loader); watch.history
    """

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self._watch = Watch(**options)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin."""
        self._watch.begin(pl_module, trainer.max_epochs if (trainer.max_epochs or 0) > 0 else None)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look, and stop on every rank."""
        if not self._watch.due(trainer.current_epoch):
            return
        loss = trainer.callback_metrics.get("train_loss")
        reading = self._watch.step(pl_module, trainer.current_epoch, None if loss is None else float(loss))
        pl_module.log("ww_score", reading.score)
        if self._watch.reason is not None:
            trainer.should_stop = True

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        """Leave a failed trial infeasible."""
        self._watch.failed(exception)

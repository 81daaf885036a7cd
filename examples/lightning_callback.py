"""Tune a Lightning module by its weights alone: no validation loop, no validation data."""

import logging
import warnings

import optuna
import pytorch_lightning as pl
import torch
from sklearn.datasets import load_digits

from wwopt_objectives import AlphaPruner, load_best, select
from wwopt_objectives.lightning import AlphaCallback

warnings.filterwarnings("ignore", module="pytorch_lightning")
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
images, classes = (torch.as_tensor(part) for part in load_digits(return_X_y=True))
data = torch.utils.data.TensorDataset(images.float() / 16, classes)


class Digits(pl.LightningModule):
    """A perceptron."""

    def __init__(self, dropout, lr):
        super().__init__()
        self.lr = lr
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(64, 128),
            torch.nn.ReLU(),
            torch.nn.Dropout(dropout),
            torch.nn.Linear(128, 128),
            torch.nn.ReLU(),
            torch.nn.Dropout(dropout),
            torch.nn.Linear(128, 10),
        )

    def forward(self, images):
        """Return the answers, which the callback asks for."""
        return self.layers(images)

    def training_step(self, batch, _):
        """Return the loss."""
        images, classes = batch
        return torch.nn.functional.cross_entropy(self(images), classes)

    def configure_optimizers(self):
        """Return the optimizer."""
        return torch.optim.SGD(self.parameters(), lr=self.lr, momentum=0.9)


def objective(trial):
    torch.manual_seed(trial.number)
    module = Digits(trial.suggest_float("dropout", 0.0, 0.5), trial.suggest_float("lr", 1e-3, 1.0, log=True))
    callback = AlphaCallback(trial=trial, inputs=data.tensors[0], artifact_store=None)
    trainer = pl.Trainer(
        max_epochs=4,
        callbacks=[callback],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, torch.utils.data.DataLoader(data, batch_size=64, shuffle=True))
    return callback.result()


study = optuna.create_study(direction="minimize", pruner=AlphaPruner())
study.optimize(objective, n_trials=4)

chosen = select(study)
print(chosen.reason)
print(f"trial {chosen.number} of {len(study.trials)}: score {chosen.value:.2f}, {chosen.params}")
best = load_best(study)

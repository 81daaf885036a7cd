"""The callbacks inside the real training libraries, with Optuna and without."""

import warnings
from types import MappingProxyType

import optuna
import pytest
import torch
from optuna.trial import TrialState
from torch.utils.data import DataLoader, TensorDataset

from wwopt_objectives import AlphaPruner, AlphaScore, load_best, select
from wwopt_objectives.training.training_callback import TrainingCallback

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the libraries' own making
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
torch.manual_seed(0)
INPUTS, CLASSES = torch.randn(32, 64), torch.randint(0, 4, (32,))


def healthy():
    """A network whose first layer has a tail that falls as a power, as a trained one has."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 4))
    left, _, right = torch.linalg.svd(torch.randn(64, 64))
    with torch.no_grad():
        model[0].weight.copy_(left * torch.arange(1, 65) ** -0.5 @ right)
    return model


def collapse(model):
    with torch.no_grad():
        model[0].weight.copy_(torch.outer(torch.ones(64), torch.ones(64)) + 1e-3 * model[0].weight)


class Lightning:
    """Trains with Lightning, without a validation loop."""

    inputs = INPUTS

    @staticmethod
    def callback(**options):
        pytest.importorskip("pytorch_lightning")
        from wwopt_objectives.lightning import AlphaCallback

        return AlphaCallback(**options)

    @staticmethod
    def train(callback, model, epochs, folder, spoil=None):
        import pytorch_lightning

        class Module(pytorch_lightning.LightningModule):
            def __init__(self):
                super().__init__()
                self.model = model

            def forward(self, inputs):
                return self.model(inputs)

            def training_step(self, batch, _):
                inputs, classes = batch
                if self.current_epoch == spoil:
                    collapse(self.model)
                loss = torch.nn.functional.cross_entropy(self.model(inputs), classes)
                self.log("train_loss", loss)
                return loss

            def configure_optimizers(self):
                return torch.optim.SGD(self.parameters(), lr=1e-3)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer = pytorch_lightning.Trainer(
                max_epochs=epochs,
                callbacks=[callback],
                accelerator="cpu",
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                default_root_dir=folder,
            )
            trainer.fit(Module(), DataLoader(TensorDataset(INPUTS, CLASSES), batch_size=16))
        return trainer.current_epoch, trainer.callback_metrics


class Transformers:
    """Trains with a Hugging Face `Trainer`."""

    inputs = MappingProxyType({"x": INPUTS, "labels": CLASSES})

    @staticmethod
    def callback(**options):
        pytest.importorskip("accelerate")
        from wwopt_objectives.transformers import AlphaTrainerCallback

        return AlphaTrainerCallback(**options)

    @staticmethod
    def train(callback, model, epochs, folder, spoil=None):
        from transformers import Trainer, TrainingArguments

        class Model(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.model, self.batches = model, 0

            def forward(self, x, labels=None):
                if spoil is not None and self.batches >= 2 * spoil:
                    collapse(self.model)
                self.batches += 1
                logits = self.model(x)
                loss = None if labels is None else torch.nn.functional.cross_entropy(logits, labels)
                return {"loss": loss, "logits": logits}

        arguments = TrainingArguments(
            output_dir=str(folder),
            num_train_epochs=epochs,
            per_device_train_batch_size=16,
            logging_strategy="epoch",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            learning_rate=1e-3,
        )
        rows = [{"x": x, "labels": label} for x, label in zip(INPUTS, CLASSES, strict=True)]
        trainer = Trainer(Model(), arguments, train_dataset=rows, callbacks=[callback])
        trainer.train()
        return round(trainer.state.epoch), None


LIBRARIES = pytest.mark.parametrize(
    "library", [pytest.param(library, marks=pytest.mark.slow) for library in (Lightning, Transformers)]
)  # importing one takes seconds


@LIBRARIES
def test_every_epoch_is_evaluated(library, tmp_path):
    """Without Optuna there is a report per epoch, of the weights as they are; nothing is stopped."""
    callback, model = library.callback(), healthy()
    epochs, metrics = library.train(callback, model, 3, tmp_path)
    assert epochs == 3
    assert [report.step for report in callback.history] == [0, 1, 2]
    assert callback.reason is None
    assert callback.result() == callback.history[-1].score
    assert callback.history[-1].layers[0].name.endswith("model.0")
    if metrics is not None:
        assert float(metrics["ww_score"]) == pytest.approx(callback.result(), rel=1e-5)


@LIBRARIES
def test_a_broken_network_is_stopped(library, tmp_path):
    """A layer that collapses in the second epoch ends the training there, and the reason names it."""
    callback = library.callback()
    epochs, _ = library.train(callback, healthy(), 5, tmp_path, spoil=1)
    assert epochs == 2
    assert "model.0 has a stable rank of" in callback.reason


@LIBRARIES
def test_in_an_optuna_study(library, tmp_path):
    """A trial is reported to and kept, or pruned with its reason; constraints come either way."""
    study = optuna.create_study(direction="minimize", pruner=AlphaPruner())

    def objective(trial):
        callback = library.callback(trial=trial, every=2, inputs=library.inputs, artifact_store=None)
        library.train(callback, healthy(), 3, tmp_path, spoil=1 if trial.number else None)
        return callback.result()

    study.optimize(objective, n_trials=2)
    first, second = study.trials
    assert first.state == TrialState.COMPLETE
    assert list(first.intermediate_values) == [1, 2]
    assert first.value == first.intermediate_values[2] == first.user_attrs["ww_score"]["score"]
    assert AlphaScore()(load_best(study).analysis) == pytest.approx(first.value)
    assert second.state == TrialState.PRUNED
    assert second.user_attrs["ww_pruned_by"].startswith("collapsed: a stable rank")
    assert max(first.constraints.values()) <= 0 < max(second.constraints.values())
    assert study.user_attrs["ww_score"]["name"] == "AlphaScore"
    assert [trial.user_attrs["ww_answers"]["answers"]["shape"] for trial in study.trials] == [[32], [32]]
    assert select(study) == first


@LIBRARIES
def test_arguments_are_checked(library):
    """An interval of nothing is refused at once."""
    with pytest.raises(ValueError, match="`every` must be at least 1, got 0"):
        library.callback(every=0)


@LIBRARIES
def test_an_unknown_option_is_named(library):
    """A typo is an error when the callback is made, not after the first epoch, with the name that was meant."""
    with pytest.raises(TypeError, match=r"`evry` is not an option of `Alpha\w*Callback`; did you mean `every`\?"):
        library.callback(evry=2)
    with pytest.raises(TypeError, match=r"`min_eval` is not an option .* did you mean `min_evals`\?"):
        library.callback(min_eval=20)
    with pytest.raises(TypeError, match=r"`nope` is not an option of `Alpha\w*Callback`; its options are every, stop"):
        library.callback(nope=1)


@pytest.mark.parametrize(("sampler", "state"), [("GPSampler", "COMPLETE"), ("TPESampler", "PRUNED")])
def test_the_sampler_decides_how_a_broken_trial_ends(sampler, state):
    """A sampler that reads complete trials only learns from a network that collapsed."""
    chosen = getattr(optuna.samplers, sampler)(seed=0)
    study = optuna.create_study(direction="minimize", sampler=chosen, pruner=AlphaPruner())

    def objective(trial):
        model = torch.nn.Linear(64, 64)
        with torch.no_grad():
            model.weight.copy_(torch.outer(torch.arange(1.0, 65), torch.ones(64)) + 1e-3 * torch.randn(64, 64))
        callback = TrainingCallback(trial=trial)
        callback.start(model, 4)
        callback.end_epoch(0)
        assert callback.reason is not None
        return callback.result()

    study.optimize(objective, n_trials=1)
    assert study.trials[0].state.name == state
    assert study.trials[0].user_attrs["ww_pruned_by"].startswith("collapsed")
    assert max(study.trials[0].constraints.values()) > 0


def test_another_score_on_the_same_study_is_refused():
    """The study is checked when the callback is made, before anything is trained."""
    study = optuna.create_study(direction="minimize")
    TrainingCallback(trial=study.ask())
    with pytest.raises(ValueError, match="was begun with the score"):
        TrainingCallback(trial=study.ask(), score=AlphaScore(rank=1.0))


def test_a_training_without_an_epoch_has_no_result():
    """Nothing was evaluated, which is said."""
    callback = TrainingCallback()
    callback.start(healthy(), 3)
    with pytest.raises(RuntimeError, match="Nothing was evaluated"):
        callback.result()


def test_a_failed_training_is_infeasible():
    """An exception in the training marks the trial."""
    study = optuna.create_study(direction="minimize")
    TrainingCallback(trial=study.ask()).fail(RuntimeError("out of memory"))
    assert min(study.trials[0].constraints.values()) > 0


@pytest.mark.parametrize("stop", [True, False])
def test_stopping_is_an_option(stop):
    """A collapsed network is a reason to stop, unless told otherwise; epochs in between are not evaluated."""
    callback, model = TrainingCallback(every=2, stop=stop), healthy()
    collapse(model)
    callback.start(model, 5)
    assert [callback.end_epoch(epoch) is None for epoch in range(5)] == [True, False, True, False, False]
    assert (callback.reason or "").startswith("0 has a stable rank of" if stop else "nothing") == stop

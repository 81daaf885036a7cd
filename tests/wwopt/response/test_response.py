"""What a network answers to noise: measured without touching it, and scored."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import wwopt
from wwopt.response import information, probe
from wwopt.response.inputs import find_inputs
from wwopt.response.replica import replica
from wwopt.score import common_score

SCORE = wwopt.ResponseScore()


class Tokens(nn.Module):
    """A language model with a table of 24 positions and an answer as Hugging Face gives it."""

    def __init__(self):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(50, 64), nn.Embedding(24, 64)
        self.block = nn.TransformerEncoderLayer(64, 2, 96, batch_first=True)
        self.head = nn.Linear(64, 50)

    def forward(self, numbers):
        places = torch.arange(numbers.shape[1])
        return {"loss": None, "logits": self.head(self.block(self.tokens(numbers) + self.positions(places)))}


def perceptron(*changes):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 96), nn.ReLU(), nn.Linear(96, 10), *changes)


def convolutions(side, channels=3):
    flat = 16 * (side // 2) ** 2
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(flat, 10),
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained():
    """A perceptron that learned digits."""
    from sklearn.datasets import load_digits

    images, classes = (torch.as_tensor(part) for part in load_digits(return_X_y=True))
    model = perceptron()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images.float() / 16), classes).backward()
        optimizer.step()
    return model


def test_information_of_known_answers():
    """Nothing where all inputs get one answer, everything where each class is answered clearly and as often."""
    assert information(np.tile([3.0, 1.0, 0.0, 0.0], (50, 1))) == pytest.approx(0, abs=1e-12)
    assert information(np.zeros((50, 4))) == 0
    clear = np.tile(np.eye(4) * 7, (25, 1))
    assert 0.9 < information(clear) < 1
    assert information(clear * 1000) == pytest.approx(information(clear))


@pytest.mark.slow
def test_training_is_heard_and_damage_too(trained):
    """A trained network tells more inputs apart than a fresh one; one whose classes fell together tells none."""
    fallen = perceptron()
    fallen.load_state_dict(trained.state_dict())
    with torch.no_grad():
        fallen[4].bias[3] += 1e3
    learned, fresh, lost = (probe(model).information for model in (trained, perceptron(), fallen))
    assert lost < 0.01 < fresh < learned < 1


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        (perceptron(), "64 numbers"),
        (nn.Sequential(nn.Flatten(), perceptron()), "64 numbers"),
        (convolutions(8), "3 x 8 x 8 numbers"),
        (convolutions(28, channels=1), "1 x 28 x 28 numbers"),
        (convolutions(20), "3 x 21 x 21 numbers"),
        (nn.Sequential(nn.Conv1d(4, 8, 3), nn.Flatten(), nn.Linear(8 * 18, 5)), "4 x 20 numbers"),
        (nn.Sequential(nn.Conv3d(1, 8, 3), nn.AdaptiveAvgPool3d(1), nn.Flatten()), "1 x 8 x 8 x 8 numbers"),
        (nn.Sequential(nn.Embedding(30, 64), nn.Flatten(), nn.Linear(64 * 33, 5)), "33 tokens of 30"),
        (nn.LSTM(12, 20, batch_first=True), "16 x 12 numbers"),
        (Tokens(), "16 tokens of 50"),
    ],
)  # fmt: skip
def test_inputs_are_found(model, inputs):
    """The first layer tells the kind of input, and trying tells the size."""
    answer = probe(model)
    assert (answer.inputs, answer.reason) == (inputs, "")
    assert 0 <= answer.information <= 1


def test_a_shape_can_be_given():
    """The user's shape is used, and a wrong one is said to be wrong."""
    pooled = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    assert wwopt.analyze(convolutions(12), response=(3, 12, 12)).response.inputs == "3 x 12 x 12 numbers"
    assert probe(pooled, (3, 40, 30)).inputs == "3 x 40 x 30 numbers"
    wrong = probe(pooled, (4, 8, 8))
    assert not wrong.available
    assert "4 channels" in wrong.reason
    with pytest.raises(ValueError, match="`response` must be True, False, None or a shape"):
        wwopt.analyze(pooled, response=(3, 0, 8))


def test_a_forward_pass_that_counts_does_not_count_ours():
    """What a module remembers of its calls is as before: neither the graph nor the noise goes through it."""

    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.calls = nn.Linear(64, 80), nn.Linear(80, 64), 0
            self.seen = {"inputs": 0}

        def forward(self, inputs):
            self.calls += 1
            self.seen["inputs"] += len(inputs)
            return self.second(self.first(inputs))

    model = Counting()
    analysis = wwopt.analyze(model, alignment=True)
    assert len(analysis.pairs) == 1
    assert analysis.response.available
    assert model.calls == 0
    assert model.seen == {"inputs": 0}


def test_large_inputs_are_fewer():
    """What is drawn has a bound, so that a video network cannot fill the memory."""
    sizes = []
    pooled = nn.Sequential(nn.Conv3d(1, 4, 3, stride=3), nn.AdaptiveAvgPool3d(1), nn.Flatten())
    watched = type(
        "Watched", (nn.Sequential,), {"forward": lambda self, x: sizes.append(len(x)) or nn.Sequential.forward(self, x)}
    )
    assert probe(watched(*pooled), (1, 128, 128, 128)).available
    assert sizes == [2, 4]


def test_nothing_happens_to_the_module():
    """Mode, weights, statistics, hooks, gradients and the global random state are as before."""
    model = convolutions(8).train()
    called = []
    model[0].register_forward_hook(lambda *_: called.append("after"))
    model[0].register_forward_pre_hook(lambda *_: called.append("before"))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modules, state = list(model.modules()), torch.random.get_rng_state()
    assert probe(model).available
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert list(model.modules()) == modules
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not called
    model(torch.randn(2, 3, 8, 8)).sum().backward()
    assert called == ["before", "after"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.utils.parametrizations.weight_norm(nn.Linear(8, 5)),
        lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(8, 5)),
        lambda: nn.utils.parametrizations.orthogonal(nn.Linear(8, 5)),
        lambda: nn.Sequential(*[shared := nn.Linear(8, 8), nn.Dropout(0.5), shared]),
        lambda: nn.GRU(8, 5, batch_first=True),
        lambda: nn.DataParallel(nn.Linear(8, 5)),
    ],
)
def test_a_replica_answers_as_the_module_does(make):
    """Also where weights are computed, shared, or kept in lists."""
    torch.manual_seed(0)
    model = make()
    inputs = torch.randn(6, 3, 8)
    pair = [call.eval()(inputs) for call in (replica(model), model)]
    first, second = (answer[0] if isinstance(answer, tuple) else answer for answer in pair)
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ({"a.weight": torch.randn(80, 60)}, "a dict cannot be run: give the module"),
        (nn.Linear(8, 5, device="meta"), "weight are not all in this process"),
        (nn.Bilinear(8, 8, 5), "its first layer does not tell the shape"),
        (nn.Sequential(nn.Linear(8, 5), nn.Flatten(0)), "its output is no tensor of floats with a row for each input"),
        (nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(7, 5)), "no input was found that it takes"),
    ],
)
def test_what_cannot_be_run_says_why(source, reason):
    """No error: the other numbers of an analysis stand."""
    answer = probe(source)
    assert reason in answer.reason
    assert math.isnan(answer.information)
    assert not answer.available


def test_asking_in_vain_warns():
    """A study that scores by the response and yields state dicts is told so; nobody who did not ask is."""
    with pytest.warns(UserWarning, match="No response was measured: a dict cannot be run: give the module"):
        analysis = wwopt.analyze(dict(perceptron().state_dict()), **SCORE.requires)
    assert SCORE(analysis) == SCORE.maximum
    wwopt.analyze(dict(perceptron().state_dict()), alignment=True)


def test_a_diverged_network_has_the_maximum(trained):
    """Infinite answers are the worst, whatever the layers look like."""
    diverged = perceptron()
    diverged.load_state_dict(trained.state_dict())
    with torch.no_grad():
        diverged[4].weight *= 1e37
        diverged[2].weight *= 1e37
    analysis = wwopt.analyze(diverged, **SCORE.requires)
    assert (analysis.details["status"] == "success").all()
    assert analysis.response.reason == "its outputs are not finite"
    assert SCORE(analysis) == SCORE.maximum


def test_score_prefers_the_trained_network(trained):
    """Training lowers the score; its terms add up; the response is one of them."""
    learned, fresh = (wwopt.analyze(model, **SCORE.requires) for model in (trained, perceptron()))
    assert SCORE(learned) < SCORE(fresh) < SCORE.maximum
    explained = SCORE.explain(learned)
    assert explained["score"] == pytest.approx(sum(explained["terms"].values()))
    assert set(explained["terms"]) == {"alignment", "rank", "response"}
    assert set(wwopt.ResponseScore.wrong_labels().explain(learned)["terms"]) - set(explained["terms"]) == {"certainty"}


def test_certainty_is_a_fault_where_labels_are_wrong(trained):
    """Sharper outputs change nothing but the certainty, which counts only where the labels are known to be wrong."""
    sharper = perceptron()
    sharper.load_state_dict(trained.state_dict())
    with torch.no_grad():
        sharper[4].weight *= 3
        sharper[4].bias *= 3
    known, sure = (wwopt.analyze(model, **SCORE.requires) for model in (trained, sharper))
    distrustful = wwopt.ResponseScore.wrong_labels()
    assert sure.response.certainty > known.response.certainty > 0
    assert SCORE(sure) == pytest.approx(SCORE(known), abs=1e-4)
    assert distrustful(sure) - distrustful(known) > 0.01
    assert distrustful.explain(sure)["terms"]["certainty"] == pytest.approx(sure.response.certainty)


def test_what_an_untrained_network_passes_on_does_not_count():
    """A deep linear chain of nearly orthogonal layers tells inputs apart perfectly, and has learned nothing."""
    torch.manual_seed(0)
    layers = [nn.Linear(256, 256) for _ in range(4)]
    for layer in layers:
        nn.init.orthogonal_(layer.weight)
        layer.weight.data += 0.01 * torch.randn(256, 256)  # equal singular values have no alpha
    passes = wwopt.analyze(nn.Sequential(*layers), **SCORE.requires)
    assert passes.response.information > 0.3
    assert SCORE.explain(passes)["terms"]["response"] == SCORE.response
    untold = wwopt.analyze(nn.Sequential(*layers), **SCORE.requires | {"invariant": False})  # if neighbours fit
    counted = SCORE.explain(untold)["terms"]["response"]
    whole = wwopt.ResponseScore(fitting=0).explain(untold)["terms"]["response"]
    assert whole < 0.8 * SCORE.response < counted


def test_the_score_says_what_it_needs():
    """Weights alone cannot be asked; parameters out of range are refused."""
    state = wwopt.analyze(perceptron().state_dict(), alignment=True)
    assert state.response is None
    with pytest.raises(ValueError, match=r"`ResponseScore` needs the response of the network.*alignment=True"):
        SCORE(state)
    for name in ("rank", "response", "fitting", "certainty"):
        with pytest.raises(ValueError, match=f"`{name}` must be a finite number, 0 or more"):
            wwopt.ResponseScore(**{name: -1})


def test_networks_are_judged_by_a_score_that_all_have():
    """A network without pairs decides for all; one that was not run does not."""
    asked = wwopt.analyze(perceptron(), alignment=True)
    silent = wwopt.analyze(perceptron().state_dict(), alignment=True)
    plain = wwopt.analyze(perceptron())
    assert common_score([asked, asked]) == wwopt.AlignmentScore()
    assert common_score([asked, silent]) == wwopt.AlignmentScore()
    assert common_score([silent, plain, asked]) == wwopt.AlphaScore()


def test_the_answer_is_kept_and_repeatable(tmp_path):
    """The same model and seed give the same number; it is saved, summarised and asked for with the alignment."""
    analysis = wwopt.analyze(perceptron(), alignment=True)
    assert analysis.response == probe(perceptron())
    assert analysis.response != probe(perceptron(), seed=1)
    analysis.save(tmp_path / "a.npz")
    assert wwopt.Analysis.load(tmp_path / "a.npz").response == analysis.response
    assert analysis.summary["response"] == analysis.response.information
    assert wwopt.analyze(perceptron(), alignment=True, response=False).response is None
    assert wwopt.analyze(perceptron()).response is None


def test_likely_sizes_come_first():
    """Usual sizes are tried before all others, and each guess fits the first layer."""
    guesses = [inputs.shape for inputs in find_inputs(convolutions(8))]
    assert guesses[:3] == [(3, 8, 8), (3, 16, 16), (3, 32, 32)]
    assert all(shape[0] == 3 for shape in guesses)


def test_a_single_logit_is_two_classes_and_a_map_is_one_answer():
    """As `BCEWithLogitsLoss` takes them, with and without an axis of their own; an image is not its pixels' classes."""
    torch.manual_seed(0)
    logit = nn.Sequential(nn.Linear(20, 40), nn.ReLU(), nn.Linear(40, 1))
    two = nn.Sequential(nn.Linear(20, 40), nn.ReLU(), nn.Linear(40, 2))
    with torch.no_grad():
        two[0].weight.copy_(logit[0].weight), two[0].bias.copy_(logit[0].bias)
        two[2].weight.copy_(torch.cat([logit[2].weight, 0 * logit[2].weight]))
        two[2].bias.copy_(torch.cat([logit[2].bias, 0 * logit[2].bias]))
    expected = probe(two)
    for model in (logit, nn.Sequential(logit, nn.Flatten(0))):
        answer = probe(model)
        assert answer.outputs == 2
        assert answer.information == pytest.approx(expected.information)
        assert answer.certainty == pytest.approx(expected.certainty)
    assert probe(nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 1, 1))).outputs == 64

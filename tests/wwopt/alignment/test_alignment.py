"""What one layer writes and the next reads: the graph, the overlap and the score made of it."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import wwopt
from wwopt.alignment import subspace_alignment
from wwopt.alignment.graph import wiring_by_graph
from wwopt.alignment.sequence import spaces_by_order
from wwopt.alignment.spaces import Space
from wwopt_objectives import AlphaObjective


def spaces_of(model):
    """Hidden spaces that the graph of a module shows."""
    return list(wiring_by_graph(model).spaces)


class Residual(nn.Module):
    """A shortcut around two layers."""

    def __init__(self):
        super().__init__()
        self.stem, self.up, self.down = nn.Linear(64, 64), nn.Linear(64, 128), nn.Linear(128, 64)
        self.norm, self.head = nn.LayerNorm(64), nn.Linear(64, 10)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        return self.head(self.norm(x + self.down(torch.relu(self.up(x)))))


class Attention(nn.Module):
    """One head with its output layer."""

    def __init__(self):
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(64, 64) for _ in range(4))

    def forward(self, x):
        weights = torch.softmax(self.query(x) @ self.key(x).transpose(-1, -2), dim=-1)
        return self.out(weights @ self.value(x))


class Fused(Attention):
    """The same by PyTorch's own function."""

    def forward(self, x):
        return self.out(nn.functional.scaled_dot_product_attention(self.query(x), self.key(x), self.value(x)))


class Untraceable(nn.Module):
    """A forward pass that depends on its data."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(64, 80), nn.Linear(80, 64)

    def forward(self, x):
        return self.second(self.first(x)) if x.sum() > 0 else x


def test_a_chain_has_a_space_between_neighbours():
    """Norms, activations, pooling and flattening keep the space of the layer before them."""
    model = nn.Sequential(
        nn.Conv2d(3, 32, 3), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 9, 64)
    )
    assert spaces_of(model) == [Space(("0",), ("5",))]


def test_a_shortcut_joins_what_is_added():
    """Both sides of a sum write into one space, and what reads the sum reads from it."""
    assert spaces_of(Residual()) == [
        Space(("up",), ("down",)),
        Space(("stem", "down"), ("up", "head")),
    ]


@pytest.mark.parametrize("model", [Attention(), Fused()], ids=["matmul", "fused"])
def test_attention_passes_on_its_values(model):
    """The output layer reads what the values wrote, not what queries and keys did."""
    assert spaces_of(model) == [Space(("value",), ("out",))]


def test_what_cannot_be_traced_is_matched_by_order():
    """A forward pass with a branch has no graph; order and shape still match its layers."""
    model = Untraceable()
    assert wiring_by_graph(model) is None
    pairs = wwopt.analyze(model, alignment=True).pairs
    assert pairs[["writers", "readers"]].to_numpy().tolist() == [["first", "second"]]


def test_order_leaves_out_queries_and_keys():
    """In a state dict the values are followed by the output layer."""
    layers = [
        ("query", "dense", 64, 64),
        ("key", "dense", 64, 64),
        ("value", "dense", 64, 64),
        ("out", "dense", 64, 64),
    ]
    assert spaces_by_order(layers) == [Space(("value",), ("out",))]


def test_module_and_state_dict_agree_on_a_chain():
    """For a plain chain the graph and the order say the same, also across a flattening."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 36, 64), nn.Linear(64, 10))
    by_graph = wwopt.analyze(model, alignment=True).pairs
    by_order = wwopt.analyze(model.state_dict(), alignment=True).pairs
    pd.testing.assert_frame_equal(by_graph, by_order)
    assert by_graph["width"].tolist() == [32, 64]


@pytest.mark.slow
def test_random_layers_are_not_aligned():
    """On average over random pairs the alignment is zero."""
    rng = np.random.default_rng(0)
    values = [subspace_alignment(rng.normal(size=(96, 64)), rng.normal(size=(96, 80)), 8) for _ in range(60)]
    assert abs(np.mean(values)) < 0.02


def test_the_same_subspace_is_one():
    """Layers that write and read the same directions align fully."""
    rng = np.random.default_rng(1)
    basis = np.linalg.qr(rng.normal(size=(64, 8)))[0]
    F, G = basis @ rng.normal(size=(8, 50)), basis @ rng.normal(size=(8, 70))
    balanced = subspace_alignment(F + 1e-9 * rng.normal(size=F.shape), G + 1e-9 * rng.normal(size=G.shape), 8)
    assert balanced > 0.9


def test_scale_of_layers_and_units_changes_nothing():
    """Multiplying a layer, or a unit on one side and dividing it on the other, leaves the alignment as it is."""
    rng = np.random.default_rng(2)
    F, G = rng.normal(size=(48, 64)), rng.normal(size=(48, 32))
    unit = np.exp(rng.normal(size=(48, 1)))
    expected = subspace_alignment(F, G, 8)
    assert subspace_alignment(7 * F, 0.1 * G, 8) == pytest.approx(expected, abs=1e-9)
    assert subspace_alignment(F * unit, G / unit, 8) == pytest.approx(expected, abs=0.02)


def test_dead_units_are_left_out():
    """A unit that is written and not read does not divide by zero."""
    rng = np.random.default_rng(3)
    F, G = rng.normal(size=(48, 64)), rng.normal(size=(48, 32))
    G[5] = 0
    assert np.isfinite(subspace_alignment(F, G, 8))


def trained(alignment=True, response=None, **changes):
    """A network that learned digits for a moment."""
    from sklearn.datasets import load_digits

    torch.manual_seed(0)
    images, classes = (torch.as_tensor(part) for part in load_digits(return_X_y=True))
    model = nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 96), nn.ReLU(), nn.Linear(96, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images.float() / 16), classes).backward()
        optimizer.step()
    for key, change in changes.items():
        with torch.no_grad():
            change(model[int(key[1:])].weight)
    return wwopt.analyze(model, alignment=alignment, response=response)


SCORE = wwopt.AlignmentScore()


@pytest.mark.slow
def test_training_aligns_and_damage_does_not_win():
    """A trained network beats a random one, one with a layer drawn anew, one of rank one and one that diverged."""
    good = SCORE(trained())
    assert good < SCORE(
        wwopt.analyze(nn.Sequential(nn.Linear(64, 96), nn.Linear(96, 96), nn.Linear(96, 10)), alignment=True)
    )
    assert good < SCORE(trained(_2=lambda weight: weight.normal_()))
    assert good < SCORE(trained(_2=lambda weight: weight.copy_(torch.outer(weight[:, 0], weight[0]))))
    assert SCORE(trained(_2=lambda weight: weight.fill_(float("nan")))) == SCORE.maximum


@pytest.mark.slow
def test_terms_add_up_and_are_json():
    """`explain` gives plain numbers that sum to the score."""
    explanation = json.loads(json.dumps(SCORE.explain(trained())))
    assert sum(explanation["terms"].values()) == pytest.approx(explanation["score"])
    assert "0 -> 2" in explanation["layers"]
    assert isinstance(SCORE, wwopt.Score)


@pytest.mark.slow
def test_without_pairs_it_says_what_to_do():
    """An analysis made without `alignment=True` is an error that says so."""
    with pytest.raises(ValueError, match=r"`AlignmentScore` needs an analysis with pairs .* alignment=True"):
        SCORE(trained(alignment=False))


def test_nothing_to_match_is_the_maximum():
    """A single layer has no neighbour."""
    assert SCORE(wwopt.analyze(nn.Linear(64, 64), alignment=True)) == SCORE.maximum


def test_small_networks_are_scored_where_their_layers_are_measured():
    """Layers too small for a row align, but collapsed ones do too: without their ranks there is no score."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 32))
    with pytest.raises(ValueError, match=r"No layer was measured: 0: 32 eigenvalues.* Lower `min_evals` to 32 or less"):
        SCORE(wwopt.analyze(model, alignment=True))
    assert SCORE(wwopt.analyze(model, alignment=True, min_evals=32)) == pytest.approx(1, abs=0.1)
    with torch.no_grad():
        model[2].weight[0, 0] = float("nan")
    assert SCORE(wwopt.analyze(model, alignment=True)) == SCORE.maximum


@pytest.mark.slow
def test_default_score_needs_pairs():
    """Where layers match it is the alignment, whether a module was run or not; else alpha."""
    assert wwopt.default_score(trained()) == wwopt.AlignmentScore()
    assert wwopt.default_score(trained(response=False)) == wwopt.AlignmentScore()
    assert wwopt.default_score(trained(alignment=False)) == wwopt.AlphaScore()
    assert wwopt.default_score(wwopt.analyze(nn.Linear(64, 64), alignment=True)) == wwopt.AlphaScore()


@pytest.mark.slow
def test_pairs_are_saved(tmp_path):
    """A saved analysis has its pairs, or none."""
    for analysis in (trained(), trained(alignment=False)):
        analysis.save(tmp_path / "a.npz")
        loaded = wwopt.Analysis.load(tmp_path / "a.npz")
        assert (loaded.pairs is None) == (analysis.pairs is None)
        if analysis.pairs is not None:
            pd.testing.assert_frame_equal(loaded.pairs, analysis.pairs)


def test_an_objective_analyses_what_its_score_requires(tmp_path, monkeypatch):
    """`requires` tells the objective to match the layers."""
    import optuna

    monkeypatch.chdir(tmp_path)
    study = optuna.create_study(direction="minimize")
    objective = AlphaObjective(lambda _: nn.Sequential(nn.Linear(64, 96), nn.Linear(96, 64)), score=SCORE)
    study.optimize(objective, n_trials=1)
    assert study.best_value < SCORE.maximum


def test_the_weight_is_checked():
    """The weight of the rank must be a finite number."""
    with pytest.raises(ValueError, match="`rank` must be a finite number, 0 or more, got -1"):
        wwopt.AlignmentScore(rank=-1)


def test_default_score_needs_half_of_the_layers_matched():
    """A state dict of which only a few neighbours are known is judged by its spectra."""
    torch.manual_seed(0)
    known = {"a.weight": torch.randn(70, 60), "b.weight": torch.randn(80, 70)}
    strange = {f"c{i}.weight": torch.randn(61 + 4 * i, 63 + 4 * i) for i in range(3)}
    assert isinstance(wwopt.default_score(wwopt.analyze(known, alignment=True)), wwopt.AlignmentScore)
    both = wwopt.analyze({**known, **strange}, alignment=True)
    assert len(both.pairs) == 1
    assert isinstance(wwopt.default_score(both), wwopt.AlphaScore)

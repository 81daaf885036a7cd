"""Ranking language models: by their own text without any data, and by the likelihood of a text where there is one."""

import numpy as np
import pytest
import torch
from torch import nn

import wwopt

VOCABULARY, LENGTH = 30, 20


class Writer(nn.Module):
    """A recurrent language model."""

    def __init__(self):
        super().__init__()
        self.tokens, self.memory = nn.Embedding(VOCABULARY, 64), nn.GRU(64, 64, batch_first=True)
        self.head = nn.Linear(64, VOCABULARY)

    def forward(self, x):
        return self.head(self.memory(self.tokens(x))[0])


def text(sequences, seed):
    """Tokens that depend on the two before them, mostly."""
    draw = np.random.default_rng(seed)
    rule = np.random.default_rng(0).integers(VOCABULARY, size=(VOCABULARY, 5))
    found = draw.integers(VOCABULARY, size=(sequences, LENGTH))
    for i in range(2, LENGTH):
        ruled = rule[found[:, i - 1], found[:, i - 2] % 5]
        found[:, i] = np.where(draw.random(sequences) < 0.85, ruled, found[:, i])
    return torch.as_tensor(found)


TRAIN, TEST = text(256, 1), text(256, 2)


def trained(steps):
    torch.manual_seed(steps)
    model = Writer()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(TRAIN[:, :-1]).flatten(0, 1), TRAIN[:, 1:].flatten()).backward()
        optimizer.step()
    return model


def lost(model, tokens=TEST):
    with torch.no_grad():
        return nn.functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten()).item()


@pytest.fixture(scope="module")
def writers():
    return {f"{steps} steps": trained(steps) for steps in (2, 8, 16, 30)}


@pytest.fixture(scope="module")
def order(writers):
    return sorted(writers, key=lambda name: lost(writers[name]))


def repeating():
    """A model that goes round all tokens: the most that context can tell, and nothing learned."""
    torch.manual_seed(0)
    model = Writer()
    with torch.no_grad():
        model.memory.weight_hh_l0.mul_(0.1)
        circle = 0.01 * torch.randn(VOCABULARY, 64)
        circle[:, :VOCABULARY] += 8 * torch.eye(VOCABULARY)
        model.tokens.weight.copy_(circle)
        model.memory.weight_ih_l0.copy_(
            torch.cat([0.01 * torch.randn(128, 64), torch.eye(64) + 0.01 * torch.randn(64, 64)])
        )
        model.memory.bias_ih_l0[64:128] = -8  # the new state, not the old one
        model.head.weight.copy_(torch.cat([60 * torch.eye(VOCABULARY).roll(1, 0), torch.zeros(VOCABULARY, 34)], 1)
                                + 0.1 * torch.randn(VOCABULARY, 64))  # fmt: skip
    return model


def test_language_models_are_ranked_by_their_own_text(writers, order):
    """Without any data, by what context tells them; the interval is that of their text."""
    ranking = wwopt.rank(writers, min_evals=20)
    assert (ranking.metric, ranking.rung) == ("context", "weights")
    assert "a text that it writes itself" in ranking.reason
    assert list(ranking.table.index) == order
    assert ranking.table["value"].is_monotonic_decreasing
    assert (ranking.table["low"] < ranking.table["value"]).all()
    assert any("give it as `inputs`" in warning for warning in ranking.warnings)
    assert wwopt.rank(writers, metric="score", min_evals=20).metric == "score"


def test_who_repeats_itself_does_not_win(writers):
    """Whatever context tells it."""
    ranking = wwopt.rank(writers | {"circle": repeating()}, min_evals=20)
    assert ranking.table["value"]["circle"] > ranking.table["value"].iloc[0]
    assert ranking.table.index[-1] == "circle"
    assert "it repeats itself" in ranking.table["note"]["circle"]
    assert any("Repeat themselves" in warning for warning in ranking.warnings)


def test_broken_language_models_come_last(writers):
    """A model that holds NaN cannot write."""
    broken = Writer()
    with torch.no_grad():
        broken.head.bias[0] = torch.nan
    ranking = wwopt.rank(writers | {"nan": broken}, min_evals=20)
    assert ranking.table.index[-1] == "nan"
    assert ranking.table["status"]["nan"] == "broken"
    given = wwopt.rank(writers | {"nan": broken}, inputs=TRAIN, min_evals=20)
    assert given.table.index[-1] == "nan"
    assert given.metric == "surprise"


def test_a_text_ranks_language_models_by_its_likelihood(writers, order):
    """The next tokens of the inputs are their labels, so that nothing else is needed."""
    ranking = wwopt.rank(writers, inputs=TEST, min_evals=20)
    assert (ranking.metric, ranking.rung) == ("surprise", "inputs")
    assert list(ranking.table.index) == order
    expected = [-lost(writers[name]) for name in ranking.table.index]
    np.testing.assert_allclose(ranking.table["value"], expected, rtol=1e-4)
    assert ranking.verdict.can_tell
    assert any("by heart" in warning for warning in ranking.warnings)
    paired = wwopt.rank(writers, inputs=(TEST[:, :-1], TEST[:, 1:]), with_labels=True, min_evals=20)
    assert 0 <= paired.verdict.contradiction <= 1


def test_small_language_models_write_all_the_same(writers, order):
    """Also where no layer is large enough for its weights to be measured."""
    ranking = wwopt.rank(writers, min_evals=1000)
    assert list(ranking.table.index) == order
    assert (ranking.table["status"] == "ranked").all()

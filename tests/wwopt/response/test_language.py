"""Language models by their own text and by a given one: closed forms of Markov chains, and what is none."""

import numpy as np
import pytest
import torch
from torch import nn

from wwopt.response.language import speaks, surprise, write_text
from wwopt.response.probe_set import ProbeSet

VOCABULARY = 12


class Chain(nn.Module):
    """A language model that knows the last token only: the logarithm of a table of transitions."""

    def __init__(self, transitions):
        super().__init__()
        self.table = nn.Embedding(len(transitions), len(transitions))
        self.table.weight.data = torch.as_tensor(np.log(transitions), dtype=torch.float32)

    def forward(self, input_ids):
        return {"logits": self.table(input_ids)}


class Reader(nn.Module):
    """A transformer on tokens, with a table of positions; it may look ahead."""

    def __init__(self, *, ahead, length=24, outputs=VOCABULARY):
        super().__init__()
        torch.manual_seed(0)
        self.tokens, self.places = nn.Embedding(VOCABULARY, 16), nn.Embedding(length, 16)
        self.block, self.head = nn.TransformerEncoderLayer(16, 2, 24, batch_first=True), nn.Linear(16, outputs)
        self.ahead = ahead

    def forward(self, x):
        length = x.shape[1]
        mask = None if self.ahead else nn.Transformer.generate_square_subsequent_mask(length)
        states = self.tokens(x) + self.places(torch.arange(length))
        return self.head(self.block(states, src_mask=mask, is_causal=mask is not None))


def transitions(sharpness, seed=0):
    """A table of transitions, all of them possible."""
    logits = sharpness * np.random.default_rng(seed).normal(size=(VOCABULARY, VOCABULARY))
    shares = np.exp(logits)
    return shares / shares.sum(axis=1, keepdims=True)


def entropies(table):
    """Entropy of single tokens of a chain, its entropy rate, and the stationary shares."""
    values, vectors = np.linalg.eig(table.T)
    shares = np.abs(np.real(vectors[:, np.argmax(np.real(values))]))
    shares /= shares.sum()
    return -(shares * np.log(shares)).sum(), -(shares[:, None] * table * np.log(table)).sum(), shares


def walk(table, sequences, length, seed=0):
    """Text of a chain."""
    draw = np.random.default_rng(seed)
    text = np.empty((sequences, length), dtype=np.int64)
    text[:, 0] = draw.choice(len(table), size=sequences, p=entropies(table)[2])
    for i in range(1, length):
        text[:, i] = [draw.choice(len(table), p=table[token]) for token in text[:, i - 1]]
    return torch.as_tensor(text)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.0])
def test_context_is_the_mutual_information_of_neighbours(sharpness):
    """For a chain, entropy of single tokens less entropy rate has a closed form."""
    table = transitions(sharpness)
    single, rate, _ = entropies(table)
    text = write_text(Chain(table))
    assert text.context == pytest.approx(single - rate, abs=4 * text.error + 0.01)
    assert text.entropy_rate == pytest.approx(rate, abs=0.1)
    assert not text.repeats
    assert text == write_text(Chain(table))
    assert text != write_text(Chain(table), seed=1)


def test_repetition_and_collapse_are_told():
    """A circle of all tokens has the largest context there can be, and repeats itself; one token tells nothing."""
    circle = np.full((VOCABULARY, VOCABULARY), 1e-12)
    circle[np.arange(VOCABULARY), (np.arange(VOCABULARY) + 1) % VOCABULARY] = 1
    text = write_text(Chain(circle))
    assert text.context == pytest.approx(np.log(VOCABULARY), abs=0.05)
    assert text.repeats
    single = np.full((VOCABULARY, VOCABULARY), 1e-12)
    single[:, 3] = 1
    assert write_text(Chain(single)).context == pytest.approx(0, abs=1e-6)
    assert write_text(Chain(single)).repeats


def test_a_given_text_surprises_by_its_likelihood():
    """The mean over all tokens but the first, padding left out."""
    table = transitions(1.5)
    text = walk(table, 60, 30)
    expected = -np.log(table[text[:, :-1], text[:, 1:]]).mean()
    assert surprise(Chain(table), ProbeSet.of(text)) == pytest.approx(expected, rel=1e-5)
    mask = torch.ones_like(text)
    mask[:, 20:] = 0
    padded = {"input_ids": text * mask, "attention_mask": mask}
    shorter = -np.log(table[text[:, :19], text[:, 1:20]]).mean()
    assert surprise(Masked(table), ProbeSet.of(padded)) == pytest.approx(shorter, rel=1e-5)


class Masked(Chain):
    def forward(self, input_ids, attention_mask):
        return super().forward(input_ids)


def test_what_is_a_language_model():
    """It reads and writes one vocabulary at every position, does not look ahead, and takes texts of any length."""
    assert speaks(Chain(transitions(1))) == 64
    assert speaks(Reader(ahead=False)) == 24
    assert speaks(Reader(ahead=True)) == 0
    assert speaks(Reader(ahead=False, outputs=5)) == 0
    assert speaks(nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(64, 9))) == 0
    assert speaks(nn.Linear(4, 4)) == 0
    assert speaks({"weight": torch.ones(3, 3)}) == 0
    with pytest.raises(ValueError, match="it is no language model"):
        write_text(nn.Linear(4, 4))


def test_writing_changes_nothing():
    """Neither the mode of the model nor the global random state; NaN is said to be NaN."""
    model, state = Reader(ahead=False).train(), torch.get_rng_state()
    write_text(model)
    assert model.training
    assert torch.equal(state, torch.get_rng_state())
    with torch.no_grad():
        model.head.weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match="its outputs are not finite"):
        write_text(model)

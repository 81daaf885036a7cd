"""Language models: what context tells them, by text that they write themselves, and how a text surprises them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from wwopt.response.inputs import find_inputs
from wwopt.response.runner import Runner

if TYPE_CHECKING:
    from torch import Tensor, nn

    from wwopt.arrays import Floats
    from wwopt.response.probe_set import ProbeSet

__all__ = ["OwnText", "speaks", "surprise", "write_text"]

SEQUENCES = 64
LENGTHS = (64, 48, 40, 32, 24, 16)  # the longest that the model takes
BURN_IN = 0.2  # share of a text that is left out: it begins at a token that is drawn at random
WORK = 1e13  # multiplications in all: a large model writes less
GRAM = 4  # tokens that are compared to find repetition
REPEATS = 0.25  # share of new ones among them, below which a text repeats itself; sound networks have 0.56 and more
BATCH = 64


@dataclass(frozen=True)
class OwnText:
    """Statistics of text that a language model wrote.

    Attributes
    ----------
    context : float
        What context tells about the next token, in nats: the entropy of single tokens less the entropy rate. 0 for a
        model that ignores its context, and for one that always says the same.
    error : float
        Standard error of ``context``, by the sequences.
    entropy_rate : float
        Mean entropy of the next token, given those before, in nats.
    new : float
        Share of runs of four tokens that had not been written before, of those that could be: small for a model that
        repeats itself, of which ``context`` says nothing.
    tokens : int
        Number of tokens that were counted.
    """

    context: float
    error: float
    entropy_rate: float
    new: float
    tokens: int

    @property
    def repeats(self) -> bool:
        """Whether the model repeats itself."""
        return self.new < REPEATS


def speaks(model: nn.Module) -> int:
    """Return how many tokens a language model takes at once, 64 at most; 0 for any other module.

    A language model takes numbers of tokens, gives a number for each token of the same vocabulary at every position,
    and does not look ahead.

    Examples
    --------
    >>> speaks(torch.nn.Sequential(torch.nn.Embedding(20, 8), torch.nn.Linear(8, 20)))
    64
    >>> speaks(torch.nn.Linear(8, 20))
    0
    """
    try:
        runner = Runner(model)
    except TypeError:
        return 0
    vocabulary = _vocabulary(runner)
    if vocabulary < 2:
        return 0
    for length in LENGTHS:
        tokens = torch.as_tensor(np.random.default_rng(0).integers(vocabulary, size=(2, length)))
        try:
            found = runner.run(tokens)
        except ValueError:
            continue
        return length if found.shape == (2, length, vocabulary) and _is_causal(runner, tokens, found) else 0
    return 0


def write_text(model: nn.Module, *, seed: int = 0) -> OwnText:
    """Let a language model write, and measure how much context tells it about the next token.

    A calibrated model's own entropy estimates its loss. A model that repeats itself has a low entropy too; the
    difference to the entropy of its single tokens cannot be had by repeating one token.

    Parameters
    ----------
    model : torch.nn.Module
        That `speaks`.
    seed : int
        Of the text. All models draw by the same random numbers.

    Raises
    ------
    ValueError
        It is no language model, or its outputs are not finite.

    References
    ----------
    Shannon, Bell System Technical Journal 30(1), 1951: the entropy of printed text, given those letters before it.

    Examples
    --------
    >>> model = torch.nn.Sequential(torch.nn.Embedding(20, 8), torch.nn.Linear(8, 20))
    >>> text = write_text(model)
    >>> text.tokens, text.context > 0
    (3264, True)
    """
    length, runner = speaks(model), Runner(model)
    if not length:
        raise ValueError("it is no language model: it does not write tokens of the vocabulary that it reads")
    vocabulary = _vocabulary(runner)
    draw = np.random.default_rng(seed)
    parameters = sum(one.numel() for one in runner.model.parameters())
    sequences = int(min(SEQUENCES, max(4, WORK / max(1, parameters * length**2))))
    tokens = draw.integers(vocabulary, size=(sequences, 1))
    skipped = math.ceil(BURN_IN * length)
    entropies, total = [], np.zeros((sequences, vocabulary))
    for place in range(1, length):
        shares = _shares(runner.run(torch.as_tensor(tokens))[:, -1])
        if not np.isfinite(shares).all():
            raise ValueError("its outputs are not finite")
        if place >= skipped:
            entropies.append(_entropy(shares))
            total += shares
        sums = shares.cumsum(axis=1)
        chosen = (draw.random((sequences, 1)) * sums[:, -1:] >= sums).sum(axis=1, keepdims=True)
        tokens = np.concatenate([tokens, np.minimum(chosen, vocabulary - 1)], axis=1)
    rates = np.mean(entropies, axis=0)
    mixed = total.sum(axis=0) / total.sum()
    surprisals = -(total / total.sum(axis=1, keepdims=True)) @ np.log(np.where(mixed > 0, mixed, 1.0))
    gains = surprisals - rates  # of a sequence; their mean is the entropy of single tokens less the rate
    written = tokens[:, skipped:]
    error = float(gains.std(ddof=1) / math.sqrt(sequences))
    return OwnText(float(gains.mean()), error, float(rates.mean()), _new(written, vocabulary), written.size)


def surprise(model: nn.Module, probes: ProbeSet) -> float:
    """Return the mean negative log-likelihood of the tokens of a text, given those before them, in nats.

    Parameters
    ----------
    model : torch.nn.Module
        That `speaks`.
    probes : ProbeSet
        Token numbers, or mappings with ``input_ids``, and ``attention_mask`` where they are padded.

    Raises
    ------
    ValueError
        The model fails on the text.

    Examples
    --------
    >>> from wwopt.response.probe_set import ProbeSet
    >>> model = torch.nn.Sequential(torch.nn.Embedding(20, 8), torch.nn.Linear(8, 20))
    >>> bool(surprise(model, ProbeSet.of(torch.arange(20).reshape(4, 5))) > 0)
    True
    """
    runner, lost, counted = Runner(model), 0.0, 0
    for _, batch in probes.batches(BATCH):
        tokens = batch["input_ids"] if isinstance(batch, dict) else batch
        outputs = runner.run(batch)[:, :-1]
        mask = torch.ones_like(tokens[:, 1:], dtype=torch.bool)
        if isinstance(batch, dict) and "attention_mask" in batch:
            mask = batch["attention_mask"][:, 1:].bool()
        logs = outputs.log_softmax(dim=-1).take_along_dim(tokens[:, 1:, None].to(outputs.device), dim=-1)[..., 0].cpu()
        lost -= float(logs[mask].double().sum())
        counted += int(mask.sum())
    return lost / max(1, counted)


def _vocabulary(runner: Runner) -> int:
    return next((found.vocabulary for found in find_inputs(runner.model)), 0)


def _is_causal(runner: Runner, tokens: Tensor, found: Tensor) -> bool:
    """Whether the outputs before a token stay the same when it is changed, and when it is left out."""
    changed = tokens.clone()
    changed[:, -1] = (changed[:, -1] + 1) % found.shape[-1]
    try:
        others = (runner.run(changed)[:, :-1], runner.run(tokens[:, :-1]), runner.run(tokens[:, :1]))
    except ValueError:
        return False
    same = (torch.allclose(found[:, : other.shape[1]], other, rtol=1e-3, atol=1e-3, equal_nan=True) for other in others)
    return all(same)


def _shares(logits: Tensor) -> Floats:
    return np.asarray(logits.double().softmax(dim=-1).cpu().numpy())


def _entropy(shares: Floats) -> Floats:
    return np.asarray(-(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(axis=1))


def _new(tokens: np.ndarray, vocabulary: int) -> float:
    windows = np.lib.stride_tricks.sliding_window_view(tokens, GRAM, axis=1).reshape(-1, GRAM)
    return float(len(np.unique(windows, axis=0)) / min(len(windows), vocabulary**GRAM))

"""`ask`: what a network answers to a probe set."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from wwopt.response.outputs import by_position
from wwopt.response.runner import Runner

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from wwopt.arrays import Floats
    from wwopt.response.probe_set import ProbeSet

__all__ = ["answer_space", "ask", "labels_of"]

BATCH = 128  # inputs in a forward pass
OUTPUTS = 1 << 24  # numbers in the outputs of a forward pass: fewer inputs go through a model with a large vocabulary
ROWS = 8192  # inputs times positions
NUMBERS = 1 << 24  # numbers in all answers together


def ask(model: nn.Module, probes: ProbeSet, *, seed: int = 0) -> Floats:
    """Ask a network a probe set.

    A replica that shares the weights runs in evaluation mode on the module's own device: the module's mode, buffers
    and hooks are left alone, and so is the global random state.

    Parameters
    ----------
    model : torch.nn.Module
        Returns a tensor of floats, or a tuple or mapping that holds one, such as ``logits``.
    probes : ProbeSet
        The inputs.
    seed : int
        Of the positions that are kept. The same positions of the same inputs are kept of every network whose outputs
        have as many.

    Returns
    -------
    ndarray, shape (inputs, outputs) or (inputs, positions, outputs)
        In the order of the inputs. Of a sequence or a map at most 8192 positions of all inputs together are kept, at
        least one of each; where a mapping of inputs has an ``attention_mask``, only positions that it lets pass.
        A number may be NaN or infinite: the network is broken, then.

    Raises
    ------
    TypeError
        The model is no module: the weights of a file or a state dict cannot be run.
    ValueError
        The model fails on the inputs, or returns no tensor of floats with a row for each.

    Examples
    --------
    >>> from wwopt.response.probe_set import ProbeSet
    >>> ask(torch.nn.Linear(8, 3), ProbeSet.of(torch.randn(100, 8))).shape
    (100, 3)
    """
    runner, kept, count = Runner(model), dict[int, Any](), 0
    size = max(1, min(BATCH, OUTPUTS // max(1, math.prod(_space(runner, probes)))))
    for numbers, batch in probes.batches(size):
        outputs = by_position(runner.run(batch, seed=seed), _input_shape(batch))
        if outputs.ndim == 3:
            count = count or _positions(len(probes), outputs.shape[1], outputs.shape[2])
            outputs = _sampled(outputs, numbers, _mask(batch), count, seed)
        for number, row in zip(numbers, outputs.double().cpu().numpy(), strict=True):
            kept[number] = row
    shapes = {row.shape for row in kept.values()}
    if len(shapes) > 1:
        raise ValueError(f"its outputs have several shapes, {' and '.join(map(str, sorted(shapes)[:2]))}")
    return np.stack([kept[number] for number in range(len(probes))])


def answer_space(model: nn.Module, probes: ProbeSet) -> tuple[int, ...]:
    """Return the shape of the answer to one input, of those that `ask` may keep some positions of.

    Only networks of one answer space can be compared.

    Raises
    ------
    TypeError, ValueError
        As `ask` does.

    Examples
    --------
    >>> from wwopt.response.probe_set import ProbeSet
    >>> answer_space(torch.nn.Linear(8, 3), ProbeSet.of(torch.randn(100, 8)))
    (3,)
    """
    return _space(Runner(model), probes)


def labels_of(probes: ProbeSet, space: tuple[int, ...], seed: int = 0) -> NDArray[Any] | None:
    """Return the labels of what `ask` keeps: one of each input, or of each position that is kept.

    Parameters
    ----------
    probes : ProbeSet
        Read with labels.
    space : tuple of int
        As `answer_space` returns it.
    seed : int
        As it was given to `ask`.

    Returns
    -------
    ndarray or None
        None where there are no labels of this shape, or some are negative, which marks what has none.

    Examples
    --------
    >>> from wwopt.response.probe_set import ProbeSet
    >>> labels_of(ProbeSet.of((torch.randn(100, 8), torch.arange(100)), with_labels=True), (3,)).shape
    (100,)
    """
    labels = probes.labels
    if labels is None or (labels.dtype.kind in "iu" and (labels < 0).any()):
        return None
    flat = labels.reshape(len(labels), -1)
    if flat.shape[1] != (space[0] if len(space) > 1 else 1):
        return None
    if len(space) < 2:
        return flat[:, 0]
    count, kept = _positions(len(probes), *space), dict[int, Any]()
    for numbers, batch in probes.batches(BATCH):
        rows = _sampled(torch.as_tensor(flat[numbers])[..., None], numbers, _mask(batch), count, seed)
        kept.update(zip(numbers, rows[..., 0].numpy(), strict=True))
    return np.stack([kept[number] for number in range(len(probes))])


def _space(runner: Runner, probes: ProbeSet) -> tuple[int, ...]:
    _, batch = next(probes.batches(1))
    return tuple(by_position(runner.run(batch), _input_shape(batch)).shape[1:])


def _positions(inputs: int, positions: int, outputs: int) -> int:
    return max(1, min(positions, min(ROWS, NUMBERS // outputs) // inputs))


def _sampled(outputs: Tensor, numbers: list[int], mask: NDArray[np.bool_] | None, count: int, seed: int) -> Tensor:
    """Keep ``count`` positions of each input, drawn by its number; of one that has fewer, some are taken again."""
    length = outputs.shape[1]
    if mask is None and count == length:
        return outputs
    places = np.empty((len(numbers), count), dtype=np.int64)
    for row, number in enumerate(numbers):
        valid = np.arange(length) if mask is None or mask.shape[1] != length else np.flatnonzero(mask[row])
        valid = valid if len(valid) else np.arange(length)
        drawn = np.random.default_rng([seed, number]).permutation(len(valid))
        places[row] = np.sort(np.resize(valid[drawn], count))
    chosen = torch.as_tensor(places, device=outputs.device)
    return torch.take_along_dim(outputs, chosen[..., None], dim=1)


def _mask(batch: Any) -> NDArray[np.bool_] | None:
    mask = batch.get("attention_mask") if isinstance(batch, dict) else None
    return None if mask is None or mask.ndim != 2 else np.asarray(mask.bool().numpy())


def _input_shape(batch: Any) -> tuple[int, ...]:
    first = next(iter(batch.values())) if isinstance(batch, dict) else batch
    return tuple(first.shape[1:])

"""`probe`: send noise through a module, and measure how much of an input can be told from its output."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor, nn

    from wwopt.arrays import Floats
    from wwopt.response.inputs import Inputs

__all__ = ["Response", "information", "probe"]

SAMPLES = 256
DRAWN = 1 << 23  # numbers in all inputs together: large inputs are fewer
CHUNK = 32  # inputs in a forward pass
POSITIONS = 2048  # output rows that are compared; a sequence gives one at each position
NUMBERS = 1 << 24  # numbers in all output rows together: a large vocabulary has fewer rows
SHARPNESS = 3.0


@dataclass(frozen=True)
class Response:
    """Statistics of a module's outputs for noise inputs.

    Attributes
    ----------
    information : float
        Mutual information of input and predicted class over its largest value for so many classes, in [0, 1]; 0 where
        every input gets the same output, or none a clear one. NaN where the module could not be run, or its outputs
        are not finite.
    certainty : float
        The same of the outputs at their own scale: large where the network is sure of what it finds in noise.
    outputs : int
        Number of classes, or of numbers in an output; 2 for a single logit, 0 where the module could not be run.
    inputs : str
        Size of the inputs that were sent; empty where the module could not be run.
    reason : str
        Reason why ``information`` is NaN.
    """

    information: float
    certainty: float = math.nan
    outputs: int = 0
    inputs: str = ""
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON; also the columns of a saved analysis."""
        return asdict(self)

    @property
    def available(self) -> bool:
        """Whether the module could be run; its outputs may not be finite even so."""
        return self.outputs > 0


def probe(source: object, shape: Sequence[int] | None = None, *, seed: int = 0) -> Response:
    """Send noise through a module and measure its outputs.

    A replica that shares the weights runs on the module's own device, in evaluation mode: the module's mode, buffers
    and hooks are left alone, and so is the global random state.

    Parameters
    ----------
    source : object
        A `torch.nn.Module`; anything else cannot be run.
    shape : sequence of int, optional
        Of one input, without the batch. None: one that the module takes is found by trying.
    seed : int
        Seed of the noise.

    Returns
    -------
    Response
        Where the module could not be run, ``information`` is NaN and ``reason`` says why.

    Examples
    --------
    >>> import torch
    >>> response = probe(torch.nn.Linear(8, 3))
    >>> response.outputs, response.inputs
    (3, '8 numbers')
    """
    import torch  # noqa: PLC0415  (heavy)

    if not isinstance(source, torch.nn.Module):
        return Response(math.nan, reason=f"a {type(source).__name__} cannot be run: give the module")
    devices = {p.get_device() for p in source.parameters() if p.is_cuda}
    try:
        with torch.random.fork_rng(sorted(devices)), torch.inference_mode():
            return _probe(source, shape, seed)
    except Exception as error:  # noqa: BLE001  (a forward pass may do anything)
        return Response(math.nan, reason=f"it cannot be run: {_first_line(error)}")


def information(outputs: Floats, *, scale: bool = True) -> float:
    """Mutual information of input and predicted class, over its largest value for so many classes.

    A softmax turns outputs into probabilities.

    Parameters
    ----------
    outputs : array, shape (inputs, classes)
        Finite, of 2 classes or more.
    scale : bool
        Centre the outputs of each input first, and divide all by their common standard deviation over
        `SHARPNESS`: then their scale does not matter.

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> round(information(np.array([[9.0, -9.0], [-9.0, 9.0]])), 2)
    0.98
    """
    centred = outputs - outputs.mean(axis=1, keepdims=True)
    spread = centred.std()
    if spread == 0:
        return 0.0
    logits = centred * (SHARPNESS / spread if scale else 1.0)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return float(max(0.0, _entropy(shares.mean(axis=0)) - _entropy(shares)) / math.log(outputs.shape[1]))


def _probe(model: nn.Module, shape: Sequence[int] | None, seed: int) -> Response:
    import torch  # noqa: PLC0415  (heavy)

    from wwopt.response.inputs import find_inputs  # noqa: PLC0415
    from wwopt.response.replica import replica  # noqa: PLC0415

    runnable = replica(model)
    like = next(p for p in model.parameters() if torch.is_floating_point(p))
    fault = ""  # of the likeliest input
    for inputs in find_inputs(runnable, shape):
        try:
            outputs = _outputs(runnable, inputs.noise(2, like, seed)[0])
        except Exception as error:  # noqa: BLE001  (of a shape that it does not take)
            fault = fault or _first_line(error)
            continue
        if outputs is None:
            return Response(math.nan, reason="its output is no tensor of floats with a row for each input")
        return _measure(runnable, inputs, like, seed)
    fault = fault or "its first layer does not tell the shape"
    return Response(math.nan, reason=f"no input was found that it takes (give `response=` its shape): {fault}")


def _measure(model: nn.Module, inputs: Inputs, like: Tensor, seed: int) -> Response:
    count = max(2, min(SAMPLES, DRAWN // math.prod(inputs.shape)))
    batches = [found for batch in inputs.noise(count, like, seed) if (found := _outputs(model, batch)) is not None]
    width = batches[0].shape[1]
    if not all(np.isfinite(outputs).all() for outputs in batches):
        return Response(math.nan, math.nan, width, str(inputs), "its outputs are not finite")
    scaled, unscaled = ([information(outputs, scale=scale) for outputs in batches] for scale in (True, False))
    return Response(sum(scaled) / len(scaled), sum(unscaled) / len(unscaled), width, str(inputs))


def _outputs(model: nn.Module, batch: Tensor) -> Floats | None:
    """Outputs for a batch, shape (rows, classes); None where there is no row for each input."""
    import torch  # noqa: PLC0415  (heavy)

    kept = []
    for part in (batch[start : start + CHUNK] for start in range(0, len(batch), CHUNK)):
        rows = _rows(model(part), len(part))
        if rows is None:
            return None
        most = max(1, min(POSITIONS, NUMBERS // rows.shape[1]) * len(part) // len(batch))
        kept.append(rows[:: max(1, len(rows) // most)])
    return torch.cat(kept).double().cpu().numpy()


def _rows(output: Any, inputs: int) -> Tensor | None:
    """Rows of an output, shape (rows, classes); None where it is not floating point or not one for each input.

    A map or a sequence of single numbers is one row; a single number is the logit of two classes.
    """
    import torch  # noqa: PLC0415  (heavy)

    from wwopt.response.outputs import output_tensor  # noqa: PLC0415  (loads torch)

    tensor = output_tensor(output, inputs)
    if tensor is None:
        return None
    if tensor.ndim > 3:
        tensor = tensor.movedim(1, -1)
    if tensor.ndim == 1 or tensor.shape[-1] == 1:
        tensor = tensor.reshape(inputs, -1)
    if tensor.shape[-1] == 1:
        tensor = torch.nn.functional.pad(tensor, (0, 1))
    return tensor.reshape(-1, tensor.shape[-1])


def _entropy(shares: Floats) -> float:
    """Mean entropy of the rows."""
    terms = shares * np.log(np.where(shares > 0, shares, 1.0))
    return float(-terms.sum(axis=-1).mean())


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]

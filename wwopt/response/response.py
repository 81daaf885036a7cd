"""What a network answers to noise: how much of an input can be told from its output."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor, nn

    from wwopt.arrays import Floats
    from wwopt.response.inputs import Inputs

__all__ = ["Response", "information", "respond"]

SAMPLES = 256
DRAWN = 1 << 23  # numbers of all inputs together: of large ones there are fewer
CHUNK = 32  # inputs that the module gets at once
POSITIONS = 2048  # answers that are compared; a sequence gives one at each position
NUMBERS = 1 << 24  # in all answers together: a large vocabulary has fewer answers
SHARPNESS = 3.0


@dataclass(frozen=True)
class Response:
    """A module's answers to noise.

    Attributes
    ----------
    information : float
        Between 0 (every input gets the same answer, or none gets a clear one) and 1: the mutual information
        of input and answered class, as a share of the most that so many classes can carry. NaN where there is no answer
        or where it is not finite.
    certainty : float
        The same of the answers at their own scale: large where the network is sure of what it finds in noise.
    outputs : int
        Number of classes, or of numbers in an answer; 2 for a single logit, 0 where there is no answer.
    inputs : str
        What was sent, empty where there is no answer.
    reason : str
        Why ``information`` is NaN.
    """

    information: float
    certainty: float = math.nan
    outputs: int = 0
    inputs: str = ""
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON keeps."""
        return asdict(self)

    @property
    def answered(self) -> bool:
        """Whether the module could be run; its answers may not be finite even so."""
        return self.outputs > 0


def respond(source: object, shape: Sequence[int] | None = None, *, seed: int = 0) -> Response:
    """Send noise through a module and measure what its answers tell of it.

    The module runs on its own device, in evaluation mode, by a twin that shares its weights: its mode, buffers
    and hooks are left alone, and so is the global random state.

    Parameters
    ----------
    source : object
        A `torch.nn.Module`; anything else cannot be run.
    shape : sequence of int, optional
        Of one input, without the batch. None finds one that the module takes.
    seed : int
        Of the noise.
    """
    import torch  # noqa: PLC0415  (heavy)

    if not isinstance(source, torch.nn.Module):
        return Response(math.nan, reason=f"a {type(source).__name__} cannot be run: give the module")
    devices = {p.get_device() for p in source.parameters() if p.is_cuda}
    try:
        with torch.random.fork_rng(sorted(devices)), torch.inference_mode():
            return _respond(source, shape, seed)
    except Exception as error:  # noqa: BLE001  (a forward pass may do anything)
        return Response(math.nan, reason=f"it cannot be run: {_first_line(error)}")


def information(outputs: Floats, *, scale: bool = True) -> float:
    """Mutual information of input and class over the classes' entropy at most, in [0, 1].

    Outputs are made probabilities by a softmax.

    Parameters
    ----------
    outputs : array, shape (inputs, classes)
        Finite, of 2 classes or more.
    scale : bool
        Centre the outputs of each input first, and divide all by their common standard deviation over
        `SHARPNESS`: then their scale does not matter.
    """
    centred = outputs - outputs.mean(axis=1, keepdims=True)
    spread = centred.std()
    if spread == 0:
        return 0.0
    logits = centred * (SHARPNESS / spread if scale else 1.0)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return float(max(0.0, _entropy(shares.mean(axis=0)) - _entropy(shares)) / math.log(outputs.shape[1]))


def _respond(model: nn.Module, shape: Sequence[int] | None, seed: int) -> Response:
    import torch  # noqa: PLC0415  (heavy)

    from wwopt.response.inputs import find_inputs  # noqa: PLC0415
    from wwopt.response.replica import twin  # noqa: PLC0415

    runnable = twin(model)
    like = next(p for p in model.parameters() if torch.is_floating_point(p))
    fault = ""  # of the likeliest
    for inputs in find_inputs(runnable, shape):
        try:
            answers = _answer(runnable, inputs.noise(2, like, seed)[0])
        except Exception as error:  # noqa: BLE001  (of a shape that it does not take)
            fault = fault or _first_line(error)
            continue
        if answers is None:
            return Response(math.nan, reason="its answer is no tensor of floats with a row for each input")
        return _measure(runnable, inputs, like, seed)
    fault = fault or "its first layer tells none"
    return Response(math.nan, reason=f"no input was found that it takes (give `response=` its shape): {fault}")


def _measure(model: nn.Module, inputs: Inputs, like: Tensor, seed: int) -> Response:
    count = max(2, min(SAMPLES, DRAWN // math.prod(inputs.shape)))
    answers = [found for batch in inputs.noise(count, like, seed) if (found := _answer(model, batch)) is not None]
    outputs = answers[0].shape[1]
    if not all(np.isfinite(found).all() for found in answers):
        return Response(math.nan, math.nan, outputs, str(inputs), "its answers are not finite")
    told, sure = ([information(found, scale=scale) for found in answers] for scale in (True, False))
    return Response(sum(told) / len(told), sum(sure) / len(sure), outputs, str(inputs))


def _answer(model: nn.Module, batch: Tensor) -> Floats | None:
    """Outputs for a batch, shape (answers, classes); None where there is no row for each input."""
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
    """Answers as rows; None where they are no floats or are not one for each input.

    A map or a sequence of single numbers is one answer; a single number is the logit of two classes.
    """
    import torch  # noqa: PLC0415  (heavy)

    tensor = _tensor(output)
    if tensor is None or tensor.ndim < 1 or len(tensor) != inputs:
        return None
    if tensor.ndim > 3:
        tensor = tensor.movedim(1, -1)
    if tensor.ndim == 1 or tensor.shape[-1] == 1:
        tensor = tensor.reshape(inputs, -1)
    if tensor.shape[-1] == 1:
        tensor = torch.nn.functional.pad(tensor, (0, 1))
    return tensor.reshape(-1, tensor.shape[-1])


def _tensor(output: Any) -> Tensor | None:
    import torch  # noqa: PLC0415  (heavy)

    if isinstance(output, torch.Tensor):
        return output if torch.is_floating_point(output) else None
    if isinstance(output, Mapping):
        output = [output["logits"]] if "logits" in output else list(output.values())
    parts = output if isinstance(output, (list, tuple)) else []
    return next((found for part in parts if (found := _tensor(part)) is not None), None)


def _entropy(shares: Floats) -> float:
    """Mean entropy of the rows."""
    terms = shares * np.log(np.where(shares > 0, shares, 1.0))
    return float(-terms.sum(axis=-1).mean())


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]

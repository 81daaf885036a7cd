"""`Runner`: gives a module inputs without changing it, and says whose fault it is where that fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from wwopt.response.outputs import output_tensor
from wwopt.response.replica import replica

__all__ = ["Runner"]

Batch = Tensor | dict[str, Tensor]


class Runner:
    """Runs a replica of a module, in evaluation mode, on the module's own device.

    Parameters
    ----------
    model : torch.nn.Module
        Its mode, weights, buffers and hooks are left alone.

    Raises
    ------
    TypeError
        It is no module, such as a state dict, or its weights are spread over processes.

    Examples
    --------
    >>> Runner(nn.Linear(3, 2)).run(torch.ones(5, 3)).shape
    torch.Size([5, 2])
    """

    def __init__(self, model: object) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"a {type(model).__name__} cannot be run: give the module")
        self.model = replica(model)
        tensors = [*self.model.parameters(), *self.model.buffers()]
        self.device = tensors[0].device if tensors else torch.device("cpu")
        self.dtype = next((one.dtype for one in tensors if torch.is_floating_point(one)), torch.float32)

    def run(self, batch: Batch, *, seed: int = 0) -> Tensor:
        """Return the outputs for a batch, shape (inputs, ...), as float32 or float64.

        Parameters
        ----------
        batch : Tensor, or dict of str to Tensor
            A mapping is given as keyword arguments. Floats are given in the precision of the model.
        seed : int
            Of a model that draws random numbers even in evaluation mode; the global random state is left alone.

        Raises
        ------
        ValueError
            The model fails on these inputs, or its output is no tensor of floats with a row for each.
        """
        try:
            with self._own_random_state(seed), torch.no_grad():
                if isinstance(batch, dict):
                    output = self.model(**{name: self._moved(part) for name, part in batch.items()})
                else:
                    output = self.model(self._moved(batch))
        except Exception as error:
            shapes = {name: tuple(part.shape) for name, part in batch.items()} if isinstance(batch, dict) else (
                tuple(batch.shape))  # fmt: skip
            raise ValueError(f"it fails on inputs of shape {shapes}: {_first_line(error)}") from error
        count = len(next(iter(batch.values())) if isinstance(batch, dict) else batch)
        outputs = output_tensor(output, count)
        if outputs is None:
            raise ValueError(f"its output is no tensor of floats with a row for each input, but {_described(output)}")
        return outputs if outputs.dtype == torch.float64 else outputs.float()

    @contextmanager
    def _own_random_state(self, seed: int) -> Iterator[None]:
        """Seed the generators that the model may draw from; `torch.manual_seed` would note where it was called."""
        generators = [torch.default_generator]
        if self.device.type == "cuda":
            generators.append(torch.cuda.default_generators[self.device.index or 0])
        states = [one.get_state() for one in generators]
        try:
            for one in generators:
                one.manual_seed(seed)
            yield
        finally:
            for one, state in zip(generators, states, strict=True):
                one.set_state(state)

    def takes(self, batch: Batch) -> bool:
        """Whether the model runs on a batch."""
        try:
            self.run(batch)
        except ValueError:
            return False
        return True

    def _moved(self, part: Tensor) -> Tensor:
        return part.to(self.device, self.dtype if torch.is_floating_point(part) else None)


def _described(output: Any) -> str:
    if isinstance(output, Tensor):
        return f"a tensor of {output.dtype} and shape {tuple(output.shape)}"
    return f"a {type(output).__name__}"


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]

"""`ProbeSet`: the inputs that all networks of a study are asked."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from wwopt.response.read_inputs import Input, InputList, read_inputs
from wwopt.response.runner import Runner

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

__all__ = ["INPUTS", "MAX_INPUTS", "ProbeSet", "inputs_for"]

INPUTS = 512  # a share of agreement is known to 0.02 from so many
MAX_INPUTS = 4096
PER_CLASS = 8  # inputs for each class, where there are many


@dataclass(frozen=True, eq=False)
class ProbeSet:
    """Inputs for networks of one task, read once and kept.

    Attributes
    ----------
    inputs : tuple of Tensor, or of dict of str to Tensor
        One entry for each input, on the CPU; a mapping is given to a model as its keyword arguments.
    labels : ndarray or None
        Of the same inputs, where they were asked for and came with all of them.
    kind : {"classes", "values"} or None
        What the labels are, told by their type alone: integers are classes. None where none came with the inputs.
    """

    inputs: tuple[Input, ...]
    labels: NDArray[Any] | None = None
    kind: Literal["classes", "values"] | None = None

    @classmethod
    def of(
        cls,
        inputs: object,
        count: int = INPUTS,
        seed: int = 0,
        *,
        with_labels: bool = False,
        model: nn.Module | None = None,
    ) -> ProbeSet:
        """Read inputs from whatever form they are in.

        Parameters
        ----------
        inputs : object
            A tensor or array with a row for each input, a list, a mapping of names to tensors (as for Hugging Face's
            models), a dataset, a DataLoader or any other iterable of batches; another `ProbeSet` is cut to ``count``.
            The labels in pairs of inputs and labels are left out.
        count : int
            Most inputs that are kept, drawn at random. Of an iterable that is no list the first ones, since reading
            may be costly or never end.
        seed : int
            Of the draw.
        with_labels : bool
            Keep the labels that come with the inputs.
        model : torch.nn.Module, optional
            Tells whether the tensors in a list are batches or single inputs: whichever it takes.

        Raises
        ------
        TypeError
            ``inputs`` cannot be read.
        ValueError
            There are fewer than two inputs, all are the same, their shapes differ, or a number is not finite.

        Examples
        --------
        >>> import numpy as np
        >>> probes = ProbeSet.of(np.random.default_rng(0).normal(size=(1000, 8)))
        >>> len(probes), probes.hash == ProbeSet.of(probes).hash
        (512, True)
        """
        if count < 2:
            raise ValueError(f"`count` must be at least 2, got {count}.")
        if isinstance(inputs, cls):
            return inputs.first(count)
        read = read_inputs(inputs, count, seed)
        if model is not None and isinstance(inputs, list) and not _takes(model, read):
            singly = read_inputs(inputs, count, seed, "inputs")
            read = singly if _takes(model, singly) else read
        return cls._checked(read, with_labels=with_labels)

    @classmethod
    def _checked(cls, read: InputList, *, with_labels: bool) -> ProbeSet:
        _check(read.inputs)
        labels = _stack(read.labels)
        kind: Literal["classes", "values"] | None = None
        if labels is not None:
            kind = "values" if labels.dtype.kind == "f" else "classes"
        return cls(tuple(read.inputs), labels if with_labels else None, kind)

    def __len__(self) -> int:
        return len(self.inputs)

    @cached_property
    def hash(self) -> str:
        """Mark of the inputs' content, which answers to them carry: 16 hexadecimal digits."""
        digest = hashlib.sha256()
        for one in self.inputs:
            for name, part in sorted(one.items()) if isinstance(one, dict) else [("", one)]:
                digest.update(f"{name} {part.dtype} {tuple(part.shape)}".encode())
                digest.update(part.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    @cached_property
    def _groups(self) -> list[list[int]]:
        """Numbers of the inputs of each shape, the largest first."""
        groups: defaultdict[Any, list[int]] = defaultdict(list)
        for number, one in enumerate(self.inputs):
            groups[_shape(one)].append(number)
        return [groups[shape] for shape in sorted(groups, key=lambda shape: (-_size(shape), shape))]

    def first(self, count: int) -> ProbeSet:
        """Return the first inputs: a random sample, where these were drawn at random."""
        labels = None if self.labels is None else self.labels[:count]
        return self if count >= len(self) else ProbeSet(self.inputs[:count], labels, self.kind)

    def batches(self, size: int) -> Iterator[tuple[list[int], Tensor | dict[str, Tensor]]]:
        """Yield batches of inputs of one shape, the largest first, each with the numbers of its inputs."""
        for numbers in self._groups:
            for start in range(0, len(numbers), size):
                part = numbers[start : start + size]
                yield part, _batch_of([self.inputs[number] for number in part])


def inputs_for(classes: int) -> int:
    """Return how many inputs to ask where there are so many classes: 512, and more from 64 classes on.

    Examples
    --------
    >>> inputs_for(10), inputs_for(100), inputs_for(50000)
    (512, 800, 4096)
    """
    return min(max(INPUTS, PER_CLASS * classes), MAX_INPUTS)


def _takes(model: nn.Module, read: InputList) -> bool:
    return Runner(model).takes(_batch_of(read.inputs[:1]))


def _check(inputs: Sequence[Input]) -> None:
    """Refuse inputs from which nothing can be learned, with one line that says why."""
    if len(inputs) < 2:
        raise ValueError(f"`inputs` must be at least 2 inputs, got {len(inputs)}; some hundred are better.")
    names = {tuple(one) if isinstance(one, dict) else () for one in inputs}
    if len(names) > 1:
        raise ValueError(f"`inputs` must all have the same parts, got {' and '.join(map(str, sorted(names)[:2]))}.")
    parts = [(name, part) for one in inputs for name, part in _parts(one)]
    if not all(bool(torch.isfinite(part).all()) for _, part in parts if torch.is_floating_point(part)):
        raise ValueError("`inputs` must be finite, got NaN or infinity among them.")
    shapes = {(name, tuple(part.shape)) for name, part in parts if torch.is_floating_point(part)}
    if len(shapes) > len({name for name, _ in shapes}):
        found = sorted(str(shape) for _, shape in shapes)[:2]
        raise ValueError(f"`inputs` must have one shape, got inputs of shape {' and '.join(found)}.")
    if all(_same(one, inputs[0]) for one in inputs):
        raise ValueError(f"`inputs` must differ, got {len(inputs)} equal ones.")


def _parts(one: Input) -> Iterable[tuple[str, Tensor]]:
    return one.items() if isinstance(one, dict) else [("", one)]


def _same(first: Input, second: Input) -> bool:
    return all(torch.equal(ours, theirs) for (_, ours), (_, theirs) in zip(_parts(first), _parts(second), strict=True))


def _shape(one: Input) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((name, tuple(part.shape)) for name, part in _parts(one))


def _size(shape: tuple[tuple[str, tuple[int, ...]], ...]) -> int:
    return sum(math.prod(sides) for _, sides in shape)


def _batch_of(inputs: Sequence[Input]) -> Tensor | dict[str, Tensor]:
    first = inputs[0]
    if isinstance(first, dict):
        return {name: torch.stack([one[name] for one in inputs if isinstance(one, dict)]) for name in first}
    return torch.stack([one for one in inputs if isinstance(one, Tensor)])


def _stack(labels: Sequence[Tensor]) -> NDArray[Any] | None:
    if not labels or len({label.shape for label in labels}) > 1:
        return None
    return np.asarray(torch.stack(list(labels)).numpy())

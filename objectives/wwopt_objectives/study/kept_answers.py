"""Answers of a trial's network, as a trial keeps them: class numbers or values, and a sketch of the outputs."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from wwopt.consensus.answers import AnswerKind, read_answers
from wwopt.consensus.twins import sketch

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["MAX_CHARACTERS", "KeptAnswers", "pack", "unpack"]

MAX_CHARACTERS = 32_000  # of an attribute: MySQL keeps 64 KB of one, and some storages less


@dataclass(frozen=True)
class KeptAnswers:
    """Answers of a network to the inputs of its study.

    Attributes
    ----------
    inputs : str
        Hash of the inputs: answers to others cannot be compared.
    outputs : int
        Outputs of the network to one input, or at one position: networks with other numbers answer another question.
    answers : ndarray, shape (inputs,) or (inputs, outputs)
        Class numbers as integers, or values.
    sketch : ndarray of float16, shape (m,)
        Of the raw outputs, to tell near-twins.
    """

    inputs: str
    outputs: int
    answers: NDArray[Any]
    sketch: NDArray[np.float16]

    @classmethod
    def of(cls, outputs: ArrayLike, inputs: str, kind: AnswerKind = "auto") -> Self:
        """Reduce raw outputs, shape (inputs, outputs) or (inputs, positions, outputs), to what is kept of them.

        Examples
        --------
        >>> KeptAnswers.of([[0.1, 0.7, 0.2], [3.0, 1.0, 0.0]], "1f").answers.tolist()
        [1, 0]
        """
        raw = np.asarray(outputs, dtype=np.float64)
        read = read_answers([raw], kind)
        table = read.table[0]
        answers = table.astype(_smallest(int(table.max()))) if read.kind == "classes" else table.astype(np.float32)
        if read.sequences:  # where positions were thinned out, two to an input
            answers = answers.reshape(raw.shape[:-1] if answers.size == raw[..., 0].size else (-1, 2))
        return cls(inputs, raw.shape[-1], answers, sketch(raw))

    @property
    def kind(self) -> Literal["classes", "values"]:
        """What the answers are."""
        return "classes" if self.answers.dtype.kind in "iu" else "values"

    @property
    def space(self) -> tuple[object, ...]:
        """What must be equal for two networks' answers to be compared."""
        return self.inputs, self.outputs, self.kind, self.answers.shape

    def attribute(self, artifact: str | None = None) -> dict[str, object]:
        """Return what a trial keeps of them; with an ``artifact`` its id takes the answers' place."""
        answers = {"answers": pack(self.answers)} if artifact is None else {"artifact": artifact}
        return {"inputs": self.inputs, "outputs": self.outputs, **answers, "sketch": pack(self.sketch)}


def _smallest(largest: int) -> type[np.signedinteger[Any]]:
    """Smallest signed type that holds class numbers, with -1 for no answer."""
    return next(kind for kind in (np.int8, np.int16, np.int32) if largest <= np.iinfo(kind).max)


def pack(array: NDArray[Any]) -> dict[str, object]:
    """Pack an array into what JSON holds.

    Examples
    --------
    >>> unpack(pack(np.arange(3, dtype=np.int8))).tolist()
    [0, 1, 2]
    """
    little = array.astype(array.dtype.newbyteorder("<"))
    data = base64.b64encode(zlib.compress(little.tobytes(), 9)).decode()
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": data}


def unpack(packed: Mapping[str, Any]) -> NDArray[Any]:
    """Unpack what `pack` made.

    Raises
    ------
    ValueError
        It is damaged.
    """
    dtype = np.dtype(packed["dtype"])
    try:
        content = zlib.decompress(base64.b64decode(packed["data"]))
    except zlib.error as error:
        raise ValueError(f"Kept answers are damaged: {error}.") from error
    return np.frombuffer(content, dtype.newbyteorder("<")).astype(dtype).reshape(packed["shape"])

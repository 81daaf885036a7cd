"""Answers of several networks to the same inputs, in the one form in which they are compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from wwopt.arrays import Flags

__all__ = ["MAX_ANSWERS", "NO_ANSWER", "AllAnswers", "AnswerKind", "Answers", "read_answers", "sampled"]

AnswerKind = Literal["auto", "classes", "values"]
AllAnswers: TypeAlias = "NDArray[Any] | Sequence[ArrayLike | None]"

MAX_ANSWERS = 8192  # of one network: of sequences and maps, more positions tell nothing that 8192 do not
ALIKE_VALUES = 1e-9  # relative: values that spread less are all alike
NO_ANSWER = -1  # the class number of an answer that is missing


@dataclass(frozen=True)
class Answers:
    """Answers of n networks to k inputs.

    Attributes
    ----------
    kind : {"classes", "values"}
        What they are.
    table : ndarray, shape (n, k) of int, or (n, k, d) of float
        Class numbers, `NO_ANSWER` where there is none; or values, zero for a network without answers.
    given : ndarray of bool, shape (n,)
        Which networks answered every input, by finite numbers.
    sequences : bool
        Whether every input got an answer at each of several positions, as a language model's.
    """

    kind: Literal["classes", "values"]
    table: NDArray[Any]
    given: Flags
    sequences: bool = False

    @property
    def constant(self) -> Flags:
        """Which networks answer every input alike, shape (n,)."""
        if self.kind == "classes":
            return np.asarray((self.table == self.table[:, :1]).all(axis=1))
        spread = self.table.std(axis=1)
        return np.asarray((spread <= ALIKE_VALUES * np.abs(self.table).max(axis=1)).all(axis=1))


def read_answers(answers: AllAnswers, kind: AnswerKind = "auto") -> Answers:
    """Check answers, and bring them into one form.

    Parameters
    ----------
    answers : array_like, shape (n, inputs, outputs) or (n, inputs), or a sequence of n arrays
        As `wwopt.agreement` takes them; None in a sequence stands for a network that could not be asked.
    kind : {"auto", "classes", "values"}
        What the answers are.

    Raises
    ------
    ValueError
        If the kind is unknown, no network has answers, or the shapes differ.

    Examples
    --------
    >>> read_answers([[[0.1, 0.9], [0.8, 0.2]], None]).table.tolist()
    [[1, 0], [-1, -1]]
    """
    if kind not in get_args(AnswerKind):
        raise ValueError(f"`kind` must be one of {', '.join(get_args(AnswerKind))}, got {kind!r}.")
    arrays = [None if one is None else np.asarray(one) for one in answers]
    known = [array for array in arrays if array is not None]
    if not known:
        raise ValueError("`answers` must hold the answers of at least one network, got none.")
    shapes = sorted({array.shape for array in known})
    if len(shapes) > 1:
        raise ValueError(f"`answers` must have one shape for all networks, got {shapes[0]} and {shapes[1]}.")
    if not shapes[0] or 0 in shapes[0]:
        raise ValueError(f"`answers` must have the shape (networks, inputs, outputs), got {(len(arrays), *shapes[0])}.")
    integers = all(array.dtype.kind in "biu" for array in known)
    if kind == "auto":
        several = len(shapes[0]) > 1 and shapes[0][-1] > 1
        kind = "classes" if integers or several else "values"
    if kind == "classes":
        found = _classes([None if array is None else _class_numbers(array, integers=integers) for array in arrays])
        places = shapes[0] if integers else shapes[0][:-1]
        return replace(found, sequences=len(places) > 1 and places[-1] > 1)
    return _values(arrays)


def _class_numbers(array: NDArray[Any], *, integers: bool) -> NDArray[np.int64]:
    """Return the class of every answer; of a single output, the sign tells which of two."""
    if integers:
        return sampled(array.reshape(-1)).astype(np.int64)
    rows = sampled(array.reshape(-1, array.shape[-1] if array.ndim > 1 else 1))
    finite = np.isfinite(rows.max(axis=1))  # a NaN is the maximum; -inf for a class that is ruled out is an answer
    classes = rows.argmax(axis=1) if rows.shape[1] > 1 else rows[:, 0] > 0
    return np.where(finite, classes, NO_ANSWER)


def _classes(rows: Sequence[NDArray[np.int64] | None]) -> Answers:
    count = next(len(row) for row in rows if row is not None)
    classes = np.stack([np.full(count, NO_ANSWER) if row is None else np.maximum(row, NO_ANSWER) for row in rows])
    return Answers("classes", classes, np.asarray((classes != NO_ANSWER).all(axis=1)))


def _values(arrays: Sequence[NDArray[Any] | None]) -> Answers:
    rows = [
        None if array is None else sampled(array.reshape(-1, array.shape[-1] if array.ndim > 1 else 1)).astype(float)
        for array in arrays
    ]
    shape = next(row.shape for row in rows if row is not None)
    given = np.array([row is not None and bool(np.isfinite(row).all()) for row in rows])
    values = np.stack([row if row is not None and ok else np.zeros(shape) for row, ok in zip(rows, given, strict=True)])
    return Answers("values", values, given)


def sampled(rows: NDArray[Any]) -> NDArray[Any]:
    """Return at most `MAX_ANSWERS` rows, evenly spaced, the same of every network.

    Examples
    --------
    >>> sampled(np.arange(16385))[:3].tolist()
    [0, 2, 4]
    """
    if len(rows) <= MAX_ANSWERS:
        return rows
    return rows[np.linspace(0, len(rows) - 1, MAX_ANSWERS).astype(np.int64)]

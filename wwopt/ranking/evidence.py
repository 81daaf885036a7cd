"""What is known of candidates beside their weights: their answers to the same inputs, and their training losses."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from tqdm.auto import tqdm

from wwopt.consensus import sketch
from wwopt.consensus.answers import AnswerKind
from wwopt.consensus.columns import kind_of_columns
from wwopt.sources import READ_ERRORS, load_module
from wwopt.text import by_reason, one_line

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from wwopt.response.probe_set import ProbeSet
    from wwopt.sources import Candidate

__all__ = ["Evidence", "Losses", "gather"]

Losses = Mapping[str, float] | Sequence[float]
NOT_FINITE = "its answers are not finite"


@dataclass(frozen=True)
class Evidence:
    """Answers and losses by the names of the candidates.

    Attributes
    ----------
    answers : mapping of str to ndarray
        Class numbers or values, in one shape.
    sketches : mapping of str to ndarray
        Fingerprints of the raw answers, by which near-twins are told.
    unasked : mapping of str to str
        Who was not asked or failed, and why.
    broken : mapping of str to str
        Whose answers rule them out, and why.
    losses : mapping of str to float
        Training losses.
    surprises : mapping of str to float
        Of language models: how the inputs, which are a text, surprise them, in nats for each token.
    labels : ndarray or None
        Of the inputs.
    kind : {"auto", "classes", "values"}
        What the answers are.
    inputs : int
        Number of inputs; 0 where nobody was asked.
    remark : str
        How the kind was told, where that is worth saying.
    """

    answers: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    sketches: Mapping[str, NDArray[np.float16]] = field(default_factory=dict)
    unasked: Mapping[str, str] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    losses: Mapping[str, float] = field(default_factory=dict)
    surprises: Mapping[str, float] = field(default_factory=dict)
    labels: NDArray[Any] | None = None
    kind: AnswerKind = "auto"
    inputs: int = 0
    remark: str = ""


def gather(
    candidates: Sequence[Candidate],
    inputs: object,
    answers: Mapping[str, ArrayLike] | None,
    losses: Losses | None,
    *,
    kind: AnswerKind = "auto",
    with_labels: bool = False,
    seed: int = 0,
    progress: bool | None = None,
) -> Evidence | None:
    """Ask the candidates, or take their answers; None where neither these nor losses are given.

    Raises
    ------
    TypeError
        ``inputs`` are of no form that can be read.
    ValueError
        ``inputs`` tell nothing, no candidate can be asked, their answers differ in shape, or a name is unknown.
    """
    if kind not in get_args(AnswerKind):
        raise ValueError(f"`kind` must be one of {', '.join(get_args(AnswerKind))}, got {kind!r}.")
    names = [candidate.name for candidate in candidates]
    known = {} if losses is None else _by_name(losses, names)
    if inputs is not None and answers is not None:
        raise ValueError("`inputs` and `answers` cannot both be given: answers are those to inputs.")
    if answers is not None:
        return _given(answers, names, known, kind)
    if inputs is not None:
        return _ask(candidates, inputs, known, kind, with_labels=with_labels, seed=seed, progress=progress)
    return Evidence(losses=known) if losses is not None else None


def _by_name(losses: Losses, names: Sequence[str]) -> dict[str, float]:
    if not isinstance(losses, Mapping):
        found = list(losses)
        if len(found) != len(names):
            raise ValueError(f"`losses` must have one number for each of {len(names)} candidates, got {len(found)}.")
        losses = dict(zip(names, found, strict=True))
    _check_names("losses", losses, names)
    return {name: _number(name, loss) for name, loss in losses.items()}


def _number(name: str, loss: Any) -> float:
    """A loss as a float; NaN where there is none."""
    if loss is None:
        return math.nan
    try:
        return float(loss)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`losses` must be numbers, got {loss!r} of {name}.") from error


def _check_names(argument: str, given: Mapping[str, object], names: Sequence[str]) -> None:
    unknown = [name for name in given if name not in names]
    if unknown:
        raise ValueError(f"`{argument}` must be of candidates, which {', '.join(unknown)} are not; these are "
                         f"{', '.join(names)}.")  # fmt: skip


def _given(
    answers: Mapping[str, ArrayLike], names: Sequence[str], losses: Mapping[str, float], kind: AnswerKind
) -> Evidence:
    """Take answers that somebody has collected."""
    _check_names("answers", answers, names)
    arrays = {name: np.asarray(one) for name, one in answers.items()}
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf" or array.ndim not in (1, 2, 3) or len(array) < 2:
            raise ValueError(f"`answers` must be class numbers, shape (inputs,), or shape (inputs, outputs), of at "
                             f"least 2 inputs, got {array.dtype} of shape {array.shape} of {name}.")  # fmt: skip
    if len({array.dtype.kind == "f" for array in arrays.values()}) > 1:
        raise ValueError("`answers` must be class numbers of all candidates, or outputs of all.")
    _check_spaces({name: array.shape for name, array in arrays.items()})
    unasked = {name: "no answers were given" for name in names if name not in arrays}
    remark = ""
    if kind == "auto":
        kind, remark = _told(arrays)
    return replace(_collect(arrays, unasked, losses, kind, None), remark=remark)


def _told(answers: Mapping[str, NDArray[Any]]) -> tuple[AnswerKind, str]:
    """Tell the kind of several outputs by the outputs, and say so where they are taken for values."""
    several = [one for one in answers.values() if one.dtype.kind == "f" and one.ndim > 1 and np.isfinite(one).all()]
    if not several or kind_of_columns(several) == "classes":
        return "auto", ""
    return (
        "values",
        "The outputs move together, so they were taken for values. If they are classes, say `kind='classes'`.",
    )


def _ask(
    candidates: Sequence[Candidate],
    inputs: object,
    losses: Mapping[str, float],
    kind: AnswerKind,
    *,
    with_labels: bool,
    seed: int,
    progress: bool | None,
) -> Evidence:
    from wwopt.response.ask import answer_space, ask, labels_of  # noqa: PLC0415  (loads torch)
    from wwopt.response.language import speaks, surprise  # noqa: PLC0415

    unasked: dict[str, str] = {}
    spaces: dict[str, tuple[int, ...]] = {}
    answers: dict[str, NDArray[Any]] = {}
    surprises: dict[str, float] = {}
    probes: ProbeSet | None = None
    with tqdm(candidates, desc="answers", unit="network", leave=False, delay=0 if progress else 1,
              disable=None if progress is None else not progress) as bar:  # fmt: skip
        for one in bar:
            model = _loaded(one, unasked)
            if model is None:
                continue
            probes = probes or _probes(inputs, model, seed, with_labels=with_labels)
            try:
                spaces[one.name] = answer_space(model, probes)
            except (TypeError, ValueError) as error:
                unasked[one.name] = one_line(error)
                continue
            _check_spaces(spaces)
            if len(spaces) == 1:
                probes = _more_probes(probes, inputs, spaces[one.name][-1], seed, with_labels=with_labels)
            try:
                answers[one.name] = ask(model, probes, seed=seed)
                if len(spaces[one.name]) > 1 and speaks(model):
                    surprises[one.name] = surprise(model, probes)
            except ValueError as error:
                unasked[one.name] = one_line(error)
    if probes is None or not answers:
        raise ValueError(f"None of the candidates can be asked: {'; '.join(by_reason(unasked))}")
    remark = ""
    if kind == "auto":
        kind = probes.kind or ("values" if _as_its_input(next(iter(spaces.values())), probes) else "auto")
    if kind == "auto" and len(surprises) < len(answers):
        kind, remark = _told(answers)
    found = _collect(answers, unasked, losses, kind, labels_of(probes, next(iter(spaces.values())), seed))
    return replace(found, surprises=surprises if len(surprises) == len(answers) else {}, remark=remark)


def _loaded(candidate: Candidate, unasked: dict[str, str]) -> Any:
    """Return the module; None where there is none, and the reason is added to ``unasked``."""
    try:
        return None if candidate.source is None else load_module(candidate.source)
    except READ_ERRORS as error:
        unasked[candidate.name] = one_line(error)
        return None


def _probes(inputs: object, model: Any, seed: int, *, with_labels: bool) -> ProbeSet:
    from wwopt.response.probe_set import INPUTS, ProbeSet  # noqa: PLC0415  (loads torch)

    return (
        inputs
        if isinstance(inputs, ProbeSet)
        else (ProbeSet.of(inputs, INPUTS, seed, with_labels=with_labels, model=model))
    )


def _more_probes(probes: ProbeSet, inputs: object, outputs: int, seed: int, *, with_labels: bool) -> ProbeSet:
    """Read more inputs where there are many classes, if they can be read again and there are more."""
    from wwopt.response.probe_set import ProbeSet, inputs_for  # noqa: PLC0415  (loads torch)

    count = inputs_for(outputs)
    if isinstance(inputs, (ProbeSet, Iterator)) or count <= len(probes):
        return probes
    more = ProbeSet.of(inputs, count, seed, with_labels=with_labels)
    return more if len(more) > len(probes) else probes


def _as_its_input(space: tuple[int, ...], probes: ProbeSet) -> bool:
    """Whether an answer has a number for each pixel of its input, as an autoencoder's has."""
    one = probes.inputs[0]
    return not isinstance(one, dict) and one.ndim > 2 and one.is_floating_point() and one.numel() == math.prod(space)


def _check_spaces(spaces: Mapping[str, tuple[int, ...]]) -> None:
    groups: dict[tuple[int, ...], list[str]] = {}
    for name, space in spaces.items():
        groups.setdefault(space, []).append(name)
    if len(groups) > 1:
        found = "; ".join(f"{' x '.join(map(str, space))} of {', '.join(names)}" for space, names in groups.items())
        raise ValueError(f"Candidates must answer in one shape, got {found}. Rank each group by itself.")


def _collect(
    answers: Mapping[str, NDArray[Any]],
    unasked: Mapping[str, str],
    losses: Mapping[str, float],
    kind: AnswerKind,
    labels: NDArray[Any] | None,
) -> Evidence:
    """Keep of each network's answers what they are compared by."""
    broken = {name: NOT_FINITE for name, array in answers.items() if not np.isfinite(array).all()}
    finite = {name: array for name, array in answers.items() if name not in broken}
    return Evidence(
        answers={name: _shortened(array, kind) for name, array in finite.items()},
        sketches={name: sketch(array) for name, array in finite.items() if array.dtype.kind == "f"},
        unasked=unasked,
        broken=broken,
        losses=losses,
        labels=labels,
        kind=kind,
        inputs=max((len(array) for array in answers.values()), default=0),
    )


def _shortened(array: NDArray[Any], kind: AnswerKind) -> NDArray[Any]:
    """Class numbers instead of what they are told by: thousands of classes take thousands of times as much memory."""
    several = array.dtype.kind == "f" and array.ndim > 1 and array.shape[-1] > 1
    return array.argmax(axis=-1) if several and kind != "values" else array

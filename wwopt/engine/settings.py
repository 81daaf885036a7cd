"""`Settings`: the arguments of `wwopt.analyze`, checked before anything is read."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, get_args

from wwopt.powerlaw import EstimatorName
from wwopt.spectra import Precision

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wwopt.weights import WeightMatrix

__all__ = ["Settings"]


@dataclass(frozen=True)
class Settings:
    """The arguments of `wwopt.analyze` that change its numbers or its choice of layers; see there.

    Raises
    ------
    ValueError
        One of them is out of its range.
    """

    include: str | Iterable[str] | None = None
    exclude: str | Iterable[str] | None = None
    min_evals: int = 50
    max_evals: int | None = None
    estimator: EstimatorName = "mle"
    randomize: bool = True
    invariant: bool = True
    zero_tol: float | None = None
    base: str | None = None
    precision: Precision = "double"
    alignment: bool = False
    response: bool | Sequence[int] | None = None
    confidence: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for field in ("include", "exclude"):
            object.__setattr__(self, field, _patterns(getattr(self, field)))
        object.__setattr__(self, "response", _shape(self.response))
        if self.min_evals < 2:
            raise ValueError(f"`min_evals` must be at least 2, got {self.min_evals}.")
        if self.max_evals is not None and self.max_evals < self.min_evals:
            raise ValueError(f"`max_evals` must be at least `min_evals` ({self.min_evals}), got {self.max_evals}.")
        if self.zero_tol is not None and not (isinstance(self.zero_tol, (int, float)) and self.zero_tol >= 0):
            raise ValueError(f"`zero_tol` must be 0 or more, got {self.zero_tol}.")
        if self.confidence is not None and not 0 < self.confidence < 1:
            raise ValueError(
                f"`confidence` must be between 0 and 1, or None for no intervals, got {self.confidence!r}."
            )
        if not (isinstance(self.seed, int) and self.seed >= 0):
            raise ValueError(f"`seed` must be an integer, 0 or more, got {self.seed!r}.")
        for field, names in (("estimator", EstimatorName), ("precision", Precision)):
            if getattr(self, field) not in get_args(names):
                raise ValueError(
                    f"`{field}` must be one of {', '.join(get_args(names))}, got {getattr(self, field)!r}."
                )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON keeps."""
        values = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def selects(self, layer: str) -> bool:
        """Whether ``include`` and ``exclude`` leave a layer, whatever its size."""
        is_included = self.include is None or _matches(layer, self.include)
        return is_included and not (self.exclude is not None and _matches(layer, self.exclude))

    def covers(self, tensor: str) -> bool:
        """Whether a tensor belongs to what ``include`` and ``exclude`` leave: by its name, or by its layer's."""
        if self.include is None and self.exclude is None:
            return True
        names = (tensor, tensor.rpartition(".")[0])
        asked = self.include is None or any(_matches(name, self.include) for name in names)
        return asked and not (self.exclude is not None and any(_matches(name, self.exclude) for name in names))

    def reason_to_skip(self, matrix: WeightMatrix) -> str | None:
        """Say why a layer is not to be analysed; None where it is."""
        if self.include is not None and not _matches(matrix.name, self.include):
            return "not in `include`"
        if self.exclude is not None and _matches(matrix.name, self.exclude):
            return "in `exclude`"
        if matrix.num_evals < self.min_evals:
            few = f"{matrix.num_evals} eigenvalues, fewer than min_evals={self.min_evals}"
            return few if matrix.rank is None else f"a low-rank adapter with {few}"
        if self.max_evals is not None and matrix.num_evals > self.max_evals:
            return f"{matrix.num_evals} eigenvalues, more than max_evals={self.max_evals}"
        return None


def _shape(response: bool | Sequence[int] | None) -> bool | tuple[int, ...] | None:
    if isinstance(response, (bool, type(None))):
        return response
    if not (response and all(isinstance(size, int) and size > 0 for size in response)):
        raise ValueError(f"`response` must be True, False, None or a shape of whole numbers, got {response!r}.")
    return tuple(response)


def _patterns(patterns: str | Iterable[str] | None) -> tuple[str, ...] | None:
    if patterns is None:
        return None
    return (patterns,) if isinstance(patterns, str) else tuple(str(pattern) for pattern in patterns)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)

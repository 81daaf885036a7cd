"""`Analysis`: what is known of a network's layers, and the one file that keeps it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wwopt.analysis.archive import FAULTS, unpack, write_archive
from wwopt.metrics import METRICS
from wwopt.null.noise_tests import looks_like_noise
from wwopt.response import Response

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COLUMNS", "LEADING", "Analysis", "Table", "to_details", "to_skipped"]

LEADING = ("layer_id", "name", "layer_type", "status", "warning", "N", "M", "Q", "rf", "num_evals")
TEXT = ("name", "layer_type", "status", "warning")
COUNTS = ("layer_id", "N", "M", "rf", "num_evals")
COLUMNS = (*LEADING, *METRICS)
Columns = Mapping[str, NDArray[Any]]
SUMMARY = ("log_norm", "alpha", "alpha_weighted", "log_alpha_norm", "log_spectral_norm", "stable_rank", "mp_softrank")


class Table:
    """A table of an `Analysis`: a DataFrame, or columns that become one when somebody asks for it.

    To make a DataFrame takes longer than to fit a small layer, and a score needs none.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._place = f"_{name}"

    def __get__(self, analysis: Analysis | None, owner: type | None = None) -> pd.DataFrame:
        if analysis is None:
            raise AttributeError(self._place)  # tells `dataclass` that there is no default
        kept = vars(analysis)[self._place]
        if not isinstance(kept, pd.DataFrame):
            kept = vars(analysis)[self._place] = pd.DataFrame({name: _series(kept[name]) for name in kept})
        return kept

    def __set__(self, analysis: Analysis, table: pd.DataFrame | Columns) -> None:
        vars(analysis)[self._place] = table


@dataclass(frozen=True)
class Analysis:
    """The spectra of a network's layers and every number that follows from them.

    Attributes
    ----------
    details : pandas.DataFrame
        A row per layer; a number that could not be computed is NaN and ``status`` says why: ``success``,
        ``non-finite`` (NaN, infinity or overflow in the weights), ``degenerate`` (zeros, rank one) or
        ``failed`` (no power law fits).
    spectra : mapping of str to array
        Layer name to its eigenvalues, float64, ascending.
    skipped : pandas.DataFrame
        Columns ``name`` and ``reason``: the weights that were not analysed.
    settings : mapping
        The arguments of `wwopt.analyze`.
    pairs : pandas.DataFrame or None
        With ``alignment=True`` a row for each hidden space: the layers that write into it and those that read
        from it, its width, the number ``k`` of directions compared, and their ``alignment``.
    response : wwopt.response.Response or None
        What a module answered to noise, where that was measured; ``response.information`` lies in [0, 1].

    Examples
    --------
    >>> import numpy as np, wwopt
    >>> analysis = wwopt.analyze({"fc.weight": np.random.default_rng(0).normal(size=(80, 60))})
    >>> analysis.details[["name", "N", "M", "status"]].values.tolist()
    [['fc', 80, 60, 'success']]
    """

    details: Table = Table()
    spectra: Mapping[str, NDArray[np.float64]]  # type: ignore[misc]  # the descriptor is no default
    skipped: Table = Table()
    settings: Mapping[str, Any] = field(default_factory=dict)
    pairs: pd.DataFrame | None = None
    response: Response | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "spectra", MappingProxyType(dict(self.spectra)))
        object.__setattr__(self, "settings", MappingProxyType(dict(self.settings)))

    def __reduce__(self) -> tuple[type[Analysis], tuple[Any, ...]]:
        return Analysis, (
            *(vars(self)["_details"], dict(self.spectra), vars(self)["_skipped"], dict(self.settings)),
            *(self.pairs, self.response),
        )

    @cached_property
    def numbers(self) -> Mapping[str, NDArray[np.float64]]:
        """Each numeric column of ``details`` as an array: looking one up in the table takes fifty times as long."""
        columns = _columns(vars(self)["_details"])
        return MappingProxyType(
            {name: column.astype(np.float64) for name, column in columns.items() if column.dtype != object}
        )

    @cached_property
    def words(self) -> Mapping[str, NDArray[np.object_]]:
        """Each column of text of ``details`` as an array of `str`."""
        columns = _columns(vars(self)["_details"])
        return MappingProxyType({name: column for name, column in columns.items() if column.dtype == object})

    @cached_property
    def summary(self) -> dict[str, float]:
        """Means over the layers that have a number, and shares of all layers.

        The means keep WeightWatcher's names. ``share_over_6``, ``share_under_2``, ``share_trapped``, ``share_noise``
        and ``share_unusable`` are shares in [0, 1] of the analysed layers; ``layers`` counts them. ``p_noise`` is the
        chance that noise of these shapes has any layer as far from noise as the farthest here (Bonferroni's bound).
        ``response`` is the information of the answers to noise, where that was measured.
        """
        rows = self.numbers
        noise = looks_like_noise(rows["p_noise"], rows["p_spike"])
        shares = {
            "share_over_6": rows["alpha"] > 6,
            "share_under_2": rows["alpha"] < 2,
            "share_trapped": rows["num_traps"] > 0,
            "share_noise": np.where(np.isnan(rows["p_noise"]), math.nan, noise),
            "share_unusable": self.words["status"] != "success",
        }
        judged = np.concatenate([rows["p_noise"], rows["p_spike"]])
        judged = judged[~np.isnan(judged)]
        return {
            **_means({name: rows[name] for name in (*SUMMARY, "trap_energy")} | shares),
            "p_noise": min(1.0, len(judged) * float(judged.min())) if len(judged) else math.nan,
            "layers": float(len(rows["alpha"])),
            **({} if self.response is None else {"response": self.response.information}),
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything into one file, without pickles; a file that is there is replaced at once or not at all."""
        tables = {"details": vars(self)["_details"], "skipped": vars(self)["_skipped"], "pairs": self.pairs}
        kept = {name: _columns(table) for name, table in tables.items() if table is not None}
        if self.response is not None:
            kept["response"] = _columns(pd.DataFrame([self.response.to_dict()]))
        write_archive(Path(path), self.settings, self.spectra, kept)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Analysis:
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        ValueError
            The file is damaged, is no saved analysis, or was written by a newer version.
        """
        content = Path(path).read_bytes()
        try:
            return _from_tables(*unpack(content))
        except FAULTS as error:
            raise ValueError(f"{path} is not a saved analysis that can be read: {error}") from error


def to_details(rows: Sequence[Mapping[str, Any]]) -> Columns:
    """All `COLUMNS` with their types, also where there is no row; a number that is missing is NaN."""
    return {name: np.array([row.get(name, math.nan) for row in rows], dtype=_dtype(name)) for name in COLUMNS}


def to_skipped(pairs: Sequence[tuple[str, str]]) -> Columns:
    """What was left out and why."""
    names, reasons = [name for name, _ in pairs], [reason for _, reason in pairs]
    return {"name": np.array(names, dtype=object), "reason": np.array(reasons, dtype=object)}


def _columns(table: pd.DataFrame | Columns) -> Columns:
    """Columns of a table, those of text as objects."""
    if not isinstance(table, pd.DataFrame):
        return table
    numeric = set(table.select_dtypes("number"))
    return {str(name): table[name].to_numpy(None if name in numeric else object) for name in table}


def _dtype(name: str) -> type:
    return object if name in TEXT else np.int64 if name in COUNTS else np.float64


def _series(column: NDArray[Any]) -> Any:
    return pd.array(column, dtype="str") if column.dtype == object else column


def _means(columns: Mapping[str, NDArray[Any]]) -> dict[str, float]:
    """Mean of what is a number in each column."""
    values = np.stack([column.astype(np.float64) for column in columns.values()])
    known = ~np.isnan(values)
    counts, sums = known.sum(axis=1), np.where(known, values, 0.0).sum(axis=1)
    means = np.divide(sums, counts, out=np.full(len(values), math.nan), where=counts > 0)
    return dict(zip(columns, means.tolist(), strict=True))


def _from_tables(
    settings: Mapping[str, Any], spectra: Mapping[str, NDArray[np.float64]], tables: Mapping[str, pd.DataFrame]
) -> Analysis:
    """Fill in what an older version did not measure."""
    details = tables["details"]
    older = {name: math.nan for name in COLUMNS if name not in details and name not in LEADING}
    details = details.assign(**older)[list(COLUMNS)]
    answers = tables["response"].to_dict(orient="records") if "response" in tables else []
    response = Response(**{str(name): value for name, value in answers[0].items()}) if answers else None
    return Analysis(details, spectra, tables["skipped"], settings, tables.get("pairs"), response)

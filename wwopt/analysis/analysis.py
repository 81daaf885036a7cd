"""`Analysis`: the spectra of a network's layers, the numbers that follow from them, and their means."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wwopt.analysis.archive import DAMAGE, unpack, write_archive
from wwopt.analysis.unmeasured import explain_unmeasured
from wwopt.diagnosis import Finding, diagnose
from wwopt.metrics import METRICS
from wwopt.null import looks_like_noise
from wwopt.powerlaw import ESTIMATORS
from wwopt.response import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wwopt.powerlaw import EstimatorName
    from wwopt.weights import Fault

__all__ = ["COLUMNS", "LEADING", "TEXT", "Analysis"]

LEADING = ("layer_id", "name", "layer_type", "status", "warning", "N", "M", "Q", "rf", "num_evals")
TEXT = ("name", "layer_type", "status", "warning")
COUNTS = ("layer_id", "N", "M", "rf", "num_evals")
COLUMNS = (*LEADING, *METRICS)
Columns = Mapping[str, NDArray[Any]]
SUMMARY = ("log_norm", "alpha", "alpha_weighted", "log_alpha_norm", "log_spectral_norm", "stable_rank", "mp_softrank")


@dataclass(frozen=True, init=False, eq=False)
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
    faults : pandas.DataFrame
        Columns ``name``, ``kind`` and ``count``: tensors that are not analysed as layers, and by which the network is
        broken. ``non-finite``: NaN or infinity in a bias, a gain, a statistic, a small or left-out matrix, or any
        buffer; ``zero``: a weight that is too small to be analysed and zero throughout; ``impossible``: a running
        variance that is negative or zero, or a negative count. Empty where nothing is wrong.

    Examples
    --------
    >>> import numpy as np, wwopt
    >>> analysis = wwopt.analyze({"fc.weight": np.random.default_rng(0).normal(size=(80, 60))})
    >>> analysis.details[["name", "N", "M", "status"]].values.tolist()
    [['fc', 80, 60, 'success']]
    """

    details: pd.DataFrame
    spectra: Mapping[str, NDArray[np.float64]]
    skipped: pd.DataFrame
    settings: Mapping[str, Any]
    pairs: pd.DataFrame | None
    response: Response | None
    faults: pd.DataFrame

    def __init__(
        self,
        details: pd.DataFrame | Columns,
        spectra: Mapping[str, NDArray[np.float64]],
        skipped: pd.DataFrame | Columns,
        settings: Mapping[str, Any] | None = None,
        *,
        pairs: pd.DataFrame | None = None,
        response: Response | None = None,
        faults: pd.DataFrame | Columns | None = None,
    ) -> None:
        vars(self).update(
            _columns={},
            spectra=MappingProxyType(dict(spectra)),
            settings=MappingProxyType(dict(settings or {})),
            pairs=pairs,
            response=response,
        )
        faults = _faults_table(()) if faults is None else faults
        for name, table in (("details", details), ("skipped", skipped), ("faults", faults)):
            kept = vars(self) if isinstance(table, pd.DataFrame) else vars(self)["_columns"]
            kept[name] = table

    @classmethod
    def from_rows(
        cls,
        rows: Sequence[Mapping[str, Any]],
        spectra: Mapping[str, NDArray[np.float64]],
        skipped: Sequence[tuple[str, str]] = (),
        settings: Mapping[str, Any] | None = None,
        *,
        pairs: pd.DataFrame | None = None,
        response: Response | None = None,
        faults: Sequence[Fault] = (),
    ) -> Analysis:
        """Collect what was measured, a mapping of columns to values for each layer.

        ``details`` gets all `COLUMNS` with their types, also where there is no row. A number that a row lacks is NaN,
        its ``layer_id`` its place. ``skipped`` is given as pairs of name and reason.
        """
        numbered = [{"layer_id": place, **row} for place, row in enumerate(rows)]
        return cls(
            {name: np.array([row.get(name, math.nan) for row in numbered], dtype=_dtype(name)) for name in COLUMNS},
            spectra,
            {
                "name": np.array([name for name, _ in skipped], dtype=object),
                "reason": np.array([reason for _, reason in skipped], dtype=object),
            },
            settings,
            pairs=pairs,
            response=response,
            faults=_faults_table(faults),
        )

    if not TYPE_CHECKING:  # which would take every misspelt attribute for a table

        def __getattr__(self, name: str) -> pd.DataFrame:
            """Make a table of its columns when it is first looked up: that takes longer than to fit a small layer."""
            columns = vars(self).get("_columns", {}).get(name)
            if columns is None:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            return vars(self).setdefault(name, pd.DataFrame({key: _series(columns[key]) for key in columns}))

    def _table(self, name: str) -> pd.DataFrame | Columns:
        """A table as it is held: the one that was given or looked up, else its columns."""
        table: pd.DataFrame | None = vars(self).get(name)
        return vars(self)["_columns"][name] if table is None else table

    def __reduce__(self) -> tuple[Callable[..., Analysis], tuple[object, ...]]:
        rebuild = partial(Analysis, pairs=self.pairs, response=self.response, faults=self._table("faults"))
        return rebuild, (self._table("details"), dict(self.spectra), self._table("skipped"), dict(self.settings))

    @cached_property
    def numbers(self) -> Mapping[str, NDArray[np.float64]]:
        """Each numeric column of ``details`` as an array: looking one up in the table takes fifty times as long."""
        columns = _to_columns(self._table("details"))
        return MappingProxyType(
            {name: column.astype(np.float64) for name, column in columns.items() if column.dtype != object}
        )

    @cached_property
    def words(self) -> Mapping[str, NDArray[np.object_]]:
        """Each column of text of ``details`` as an array of `str`."""
        columns = _to_columns(self._table("details"))
        return MappingProxyType({name: column for name, column in columns.items() if column.dtype == object})

    @property
    def estimator(self) -> EstimatorName:
        """Estimator of the alphas, whose range of well-trained layers holds."""
        estimator: EstimatorName = self.settings.get("estimator", "mle")
        return estimator

    @property
    def is_difference(self) -> bool:
        """Whether the numbers are those of differences to a base."""
        return self.settings.get("base") is not None

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with the layers, the most severe first; see the catalogue in docs/findings.md."""
        return diagnose(
            self.numbers,
            self.words,
            estimator=self.estimator,
            difference=self.is_difference,
            faults=self.broken_tensors.items(),
        )

    @property
    def broken(self) -> tuple[Finding, ...]:
        """Findings by which the network cannot be used."""
        return tuple(finding for finding in self.findings if finding.severity == "broken")

    def findings_of(self, row: int) -> tuple[Finding, ...]:
        """Return what is wrong with the layer in one row of ``details``, the most severe first."""
        return tuple(self._findings_by_row.get(row, ()))

    @cached_property
    def _findings_by_row(self) -> dict[int | None, list[Finding]]:
        rows: dict[int | None, list[Finding]] = {}
        for finding in self.findings:
            rows.setdefault(finding.row, []).append(finding)
        return rows

    @cached_property
    def summary(self) -> dict[str, float]:
        """Means over the layers that have a number, and shares of all layers.

        The means keep WeightWatcher's names. Shares in [0, 1] of the analysed layers: ``share_over_6`` and
        ``share_under_2`` of alphas outside of the estimator's range, which is 2 to 6 for the default one;
        ``share_trapped`` with a correlation trap of any strength, ``share_noise`` of noise and ``share_unusable``
        without an alpha. ``layers`` counts them. ``p_noise`` is the
        chance that noise of these shapes has any layer as far from noise as the farthest here (Bonferroni's bound).
        ``response`` is the information of the answers to noise, where that was measured.
        """
        rows, limits = self.numbers, ESTIMATORS[self.estimator]
        noise = looks_like_noise(rows["p_noise"], rows["p_spike"])
        shares = {
            "share_over_6": rows["alpha"] > limits.high,
            "share_under_2": rows["alpha"] < limits.low,
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

    @cached_property
    def unmeasured(self) -> str:
        """Why no layer was measured, with the way out; empty where one was, or where `faults` say enough."""
        skipped = _to_columns(self._table("skipped"))
        if len(self.words["name"]) or self.broken_tensors:
            return ""
        return explain_unmeasured(list(zip(skipped["name"].tolist(), skipped["reason"].tolist(), strict=True)))

    @cached_property
    def broken_tensors(self) -> dict[str, str]:
        """Names of the tensors in `faults`, and what is wrong with each."""
        faults = _to_columns(self._table("faults"))
        return dict(zip(faults["name"].tolist(), faults["kind"].tolist(), strict=True))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything into one file, without pickles; a file that is there is replaced at once or not at all."""
        tables = {"details": self._table("details"), "skipped": self._table("skipped"), "pairs": self.pairs}
        if len(_to_columns(self._table("faults"))["name"]):
            tables["faults"] = self._table("faults")
        kept = {name: _to_columns(table) for name, table in tables.items() if table is not None}
        if self.response is not None:
            kept["response"] = _to_columns(pd.DataFrame([self.response.to_dict()]))
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
        except DAMAGE as error:
            raise ValueError(f"{path} is not a saved analysis that can be read: {error}") from error


def _faults_table(faults: Sequence[Fault]) -> Columns:
    return {
        "name": np.array([fault.name for fault in faults], dtype=object),
        "kind": np.array([fault.kind for fault in faults], dtype=object),
        "count": np.array([fault.count for fault in faults], dtype=np.int64),
    }


def _dtype(name: str) -> type:
    return object if name in TEXT else np.int64 if name in COUNTS else np.float64


def _to_columns(table: pd.DataFrame | Columns) -> Columns:
    """Columns of a table, those of text as objects."""
    if not isinstance(table, pd.DataFrame):
        return table
    numeric = set(table.select_dtypes("number"))
    return {str(name): table[name].to_numpy(None if name in numeric else object) for name in table}


def _series(column: NDArray[Any]) -> Any:
    return pd.Series(column, dtype="str") if column.dtype == object else column


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
    more = {name: tables.get(name) for name in ("pairs", "faults")}
    return Analysis(details, spectra, tables["skipped"], settings, response=response, **more)

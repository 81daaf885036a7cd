"""One pure function for each number of a layer, declared once with its unit, direction and source."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import special

from wwopt.null import marchenko_pastur_edge, marchenko_pastur_quantiles

if TYPE_CHECKING:
    from wwopt.powerlaw import EstimatorName, PowerLawFit

__all__ = ["METRICS", "Layers", "Metric"]

Floats = NDArray[np.float64]

WEAK = 1e-6  # eigenvalues below this share of the largest are weak
TRACY_WIDOM_99 = 2.02  # 99% of the largest eigenvalues of noise lie below the edge plus this many widths


@dataclass(frozen=True)
class Layers:
    """The spectra of layers of equal shape, with their fits: what every metric is computed from.

    Attributes
    ----------
    evals : array, shape (layers, n)
        Eigenvalues of W'W of each layer's k matrices, pooled, ascending.
    k, N, M : int
        Number of matrices, and their longer and shorter side.
    zero_tol : array, shape (layers,)
        Eigenvalues up to this one count as zero.
    fits : sequence of PowerLawFit or None
        The power law of each tail; None where none could be fitted.
    estimator : {"mle", "hill", "peak", "tpl"}
        What fitted them.
    """

    evals: Floats
    k: int
    N: int
    M: int
    zero_tol: Floats
    fits: Sequence[PowerLawFit | None]
    estimator: EstimatorName = "mle"

    def fitted(self, name: str) -> Floats:
        """One number of each fit, NaN where there is none."""
        return np.array([getattr(fit, name) if fit else math.nan for fit in self.fits], dtype=np.float64)

    @property
    def is_whole(self) -> bool:
        """Whether all eigenvalues are there; a product of thin factors has only as many as its rank."""
        return bool(self.evals.shape[1] == self.k * self.M)

    @cached_property
    def above_zero(self) -> NDArray[np.bool_]:
        """Which eigenvalues are not zero."""
        return self.evals > self.zero_tol[:, None]

    @cached_property
    def shares(self) -> Floats:
        """Eigenvalues over their sum."""
        return self.evals / _sum(self.evals)[:, None]


@dataclass(frozen=True)
class Metric:
    """A number of a layer and what is known of it.

    Attributes
    ----------
    name : str
        Column in ``Analysis.details``.
    unit : str
        Unit; "1" for a pure number.
    higher_is_better : bool or None
        Direction among networks of the same shape that were trained on the same data; None where there is none.
    source : str
        Where the definition comes from.
    compute : callable
        ``Layers -> array``, a number for each layer; NaN where it cannot be computed.
    """

    name: str
    unit: str
    higher_is_better: bool | None
    source: str
    compute: Callable[[Layers], Floats]


METRICS: dict[str, Metric] = {}

WEIGHTWATCHER = "WeightWatcher 0.7.7"


Compute = Callable[[Layers], Floats]


def _metric(*, unit: str, higher_is_better: bool | None, source: str) -> Callable[[Compute], Compute]:
    def declare(function: Compute) -> Compute:
        name = function.__name__
        METRICS[name] = Metric(name, unit, higher_is_better, source, function)
        return function

    return declare


@_metric(unit="1", higher_is_better=None, source="Clauset, Shalizi, Newman (2009), eq. 3.1; 2 is ideal, see the docs")
def alpha(layers: Layers) -> Floats:
    """Exponent of the power law of the spectrum's tail."""
    return layers.fitted("alpha")


@_metric(unit="1", higher_is_better=None, source="Clauset et al. (2009), section 3.5; xmin is one of the values")
def alpha_corrected(layers: Layers) -> Floats:
    """Alpha without its bias in small samples, ``1 + (alpha - 1) (n - 2) / n`` for a tail of n; NaN for "tpl"."""
    n = layers.fitted("num_pl_spikes")
    corrected = 1 + (layers.fitted("alpha") - 1) * (n - 2) / n
    return np.where((n > 2) & (layers.estimator != "tpl"), corrected, np.nan)


@_metric(unit="W^-2", higher_is_better=None, source="Clauset et al. (2009), table 2.1, power law with cutoff")
def Lambda(layers: Layers) -> Floats:  # noqa: N802  (the column's name)
    """Rate of the tail's exponential cut-off; NaN unless the estimator is "tpl"."""
    return layers.fitted("Lambda")


@_metric(unit="W^2", higher_is_better=None, source="Clauset et al. (2009), section 3.3")
def xmin(layers: Layers) -> Floats:
    """Eigenvalue at which the tail begins."""
    return layers.fitted("xmin")


@_metric(unit="W^2", higher_is_better=None, source=WEIGHTWATCHER)
def xmax(layers: Layers) -> Floats:
    """Largest eigenvalue in the fit."""
    return layers.fitted("xmax")


@_metric(unit="1", higher_is_better=False, source="Clauset et al. (2009), eq. 3.9")
def D(layers: Layers) -> Floats:  # noqa: N802  (the column's name)
    """Kolmogorov-Smirnov distance between the tail and its fit."""
    return layers.fitted("D")


@_metric(unit="1", higher_is_better=False, source="Clauset et al. (2009), eq. 3.2")
def sigma(layers: Layers) -> Floats:
    """Return the standard error of alpha."""
    return layers.fitted("sigma")


@_metric(unit="count", higher_is_better=None, source=WEIGHTWATCHER)
def num_pl_spikes(layers: Layers) -> Floats:
    """Count the eigenvalues in the tail."""
    return layers.fitted("num_pl_spikes")


@_metric(unit="log10 W^2alpha", higher_is_better=False, source="Martin, Peng, Mahoney (2021), Nat. Commun. 12:4122")
def alpha_weighted(layers: Layers) -> Floats:
    """Alpha times the logarithm of the largest eigenvalue ("alpha-hat")."""
    return layers.fitted("alpha") * log_spectral_norm(layers)


@_metric(unit="log10 W^2alpha", higher_is_better=False, source="Martin, Peng, Mahoney (2021), Nat. Commun. 12:4122")
def log_alpha_norm(layers: Layers) -> Floats:
    """Logarithm of the Schatten norm with power alpha, ``log10 sum(lambda^alpha)``."""
    powers = np.where(layers.above_zero, layers.fitted("alpha")[:, None] * np.log(layers.evals), -np.inf)
    largest = powers[:, -1]
    return (largest + np.log(_sum(np.exp(powers - largest[:, None])))) / math.log(10)


@_metric(unit="W^2", higher_is_better=None, source=WEIGHTWATCHER)
def norm(layers: Layers) -> Floats:
    """Squared Frobenius norm, the sum of the eigenvalues."""
    return _sum(layers.evals)


@_metric(unit="log10 W^2", higher_is_better=None, source=WEIGHTWATCHER)
def log_norm(layers: Layers) -> Floats:
    """Logarithm of `norm`."""
    return np.log10(norm(layers))


@_metric(unit="W^2", higher_is_better=None, source=WEIGHTWATCHER)
def spectral_norm(layers: Layers) -> Floats:
    """Largest eigenvalue (the square of the matrix norm)."""
    return layers.evals[:, -1]


@_metric(unit="log10 W^2", higher_is_better=None, source=WEIGHTWATCHER)
def log_spectral_norm(layers: Layers) -> Floats:
    """Logarithm of `spectral_norm`."""
    return np.log10(spectral_norm(layers))


@_metric(unit="1", higher_is_better=True, source="Rudelson, Vershynin (2007), J. ACM 54(4)")
def stable_rank(layers: Layers) -> Floats:
    """Sum of the eigenvalues over the largest."""
    return norm(layers) / spectral_norm(layers)


@_metric(unit="1", higher_is_better=True, source="Roy, Vetterli (2007), EUSIPCO")
def effective_rank(layers: Layers) -> Floats:
    """Exponential of the entropy of the eigenvalues."""
    return np.exp(_spectral_entropy(layers))


@_metric(unit="1", higher_is_better=True, source="effective rank, against Marchenko and Pastur's law")
def relative_rank(layers: Layers) -> Floats:
    """Effective rank over that of noise of the same shape: 1 for noise, small where a layer has collapsed."""
    if not layers.is_whole:
        return np.full(len(layers.evals), np.nan)
    noise = _noise(layers)
    return effective_rank(layers) / (layers.k * math.exp(float(special.entr(noise / noise.sum()).sum())))


@_metric(unit="count", higher_is_better=True, source="numpy.linalg.matrix_rank")
def matrix_rank(layers: Layers) -> Floats:
    """Count the eigenvalues that are not zero."""
    return _sum(layers.above_zero)


@_metric(unit="1", higher_is_better=True, source="Martin, Mahoney (2021), JMLR 22(165)")
def entropy(layers: Layers) -> Floats:
    """Entropy of the eigenvalues over its largest value at this rank, in [0, 1]; NaN at rank one."""
    rank = matrix_rank(layers)
    return _spectral_entropy(layers) / np.where(rank > 1, np.log(rank), np.nan)


@_metric(unit="count", higher_is_better=False, source=WEIGHTWATCHER)
def rank_loss(layers: Layers) -> Floats:
    """Count the eigenvalues that are zero."""
    return _sum(~layers.above_zero)


@_metric(unit="count", higher_is_better=False, source=f"{WEIGHTWATCHER}, relative to the largest eigenvalue")
def weak_rank_loss(layers: Layers) -> Floats:
    """Count the eigenvalues below a millionth of the largest."""
    return _sum(layers.evals < WEAK * layers.evals[:, -1:])


@_metric(unit="W^2", higher_is_better=None, source=WEIGHTWATCHER)
def lambda_max(layers: Layers) -> Floats:
    """Largest eigenvalue."""
    return spectral_norm(layers)


@_metric(unit="W", higher_is_better=None, source=WEIGHTWATCHER)
def sv_max(layers: Layers) -> Floats:
    """Largest singular value."""
    return np.sqrt(spectral_norm(layers))


@_metric(unit="W", higher_is_better=None, source=WEIGHTWATCHER)
def sv_min(layers: Layers) -> Floats:
    """Smallest singular value."""
    return np.sqrt(layers.evals[:, 0])


@_metric(unit="1", higher_is_better=None, source="Jensen-Shannon distance as in WeightWatcher, to Marchenko-Pastur")
def rand_distance(layers: Layers) -> Floats:
    """Distance between the spectrum and that of noise of the same shape, in [0, 0.83]; 0 for noise."""
    if not layers.is_whole:
        return np.full(len(layers.evals), np.nan)
    noise = np.repeat(_noise(layers), layers.k)
    p, q = layers.shares, noise / noise.sum()
    middle = (p + q) / 2
    divergence = _sum(special.rel_entr(p, middle) + special.rel_entr(q, middle))
    return np.sqrt(np.maximum(divergence, 0.0) / 2)


@_metric(unit="1", higher_is_better=None, source="Martin, Mahoney (2021), JMLR 22(165); edge by Gavish, Donoho (2014)")
def mp_softrank(layers: Layers) -> Floats:
    """Edge of the random bulk over the largest eigenvalue: near 1 for noise, small for strong correlations."""
    return _bulk_variance(layers) * marchenko_pastur_edge(layers.N, layers.M) / spectral_norm(layers)


@_metric(unit="count", higher_is_better=None, source="Johnstone (2001), Ann. Statist. 29(2); edge by Gavish, Donoho")
def num_spikes(layers: Layers) -> Floats:
    """Count the eigenvalues beyond what noise with the bulk's variance reaches 99% of the time."""
    if not layers.is_whole:
        return np.full(len(layers.evals), np.nan)
    root_n, root_m = math.sqrt(layers.N), math.sqrt(layers.M)
    width = (root_n + root_m) * (1 / root_n + 1 / root_m) ** (1 / 3)
    limit = _bulk_variance(layers) * ((root_n + root_m) ** 2 + TRACY_WIDOM_99 * width)
    return _sum(layers.evals > limit[:, None])


def _noise(layers: Layers) -> Floats:
    """Eigenvalues of noise of the same shape and unit variance, shape (M,)."""
    return marchenko_pastur_quantiles(layers.N / layers.M, (np.arange(layers.M) + 0.5) / layers.M)


def _spectral_entropy(layers: Layers) -> Floats:
    return _sum(special.entr(layers.shares))


def _sum(values: NDArray[np.generic]) -> Floats:
    """Sum over the eigenvalues of each layer; of flags, their number."""
    total: Floats = values.sum(axis=1, dtype=np.float64)
    return total


def _bulk_variance(layers: Layers) -> Floats:
    """Variance of the elements of the random part, from the median eigenvalue, which spikes do not move.

    NaN where not all eigenvalues are there.

    Gavish, Donoho (2014), The optimal hard threshold for singular values is 4/sqrt(3), IEEE Trans. IT 60(8).
    """
    noise = marchenko_pastur_quantiles(layers.N / layers.M, np.array([0.5]))[0] if layers.is_whole else math.nan
    return np.median(layers.evals, axis=1) / (layers.N * noise)

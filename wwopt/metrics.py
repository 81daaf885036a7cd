"""One pure function for each number of a layer, declared once with its unit, direction and source."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import special

from wwopt.null import marchenko_pastur_edge, marchenko_pastur_quantiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from wwopt.powerlaw import PowerLawFit

__all__ = ["METRICS", "Layer", "Metric"]

Floats = NDArray[np.float64]

WEAK = 1e-6  # eigenvalues below this share of the largest are weak
TRACY_WIDOM_99 = 2.02  # 99% of the largest eigenvalues of noise lie below the edge plus this many widths


@dataclass(frozen=True)
class Layer:
    """The spectrum of a layer with its fit: what every metric is computed from.

    Attributes
    ----------
    evals : array, shape (k * M,)
        Eigenvalues of W'W of the layer's k matrices, pooled, ascending; the largest is positive.
    k, N, M : int
        Number of matrices, and their longer and shorter side.
    zero_tol : float
        Eigenvalues up to this one count as zero.
    fit : PowerLawFit or None
        The power law of the tail; None where none could be fitted.
    """

    evals: Floats
    k: int
    N: int
    M: int
    zero_tol: float
    fit: PowerLawFit | None

    @property
    def alpha(self) -> float:
        """The exponent, or NaN."""
        return self.fit.alpha if self.fit else math.nan


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
        ``Layer -> float``.
    """

    name: str
    unit: str
    higher_is_better: bool | None
    source: str
    compute: Callable[[Layer], float]


METRICS: dict[str, Metric] = {}

WEIGHTWATCHER = "WeightWatcher 0.7.7"


def _metric(
    *, unit: str, higher_is_better: bool | None, source: str
) -> Callable[[Callable[[Layer], float]], Callable[[Layer], float]]:
    def declare(function: Callable[[Layer], float]) -> Callable[[Layer], float]:
        name = function.__name__
        METRICS[name] = Metric(name, unit, higher_is_better, source, function)
        return function

    return declare


@_metric(unit="1", higher_is_better=None, source="Clauset, Shalizi, Newman (2009), eq. 3.1; 2 is ideal, see the docs")
def alpha(layer: Layer) -> float:
    """Exponent of the power law of the spectrum's tail."""
    return layer.alpha


@_metric(unit="W^2", higher_is_better=None, source="Clauset et al. (2009), section 3.3")
def xmin(layer: Layer) -> float:
    """Eigenvalue at which the tail begins."""
    return layer.fit.xmin if layer.fit else math.nan


@_metric(unit="W^2", higher_is_better=None, source=WEIGHTWATCHER)
def xmax(layer: Layer) -> float:
    """Largest eigenvalue in the fit."""
    return layer.fit.xmax if layer.fit else math.nan


@_metric(unit="1", higher_is_better=False, source="Clauset et al. (2009), eq. 3.9")
def D(layer: Layer) -> float:  # noqa: N802  (the column's name)
    """Kolmogorov-Smirnov distance between the tail and its fit."""
    return layer.fit.D if layer.fit else math.nan


@_metric(unit="1", higher_is_better=False, source="Clauset et al. (2009), eq. 3.2")
def sigma(layer: Layer) -> float:
    """Return the standard error of alpha."""
    return layer.fit.sigma if layer.fit else math.nan


@_metric(unit="count", higher_is_better=None, source=WEIGHTWATCHER)
def num_pl_spikes(layer: Layer) -> float:
    """Count the eigenvalues in the tail."""
    return layer.fit.num_pl_spikes if layer.fit else math.nan


@_metric(unit="log10 W^2", higher_is_better=False, source="Martin, Peng, Mahoney (2021), Nat. Commun. 12:4122")
def alpha_weighted(layer: Layer) -> float:
    """Alpha times the logarithm of the largest eigenvalue ("alpha-hat")."""
    return layer.alpha * log_spectral_norm(layer)


@_metric(unit="log10 W^2alpha", higher_is_better=False, source="Martin, Peng, Mahoney (2021), Nat. Commun. 12:4122")
def log_alpha_norm(layer: Layer) -> float:
    """Logarithm of the Schatten norm with power alpha, ``log10 sum(lambda^alpha)``."""
    logs = np.log(layer.evals[layer.evals > layer.zero_tol])
    return float(special.logsumexp(layer.alpha * logs) / math.log(10)) if layer.fit else math.nan


@_metric(unit="W^2", higher_is_better=None, source=WEIGHTWATCHER)
def norm(layer: Layer) -> float:
    """Squared Frobenius norm, the sum of the eigenvalues."""
    return float(layer.evals.sum())


@_metric(unit="log10 W^2", higher_is_better=None, source=WEIGHTWATCHER)
def log_norm(layer: Layer) -> float:
    """Logarithm of `norm`."""
    return math.log10(norm(layer))


@_metric(unit="W^2", higher_is_better=None, source=WEIGHTWATCHER)
def spectral_norm(layer: Layer) -> float:
    """Largest eigenvalue (the square of the matrix norm)."""
    return float(layer.evals[-1])


@_metric(unit="log10 W^2", higher_is_better=None, source=WEIGHTWATCHER)
def log_spectral_norm(layer: Layer) -> float:
    """Logarithm of `spectral_norm`."""
    return math.log10(spectral_norm(layer))


@_metric(unit="1", higher_is_better=True, source="Rudelson, Vershynin (2007), J. ACM 54(4)")
def stable_rank(layer: Layer) -> float:
    """Sum of the eigenvalues over the largest."""
    return norm(layer) / spectral_norm(layer)


@_metric(unit="1", higher_is_better=True, source="Roy, Vetterli (2007), EUSIPCO")
def effective_rank(layer: Layer) -> float:
    """Exponential of the entropy of the eigenvalues."""
    return math.exp(_spectral_entropy(layer))


@_metric(unit="1", higher_is_better=True, source="effective rank, against Marchenko and Pastur's law")
def relative_rank(layer: Layer) -> float:
    """Effective rank over that of noise of the same shape: 1 for noise, small where a layer has collapsed."""
    levels = (np.arange(layer.M) + 0.5) / layer.M
    noise = marchenko_pastur_quantiles(layer.N / layer.M, levels)
    return effective_rank(layer) / (layer.k * math.exp(float(special.entr(noise / noise.sum()).sum())))


@_metric(unit="count", higher_is_better=True, source="numpy.linalg.matrix_rank")
def matrix_rank(layer: Layer) -> float:
    """Count the eigenvalues that are not zero."""
    return float(np.count_nonzero(layer.evals > layer.zero_tol))


@_metric(unit="1", higher_is_better=True, source="Martin, Mahoney (2021), JMLR 22(165)")
def entropy(layer: Layer) -> float:
    """Entropy of the eigenvalues over its largest value at this rank, in [0, 1]; NaN at rank one."""
    rank = matrix_rank(layer)
    return _spectral_entropy(layer) / math.log(rank) if rank > 1 else math.nan


@_metric(unit="count", higher_is_better=False, source=WEIGHTWATCHER)
def rank_loss(layer: Layer) -> float:
    """Count the eigenvalues that are zero."""
    return len(layer.evals) - matrix_rank(layer)


@_metric(unit="count", higher_is_better=False, source=f"{WEIGHTWATCHER}, relative to the largest eigenvalue")
def weak_rank_loss(layer: Layer) -> float:
    """Count the eigenvalues below a millionth of the largest."""
    return float(np.count_nonzero(layer.evals < WEAK * layer.evals[-1]))


@_metric(unit="W^2", higher_is_better=None, source=WEIGHTWATCHER)
def lambda_max(layer: Layer) -> float:
    """Largest eigenvalue."""
    return spectral_norm(layer)


@_metric(unit="W", higher_is_better=None, source=WEIGHTWATCHER)
def sv_max(layer: Layer) -> float:
    """Largest singular value."""
    return math.sqrt(spectral_norm(layer))


@_metric(unit="W", higher_is_better=None, source=WEIGHTWATCHER)
def sv_min(layer: Layer) -> float:
    """Smallest singular value."""
    return math.sqrt(float(layer.evals[0]))


@_metric(unit="1", higher_is_better=None, source="Jensen-Shannon distance as in WeightWatcher, to Marchenko-Pastur")
def rand_distance(layer: Layer) -> float:
    """Distance between the spectrum and that of noise of the same shape, in [0, 0.83]; 0 for noise."""
    levels = (np.arange(layer.M) + 0.5) / layer.M
    noise = np.repeat(marchenko_pastur_quantiles(layer.N / layer.M, levels), layer.k)
    p, q = layer.evals / layer.evals.sum(), noise / noise.sum()
    middle = (p + q) / 2
    divergence = special.rel_entr(p, middle).sum() + special.rel_entr(q, middle).sum()
    return math.sqrt(max(divergence, 0.0) / 2)


@_metric(unit="1", higher_is_better=None, source="Martin, Mahoney (2021), JMLR 22(165); edge by Gavish, Donoho (2014)")
def mp_softrank(layer: Layer) -> float:
    """Edge of the random bulk over the largest eigenvalue: near 1 for noise, small for strong correlations."""
    return marchenko_pastur_edge(layer.N, layer.M, _bulk_variance(layer)) / spectral_norm(layer)


@_metric(unit="count", higher_is_better=None, source="Johnstone (2001), Ann. Statist. 29(2); edge by Gavish, Donoho")
def num_spikes(layer: Layer) -> float:
    """Count the eigenvalues beyond what noise with the bulk's variance reaches 99% of the time."""
    root_n, root_m = math.sqrt(layer.N), math.sqrt(layer.M)
    width = (root_n + root_m) * (1 / root_n + 1 / root_m) ** (1 / 3)
    limit = _bulk_variance(layer) * ((root_n + root_m) ** 2 + TRACY_WIDOM_99 * width)
    return float(np.count_nonzero(layer.evals > limit))


def _spectral_entropy(layer: Layer) -> float:
    return float(special.entr(layer.evals / layer.evals.sum()).sum())


def _bulk_variance(layer: Layer) -> float:
    """Variance of the elements of the random part, from the median eigenvalue, which spikes do not move.

    Gavish, Donoho (2014), The optimal hard threshold for singular values is 4/sqrt(3), IEEE Trans. IT 60(8).
    """
    noise = marchenko_pastur_quantiles(layer.N / layer.M, np.array([0.5]))[0]
    return float(np.median(layer.evals) / (layer.N * noise))

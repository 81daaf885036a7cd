"""The truncated power law ``x^-alpha exp(-Lambda x)``, by maximum likelihood above the xmin of the pure one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wwopt.powerlaw.fit import PowerLawFit
from wwopt.powerlaw.search import search

if TYPE_CHECKING:
    from wwopt.arrays import Floats

__all__ = ["fit_truncated"]

NODES = 128  # of the quadrature
NEGLIGIBLE = 45.0  # logarithms below its largest value at which an integrand is cut
STEPS, HALVINGS = 100, 40
SHRINK = 0.9  # most of itself that a parameter may lose in a step
CONVERGED = 1e-14  # decrement of the mean log-likelihood at which the search stops
BLOCK = 1 << 20  # numbers held at a time

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(NODES)


def fit_truncated(evals: Floats) -> list[PowerLawFit | None]:
    """Fit each row of ``evals``, shape (rows, n), ascending.

    The likelihood is concave over ``alpha >= 0, Lambda >= 0``, so there is one maximum; where it lies at
    ``Lambda = 0`` the fit is the pure power law.

    References
    ----------
    Clauset, Shalizi, Newman (2009), SIAM Review 51(4), table 2.1, "power law with cutoff".
    """
    fits = search(evals)
    found = [row for row, fit in enumerate(fits) if fit is not None]
    tails = [evals[row, -fit.num_pl_spikes :] / fit.xmin for row, fit in enumerate(fits) if fit is not None]
    logs = np.array([np.log(tail).mean() for tail in tails])
    values = np.array([(tail - 1).mean() for tail in tails])
    alpha, rate = _most_likely(logs, values)
    for index, (row, tail) in enumerate(zip(found, tails, strict=True)):
        fits[row] = _describe(tail, evals[row, -len(tail)], float(alpha[index]), float(rate[index]))
    return fits


def _describe(tail: Floats, xmin: float, alpha: float, rate: float) -> PowerLawFit:
    n = len(tail)
    return PowerLawFit(
        alpha=alpha,
        xmin=float(xmin),
        xmax=float(tail[-1] * xmin),
        D=_distance(tail, alpha, rate),
        sigma=_standard_error(alpha, rate) / float(np.sqrt(n)),
        num_pl_spikes=n,
        Lambda=rate / float(xmin),
    )


def _most_likely(logs: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Exponent and rate in units of xmin, from the means of ``ln u`` and of ``u - 1``, ``u = x / xmin``."""
    alpha, rate = 1 + 1 / logs, np.zeros(len(logs))
    inside = values * (alpha - 2) < 1  # else the slope at the edge of the domain keeps the rate at zero
    exponential = inside & (logs >= _TailMoments.of(np.zeros(len(logs)), 1 / values).log)
    alpha[exponential], rate[exponential] = 0.0, 1 / values[exponential]
    inside &= ~exponential
    alpha[inside], rate[inside] = _newton(logs[inside], values[inside])
    return alpha, rate


def _newton(logs: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Minimise the convex ``alpha logs + rate values + ln Z`` by damped steps; each row as if it were alone."""
    alpha, rate = 0.5 * (1 + 1 / logs), 1 / values
    active = np.arange(len(logs))
    for _ in range(STEPS):
        *stepped, promise = _step(alpha[active], rate[active], logs[active], values[active])
        alpha[active], rate[active] = stepped
        active = active[promise > CONVERGED]
        if len(active) == 0:
            break
    return alpha, rate


def _step(alpha: Floats, rate: Floats, logs: Floats, values: Floats) -> tuple[Floats, Floats, Floats]:
    """Step each row, halved until it descends; also the decrement that the whole step promised."""
    moments = _TailMoments.of(alpha, rate)
    d_alpha, d_rate, promise = moments.step(logs - moments.log, values - moments.value, alpha, rate)
    before = alpha * logs + rate * values + moments.log_mass
    size = np.ones(len(logs))
    for _ in range(HALVINGS):
        new_alpha, new_rate = alpha + size * d_alpha, rate + size * d_rate
        after = new_alpha * logs + new_rate * values + _log_mass(new_alpha, new_rate)
        worse = after > before - 0.1 * size * promise + CONVERGED
        if not worse.any():
            break
        size[worse] /= 2
    return new_alpha, new_rate, promise


@dataclass(frozen=True)
class _TailMoments:
    """Mass of ``u^-alpha exp(-rate (u - 1))`` over u > 1, and moments of ``ln u`` and of ``u - 1`` under it."""

    log_mass: Floats
    log: Floats
    value: Floats
    log_variance: Floats
    covariance: Floats
    value_variance: Floats
    determinant: Floats

    @classmethod
    def of(cls, alpha: Floats, rate: Floats) -> _TailMoments:
        """Integrate over ``t = ln u`` by Gauss and Legendre's rule."""
        t, log_density = _integrand(alpha, rate)
        peak = log_density.max(axis=-1, keepdims=True)
        mass = np.exp(log_density - peak)
        total = mass.sum(axis=-1)
        mass /= total[:, None]
        u = np.expm1(t)
        log, value = (mass * t).sum(axis=-1), (mass * u).sum(axis=-1)
        off_log, off_value = t - log[:, None], u - value[:, None]
        log_variance, covariance = (mass * off_log**2).sum(axis=-1), (mass * off_log * off_value).sum(axis=-1)
        rest = off_value - (covariance / log_variance)[:, None] * off_log  # in short tails the two are nearly parallel
        return cls(
            np.log(total) + peak[:, 0],
            log,
            value,
            log_variance,
            covariance,
            (mass * off_value**2).sum(axis=-1),
            log_variance * (mass * rest**2).sum(axis=-1),
        )

    def step(self, g: Floats, h: Floats, alpha: Floats, rate: Floats) -> tuple[Floats, Floats, Floats]:
        """Newton's step in alpha and in the rate, neither of which falls below a tenth, and its promised decrement.

        A step that ends at such a bound is the best one there, so that the search does not get stuck in a corner.
        """
        d_alpha = (self.covariance * h - self.value_variance * g) / self.determinant
        d_rate = (self.covariance * g - self.log_variance * h) / self.determinant
        short = d_rate < -SHRINK * rate
        d_rate = np.where(short, -SHRINK * rate, d_rate)
        d_alpha = np.where(short, -(g + self.covariance * d_rate) / self.log_variance, d_alpha)
        low = d_alpha < -SHRINK * alpha
        d_alpha = np.where(low, -SHRINK * alpha, d_alpha)
        d_rate = np.where(low, -(h + self.covariance * d_alpha) / self.value_variance, d_rate)
        d_rate = np.maximum(d_rate, -SHRINK * rate)
        return d_alpha, d_rate, -(g * d_alpha + h * d_rate)


def _integrand(alpha: Floats, rate: Floats) -> tuple[Floats, Floats]:
    """Nodes in ``t = ln u`` and the logarithm of density times weight there, each of shape (rows, nodes)."""
    end = _end(alpha, rate)[:, None]
    t = end * (1 + _NODES) / 2
    density = (1 - alpha[:, None]) * t - rate[:, None] * np.expm1(t)
    return t, density + np.log(_WEIGHTS * end / 2)


def _end(alpha: Floats, rate: Floats) -> Floats:
    """Value of t beyond which the second moment's integrand, ``exp((3 - alpha) t - rate (e^t - 1))``, is negligible."""
    power = 3 - alpha
    top = np.log(np.maximum(power / rate, 1.0))
    goal = power * top - rate * np.expm1(top) - NEGLIGIBLE
    t = np.log1p(5 * NEGLIGIBLE / rate)
    for _ in range(12):  # from the right a concave function's steps never pass its root
        t += (goal - power * t + rate * np.expm1(t)) / (power - rate * np.exp(t))
    return t


def _distance(tail: Floats, alpha: float, rate: float) -> float:
    """Kolmogorov-Smirnov distance; the survival function at each value is one more integral."""
    n = len(tail)
    logs = np.log(tail)
    log_survival = (1 - alpha) * logs - rate * (tail - 1)
    if rate > 0:
        pieces = np.array_split(tail, 1 + n * NODES // BLOCK)
        log_mass = np.concatenate([_log_mass(np.full(len(piece), alpha), rate * piece) for piece in pieces])
        log_survival += log_mass - log_mass[0]
    return float(np.abs(1 - np.exp(log_survival) - np.arange(n) / n).max())


def _log_mass(alpha: Floats, rate: Floats) -> Floats:
    _, log_density = _integrand(alpha, rate)
    return np.asarray(np.logaddexp.reduce(log_density, axis=-1))


def _standard_error(alpha: float, rate: float) -> float:
    """Standard error of alpha for one observation: the inverse of the information of both parameters together."""
    if rate == 0:
        return alpha - 1
    of = _TailMoments.of(np.array([alpha]), np.array([rate]))
    return float(np.sqrt(of.value_variance / of.determinant)[0])

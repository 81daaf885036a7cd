"""Median alphas of random matrices by simulation: ``python -m benchmarks.engine.noise_alphas``, about ten minutes.

Writes the table that `wwopt.null.noise_alpha` interpolates.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from scipy import linalg

import wwopt
from wwopt.powerlaw import fit_powerlaws

__all__ = ["GRID", "median_alphas", "simulate_spectra"]

GRID = {
    "M": [8, 16, 32, 64, 128, 256, 512, 1024, 2048],
    "Q": [1.0, 1.25, 1.5, 2.0, 4.0, 16.0, 256.0],
    "k": [1, 3, 9, 49],
}
MOST = 4096  # eigenvalues simulated; larger stacks take the value of the largest one below
ESTIMATORS = ("mle", "peak", "tpl")
TARGET = Path(wwopt.__file__).parent / "null" / "noise_alpha.json"


def main() -> None:
    """Fill the grid and write it."""
    table = {name: np.full([len(values) for values in GRID.values()], np.nan) for name in ESTIMATORS}
    for i, M in enumerate(GRID["M"]):
        for j, Q in enumerate(GRID["Q"]):
            for h, k in enumerate(GRID["k"]):
                if k * M <= MOST:
                    medians = median_alphas(round(Q * M), M, k, repeats=repeats(k * M), seed=[i, j, h])
                    for name in ESTIMATORS:
                        table[name][i, j, h] = medians[name]
                else:
                    for name in ESTIMATORS:
                        table[name][i, j, h] = table[name][i, j, h - 1]
        print(M, {name: np.round(values[i, :, 0], 2).tolist() for name, values in table.items()}, flush=True)
    rounded = {name: np.round(values, 3).tolist() for name, values in table.items()}
    TARGET.write_text(json.dumps({**GRID, **rounded}) + "\n", encoding="utf-8")


def repeats(n: int) -> int:
    """Number of repetitions; medians of small spectra scatter most, and cost least."""
    return int(np.clip(200_000 // n, 100, 1000)) | 1


def median_alphas(N: int, M: int, k: int, *, repeats: int, seed: object) -> dict[str, float]:
    """Median alpha of each estimator over as many Gaussian stacks."""
    spectra = list(simulate_spectra(N, M, k, repeats=repeats, seed=seed))
    return {
        name: float(np.median([fit.alpha for fit in fit_powerlaws(spectra, estimator=name) if fit]))
        for name in ESTIMATORS
    }


def simulate_spectra(N: int, M: int, k: int, *, repeats: int, seed: object) -> np.ndarray:
    """Pooled eigenvalues of Gaussian stacks, shape (repeats, k M), by the bidiagonal model.

    Dumitriu, Edelman (2002), Matrix models for beta ensembles, J. Math. Phys. 43(11).
    """
    rng = np.random.default_rng(seed)
    return np.stack([np.sort(np.concatenate([_spectrum(N, M, rng) for _ in range(k)])) for _ in range(repeats)])


def _spectrum(N: int, M: int, rng: np.random.Generator) -> np.ndarray:
    diagonal = rng.chisquare(np.arange(N, N - M, -1))
    off = rng.chisquare(np.arange(M - 1, 0, -1))
    main = diagonal + np.concatenate([[0.0], off])
    evals = linalg.eigh_tridiagonal(
        main, np.sqrt(diagonal[:-1] * off), eigvals_only=True, lapack_driver="sterf", check_finite=False
    )
    return np.maximum(evals, evals[-1] * 1e-14)


if __name__ == "__main__":
    main()

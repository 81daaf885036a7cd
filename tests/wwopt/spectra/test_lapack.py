"""LAPACK in place against NumPy, and that it lets other threads run."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from wwopt.spectra import lapack
from wwopt.spectra.lapack import add_gram, eigenvalues_in_place


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 2), (70, 40), (40, 70), (200, 150)])
def test_equals_numpy(n, m, order, dtype, rng):
    """Gram matrices summed up from blocks, by rows or by columns, have NumPy's eigenvalues."""
    W = np.asarray(rng.normal(size=(n, m)), dtype=dtype, order=order)
    gram = np.zeros((m, m), dtype)
    for half in (W[: n // 2], W[n // 2 :]):
        if len(half):
            add_gram(gram, np.asarray(half, order=order))
    expected = np.linalg.eigvalsh(W.astype(np.float64).T @ W)
    tolerance = 100 * np.finfo(dtype).eps * expected.max()
    evals = eigenvalues_in_place(gram)
    assert evals.dtype == dtype
    np.testing.assert_allclose(evals, expected, atol=tolerance)


def test_other_threads_run_meanwhile(rng):
    """While LAPACK works, Python does: the lock is not held."""
    gram = np.zeros((900, 900))
    add_gram(gram, rng.normal(size=(900, 900)))
    worker = threading.Thread(target=eigenvalues_in_place, args=(gram,))
    steps = 0
    worker.start()
    while worker.is_alive():
        steps += 1
    assert steps > 1000


def test_no_convergence_is_an_error(monkeypatch):
    """A failure that LAPACK reports is an error, not a spectrum."""
    routine = lapack._routine

    def failing(module, name):
        def solve(*arguments):
            arguments[-1]._obj.value = 3

        return solve if name.endswith("sterf") else routine(module, name)

    monkeypatch.setattr(lapack, "_routine", failing)
    with pytest.raises(np.linalg.LinAlgError, match="3 eigenvalues did not converge"):
        eigenvalues_in_place(np.eye(4))

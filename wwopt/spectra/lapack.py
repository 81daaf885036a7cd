"""LAPACK in place and without the global interpreter lock, which SciPy's own wrappers hold.

NumPy's `eigvalsh` copies its argument and takes the slower driver in single precision; SciPy's functions let no two
threads run at once. The routines behind both are public in `scipy.linalg.cython_lapack` and called from here.
"""

from __future__ import annotations

import ctypes
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from wwopt.arrays import Values

__all__ = ["add_gram", "eigenvalues_in_place", "is_available"]

PANEL = 32  # columns that LAPACK reduces at a time


@cache
def is_available() -> bool:
    """Whether SciPy's BLAS and LAPACK take 32-bit integers, as the calls here assume."""
    capsules = (_capsule("cython_blas", "dsyrk"), _capsule("cython_lapack", "dsytrd"))
    return all("int *" in str(_name(capsule)) and "long" not in str(_name(capsule)) for capsule in capsules)


def add_gram(gram: Values, block: Values) -> None:
    """Add ``X'X`` to the lower triangle (in columns) of a symmetric matrix, in place.

    Parameters
    ----------
    gram : array, shape (m, m)
        Contiguous; float32 or float64.
    block : array, shape (n, m)
        Of the same type, contiguous in rows or in columns.
    """
    n, m = block.shape
    by_rows = block.flags.c_contiguous
    kind = _kind(gram)
    one = ctypes.byref(kind(1.0))
    transposition, leading = (b"N", m) if by_rows else (b"T", n)
    _routine("cython_blas", f"{_letter(gram)}syrk")(
        b"L", transposition, _int(m), _int(n), one, _address(block), _int(leading), one, _address(gram), _int(m)
    )


def eigenvalues_in_place(gram: Values) -> Values:
    """Eigenvalues of a symmetric matrix, ascending; the matrix is overwritten.

    Parameters
    ----------
    gram : array, shape (m, m)
        Finite, contiguous, its lower triangle (in columns) filled; float32 or float64.

    Raises
    ------
    numpy.linalg.LinAlgError
        The iteration did not converge.

    Examples
    --------
    >>> gram = np.zeros((2, 2))
    >>> add_gram(gram, np.array([[3.0, 0.0], [0.0, 2.0]]))
    >>> eigenvalues_in_place(gram).tolist()
    [4.0, 9.0]
    """
    m = len(gram)
    diagonal, off, tau, work = (np.empty(size, gram.dtype) for size in (m, m, m, PANEL * m))
    size, info = _int(m), ctypes.c_int(0)
    reduce, solve = (_routine("cython_lapack", _letter(gram) + name) for name in ("sytrd", "sterf"))
    vectors = [_address(vector) for vector in (diagonal, off, tau, work)]
    reduce(b"L", size, _address(gram), size, *vectors, _int(len(work)), ctypes.byref(info))
    solve(size, *vectors[:2], ctypes.byref(info))
    if info.value:
        raise np.linalg.LinAlgError(f"{info.value} eigenvalues did not converge")
    return diagonal


def _letter(matrix: Values) -> str:
    return "s" if matrix.dtype == np.float32 else "d"


def _kind(matrix: Values) -> type[ctypes.c_float | ctypes.c_double]:
    return ctypes.c_float if matrix.dtype == np.float32 else ctypes.c_double


def _int(value: int) -> Any:
    return ctypes.byref(ctypes.c_int(value))


def _address(array: Values) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


@cache
def _routine(library: str, name: str) -> Any:
    """Look up a routine; calls through ctypes release the lock."""
    capsule = _capsule(library, name)
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return ctypes.CFUNCTYPE(None)(pointer(capsule, _name(capsule)))


def _capsule(library: str, name: str) -> Any:
    """Return the capsule of a routine; SciPy's linear algebra is imported only here, where it is needed."""
    return import_module(f"scipy.linalg.{library}").__pyx_capi__[name]


def _name(capsule: object) -> bytes:
    """Signature of a routine, which is the name of its capsule."""
    name = ctypes.pythonapi.PyCapsule_GetName
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    signature: bytes = name(ctypes.py_object(capsule))
    return signature

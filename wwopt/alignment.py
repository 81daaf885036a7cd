"""How neighbouring layers fit: whether what one writes is what the next reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from wwopt.graph import Space, spaces_by_graph, spaces_by_order

if TYPE_CHECKING:
    from wwopt.weights import WeightMatrix

__all__ = ["PAIR_COLUMNS", "align", "find_spaces", "subspace_alignment"]

Floats = NDArray[np.float64]

PAIR_COLUMNS = ("writers", "readers", "width", "k", "alignment")
SWEEPS = 3
FEWEST_DIRECTIONS = 8
TINY = 1e-12
BY_INPUTS = ("embedding", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
KNOWN = (*BY_INPUTS, "dense", "conv1d", "conv2d", "conv3d", "lstm", "gru", "rnn")


def find_spaces(source: object, matrices: Sequence[WeightMatrix]) -> list[Space]:
    """Find the hidden spaces of a network: by its graph where the source is a module, else by order and shape."""
    import torch  # noqa: PLC0415  (heavy)

    spaces = spaces_by_graph(source) if isinstance(source, torch.nn.Module) else None
    if spaces is None:
        spaces = spaces_by_order([(m.name, m.layer_type, *(_sides(m) or (0, 0))) for m in matrices])
    return spaces


def align(matrices: Sequence[WeightMatrix], spaces: Sequence[Space]) -> list[dict[str, object]]:
    """Measure each hidden space whose writers and readers fit together.

    Returns
    -------
    list of dict
        With `PAIR_COLUMNS`: names joined by `` + ``, the width of the space, the number of directions compared,
        and the alignment, 0 for random layers and 1 where the subspaces are the same; NaN where values are not
        finite.
    """
    by_name = {matrix.name: matrix for matrix in matrices if _sides(matrix) is not None}
    last = next((_sides(matrix) for matrix in reversed(by_name.values()) if matrix.layer_type == "dense"), None)
    outputs = last[0] if last else 0
    rows = []
    for space in spaces:
        writers = [by_name[name] for name in space.writers if name in by_name]
        readers = [by_name[name] for name in space.readers if name in by_name]
        row = _measure(writers, readers, outputs)
        if row is not None:
            rows.append(row)
    return rows


def _measure(
    writers: Sequence[WeightMatrix], readers: Sequence[WeightMatrix], outputs: int
) -> dict[str, object] | None:
    widths = [sides[0] for writer in writers if (sides := _sides(writer))]
    if not widths or not readers:
        return None
    width = max(set(widths), key=widths.count)
    written = [(w, _written(w)) for w, size in zip(writers, widths, strict=True) if size == width]
    maps = all(matrix.layer_type.startswith("conv") for matrix, _ in written)
    read = [(r, _read(r, width, maps=maps)) for r in readers if _fits(r, width)]
    k = min(max(outputs - 1, FEWEST_DIRECTIONS), width // 4)
    if not read or k < 1:
        return None
    return {
        "writers": " + ".join(matrix.name for matrix, _ in written),
        "readers": " + ".join(matrix.name for matrix, _ in read),
        "width": width,
        "k": k,
        "alignment": subspace_alignment(np.hstack([F for _, F in written]), np.hstack([G for _, G in read]), k),
    }


def subspace_alignment(F: Floats, G: Floats, k: int) -> float:
    """Overlap of the leading ``k`` directions in which F writes with those in which G reads.

    Both are first balanced: a unit that is written loudly and read softly counts as in the reverse case, so that the
    number does not change when a ReLU's or a normalisation's unit is rescaled.

    Parameters
    ----------
    F : array, shape (h, a)
        What is written, a row for each of the ``h`` units.
    G : array, shape (h, b)
        What is read of them.
    k : int
        Number of directions, less than h.

    Returns
    -------
    float
        0 on average for random matrices, 1 for the same subspace; NaN where a value is not finite.
    """
    if not (np.isfinite(F).all() and np.isfinite(G).all()):
        return float("nan")
    h = len(F)
    F, G = _balanced(F, G)
    U, V = _leading(F, k), _leading(G, k)
    overlap = float(np.linalg.norm(U.T @ V) ** 2) / k
    return (overlap - k / h) / (1 - k / h)


def _balanced(F: Floats, G: Floats) -> tuple[Floats, Floats]:
    for _ in range(SWEEPS):
        f, g = np.linalg.norm(F, axis=1), np.linalg.norm(G, axis=1)
        alive = (f > TINY * f.max()) & (g > TINY * g.max())
        factor = np.sqrt(np.divide(g, f, out=np.zeros_like(f), where=alive))
        F = F * factor[:, None]
        G = G * np.divide(1.0, factor, out=np.zeros_like(factor), where=alive)[:, None]
    return F, G


def _leading(F: Floats, k: int) -> Floats:
    """Eigenvectors of FF' with the ``k`` largest eigenvalues, shape (h, k)."""
    h = len(F)
    vectors: Floats = linalg.eigh(F @ F.T, subset_by_index=(h - k, h - 1), check_finite=False)[1]
    return vectors


def _sides(matrix: WeightMatrix) -> tuple[int, int] | None:
    """Outputs and inputs of a layer; None where they cannot be told."""
    if matrix.rank is not None or matrix.layer_type not in KNOWN:
        return None
    turned = matrix.transposed != _is_by_inputs(matrix)
    return (matrix.M, matrix.N) if turned else (matrix.N, matrix.M)


def _is_by_inputs(matrix: WeightMatrix) -> bool:
    """Whether a layer is stored with a row for each input, as tables and the kernels of Flax and Keras are."""
    return matrix.layer_type in BY_INPUTS or matrix.name.endswith(".kernel")


def _written(matrix: WeightMatrix) -> Floats:
    """Weights as (outputs, everything else)."""
    return _oriented(matrix, outputs_first=True)


def _fits(reader: WeightMatrix, width: int) -> bool:
    """Whether a layer reads a space of this width; a dense one may read it at several places, flattened."""
    inputs = (_sides(reader) or (0, 0))[1]
    return inputs == width or (reader.layer_type == "dense" and inputs > 0 and inputs % width == 0)


def _read(matrix: WeightMatrix, width: int, *, maps: bool) -> Floats:
    """Weights as (width, everything else); of flattened maps the places of a channel stand together."""
    rows = _oriented(matrix, outputs_first=False)
    if maps:
        return rows.reshape(width, -1)
    return rows.reshape(-1, width, rows.shape[1]).swapaxes(0, 1).reshape(width, -1)


def _oriented(matrix: WeightMatrix, *, outputs_first: bool) -> Floats:
    stack = np.asarray(matrix.read(), dtype=np.float64)
    outputs_are_rows = matrix.transposed == _is_by_inputs(matrix)
    first = stack if outputs_are_rows == outputs_first else stack.swapaxes(1, 2)
    return first.transpose(1, 2, 0).reshape(first.shape[1], -1)

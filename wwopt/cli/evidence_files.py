"""Files that answers, inputs and training losses come in."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["read_arrays", "read_inputs_file", "read_losses"]

LABELS = "labels"


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of an ``.npz`` file by their names, without pickles.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is damaged, or would expand to far more memory than its size suggests.
    """
    from wwopt.weights.formats.npz import read_npz  # noqa: PLC0415

    if not path.exists():
        raise FileNotFoundError(f"No such file: {path}")
    return {tensor.name: np.asarray(tensor.read()) for tensor in read_npz(path)}


def read_inputs_file(path: Path) -> Any:
    """Read inputs: one array of an ``.npy`` or ``.npz`` file, or several, which are given to models by their names.

    An array called ``labels`` is no input; what is returned is a pair, then.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is of another kind, or damaged.
    """
    if not path.exists():
        raise FileNotFoundError(f"No such file: {path}")
    if path.suffix == ".npy":
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise ValueError(f"{path} is not a readable npy file: {error}") from error
    if path.suffix != ".npz":
        raise ValueError(f"`--inputs` must be an .npy or .npz file, got {path}. `wwopt.rank(inputs=...)` takes others.")
    arrays = read_arrays(path)
    labels = arrays.pop(LABELS, None)
    if not arrays:
        raise ValueError(f"`--inputs` must hold an array of inputs, and {path} holds none.")
    inputs = next(iter(arrays.values())) if len(arrays) == 1 else arrays
    return inputs if labels is None else (inputs, labels)


def read_losses(path: Path) -> dict[str, float]:
    """Read training losses: a JSON object of names and numbers, or a CSV file with such columns and a heading.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file does not read so.
    """
    if not path.exists():
        raise FileNotFoundError(f"No such file: {path}")
    text = path.read_text(encoding="utf-8")
    try:
        if path.suffix == ".csv":
            rows = [row for row in csv.reader(text.splitlines()) if row][1:]
            return {row[0]: float(row[1]) for row in rows}
        return {str(name): float(loss) for name, loss in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"`--losses` must hold a name and a number for each network, and {path} does not: {error}"
                         ) from error  # fmt: skip

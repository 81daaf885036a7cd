"""Cache of results by the content of the weights: an unchanged tensor is never decomposed twice."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wwopt.engine.measured import Measured
from wwopt.spectra import row_blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wwopt.engine.settings import Settings
    from wwopt.weights import WeightMatrix

__all__ = ["Cache"]

NUMERICS = 3  # changes whenever the same weights would give another number
IRRELEVANT = ("include", "exclude", "min_evals", "max_evals", "base", "alignment", "invariant")  # to one layer
DIGEST = hashlib.sha256().digest_size


@dataclass(frozen=True)
class Cache:
    """A folder with a file for each result, written at once or not at all: any number of processes may share it.

    Parameters
    ----------
    folder : path
        Made where it does not exist. It may be deleted at any time.
    """

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def key(self, matrix: WeightMatrix, stack: NDArray[Any], settings: Settings) -> str:
        """Hash the weights, their type and shape and the settings that change numbers."""
        relevant = {name: value for name, value in settings.to_dict().items() if name not in IRRELEVANT}
        if settings.confidence is None:
            del relevant["seed"]  # nothing is drawn
        facts = [NUMERICS, relevant, matrix.k, matrix.N, matrix.M, matrix.scale, matrix.rank, str(stack.dtype)]
        digest = hashlib.sha256(json.dumps(facts).encode())
        for W in stack:
            for block in row_blocks(W):
                by_columns = block.strides[0] < block.strides[1]
                digest.update(b"T" if by_columns else b"N")
                digest.update(np.ascontiguousarray(block.T if by_columns else block).data.cast("B"))
        return digest.hexdigest()

    def get(self, key: str) -> Measured | None:
        """Return the result that was kept; None where there is none, or where its file is damaged."""
        try:
            content = self._path(key).read_bytes()
        except FileNotFoundError:
            return None
        body = content[DIGEST:]
        if hashlib.sha256(body).digest() != content[:DIGEST]:
            return None
        numbers, _, values = body.partition(b"\n")
        return Measured(json.loads(numbers), np.frombuffer(values, dtype="<f8").astype(np.float64))

    def put(self, key: str, measured: Measured) -> None:
        """Keep a result."""
        body = json.dumps(measured.numbers).encode() + b"\n" + measured.evals.astype("<f8").tobytes()
        path = self._path(key)
        path.parent.mkdir(exist_ok=True)
        handle, scratch = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(body).digest() + body)
        Path(scratch).replace(path)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key[2:]

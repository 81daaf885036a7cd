"""LoRA adapters: the spectrum of ``scale B A`` from its thin factors, without ever forming the product."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wwopt.weights.layout import to_matrices
from wwopt.weights.matrix import NamedTensor, Read, WeightMatrix, Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["CONFIG", "LowRank", "read_adapter"]

CONFIG = "adapter_config.json"
FILES = ("adapter_model.safetensors", "adapter_model.bin")
PREFIX = "base_model.model."
FACTOR = re.compile(r"(?P<layer>.*)\.lora_(?P<kind>embedding_)?(?P<factor>[AB])(\.default)?(\.weight)?$")


@dataclass(frozen=True)
class LowRank:
    """A small matrix with the singular values of ``B A``: the product of the triangular factors of B and A'."""

    B: Read
    A: Read

    def __call__(self) -> NDArray[np.float64]:
        """Return the matrix, shape (1, rank, rank); NaN where a factor holds a value that is not finite."""
        B, A = self.B().astype(np.float64), self.A().astype(np.float64)
        if not (np.isfinite(B).all() and np.isfinite(A).all()):
            return np.full((1, A.shape[0], A.shape[0]), np.nan)
        core = _triangular(B) @ _triangular(A.T).T
        tall: NDArray[np.float64] = core if core.shape[0] >= core.shape[1] else core.T
        return tall[None]


def _triangular(factor: NDArray[np.float64]) -> NDArray[np.float64]:
    triangle: NDArray[np.float64] = np.asarray(np.linalg.qr(factor, mode="r"))
    return triangle


def read_adapter(folder: Path, read_file: Callable[[Path], Iterable[NamedTensor]]) -> Weights:
    """Describe the products of a LoRA adapter's factors, and the layers that were saved whole.

    Raises
    ------
    ValueError
        The adapter is of another kind, or its files are damaged or missing.
    """
    config = _config(folder / CONFIG)
    file = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if file is None:
        raise ValueError(f"{folder} is an adapter without weights; it has none of {', '.join(FILES)}.")
    factors: dict[str, dict[str, NamedTensor]] = {}
    others = []
    for tensor in read_file(file):
        match = FACTOR.match(tensor.name.removeprefix(PREFIX))
        if match is None:
            others.append(tensor)
        else:
            factors.setdefault(match["layer"], {})[match["factor"]] = tensor
    whole = to_matrices(others)
    products = [_product(layer, pair, config) for layer, pair in factors.items()]
    matrices = [product for product in products if isinstance(product, WeightMatrix)]
    skipped = [product for product in products if not isinstance(product, WeightMatrix)]
    return Weights((*matrices, *whole.matrices), (*skipped, *whole.skipped))


def _config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes())
        kind = config["peft_type"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is not a readable adapter configuration: {error!r}") from error
    if kind != "LORA":
        raise ValueError(f"{path} describes an adapter of the kind {kind!r}; only LORA can be analysed.")
    return dict(config)


def _product(layer: str, pair: dict[str, NamedTensor], config: dict[str, Any]) -> WeightMatrix | tuple[str, str]:
    if set(pair) != {"A", "B"}:
        return layer, f"the factor {'B' if 'A' in pair else 'A'} is missing"
    A, B = pair["A"], pair["B"]
    if len(A.shape) != 2 or len(B.shape) != 2 or A.shape[0] != B.shape[1] or 0 in (*A.shape, *B.shape):
        return layer, f"factors of shapes {B.shape} and {A.shape} are no product of matrices"
    sides = sorted((B.shape[0], A.shape[1]))
    rank = min(A.shape[0], *sides)
    scale = _scale(layer, A.shape[0], config)
    return WeightMatrix(layer, "lora", 1, sides[1], sides[0], LowRank(B.read, A.read), scale, rank)


def _scale(layer: str, r: int, config: dict[str, Any]) -> float:
    """Compute the factor on ``B A``: alpha / r, or alpha / sqrt(r) where it is rank-stabilised."""
    patterns = config.get("alpha_pattern") or {}
    alpha = next((value for key, value in patterns.items() if re.match(rf"(.*\.)?({key})$", layer)), None)
    alpha = config.get("lora_alpha") or r if alpha is None else alpha
    return float(alpha) / (math.sqrt(r) if config.get("use_rslora") else r)

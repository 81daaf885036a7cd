"""LoRA adapters: the spectrum of ``scale B A`` from its thin factors, without forming the product."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from wwopt.weights.matrices.layout import to_matrices
from wwopt.weights.matrices.matrix import WeightMatrix, Weights
from wwopt.weights.tensors.adapted import PREFIX, WAY_OUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from wwopt.arrays import Floats, Values
    from wwopt.weights.tensors.tensor import NamedTensor, Read

__all__ = ["CONFIG", "LowRank", "read_adapter"]

CONFIG = "adapter_config.json"
FILES = ("adapter_model.safetensors", "adapter_model.bin")
REPEATED, MOST_REPEATED, NESTED = re.compile(r"[*+{]"), 4, re.compile(r"\)[*+{]")
MAGNITUDE = re.compile(r"(?P<layer>.*)\.lora_magnitude_vector")
DORA = f"adapted by DoRA, whose change depends on the base. {WAY_OUT}"
FACTOR = re.compile(r"(?P<layer>.*)\.lora_(?P<kind>embedding_)?(?P<factor>[AB])(\.default)?(\.weight)?$")


@dataclass(frozen=True)
class LowRank:
    """Small matrices with the singular values of ``B A``: the products of the triangular factors of B and A'."""

    B: Read
    A: Read
    magnitude: Read | None = None  # lengths of the rows that DoRA gives the sum of base and product

    def __call__(self) -> Floats:
        """Return a matrix for each position of a kernel, shape (k, rank, rank); NaN where a factor is not finite."""
        with np.errstate(invalid="ignore"):
            B, A = (np.float64(factor).reshape(*factor.shape[:2], -1) for factor in (self.B(), self.A()))
        if not (np.isfinite(B).all() and np.isfinite(A).all()):
            return np.full((A.shape[2], A.shape[0], A.shape[0]), np.nan)
        left = _triangular(B[:, :, 0])
        cores = [left @ _triangular(A[:, :, place].T).T for place in range(A.shape[2])]
        tall: Floats = np.stack([core if core.shape[0] >= core.shape[1] else core.T for core in cores])
        return tall

    @property
    def product(self) -> Values:
        """The product as it would be stored, shape (outputs, inputs * positions)."""
        B, A = self.B(), self.A()
        whole: Values = B.reshape(len(B), -1).astype(np.float32) @ A.reshape(len(A), -1).astype(np.float32)
        return whole


def _triangular(factor: Floats) -> Floats:
    triangle: Floats = np.asarray(np.linalg.qr(factor, mode="r"))
    return triangle


def read_adapter(folder: Path, read_file: Callable[[Path], Iterable[NamedTensor]]) -> Weights:
    """Describe the products of a LoRA adapter's factors, and the layers that it saves whole.

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
    lengths: dict[str, NamedTensor] = {}
    for tensor in read_file(file):
        name = tensor.name.removeprefix(PREFIX)
        match, magnitude = FACTOR.match(name), MAGNITUDE.match(name)
        if magnitude is not None:
            lengths[magnitude["layer"]] = tensor
        elif match is None:
            others.append(tensor)
        else:
            factors.setdefault(match["layer"], {})[match["factor"]] = tensor
    whole = to_matrices(others)
    products = [_product(layer, pair, config) for layer, pair in factors.items()]
    found = [product for product in products if isinstance(product, WeightMatrix)]
    skipped = [product for product in products if not isinstance(product, WeightMatrix)]
    skipped += [(matrix.name, DORA) for matrix in found if matrix.name in lengths]
    matrices = [matrix for matrix in found if matrix.name not in lengths]
    partial = tuple(_with_lengths(matrix, lengths[matrix.name]) for matrix in found if matrix.name in lengths)
    rest = (*(vector for _, vector in whole.vectors), *whole.rest)
    return Weights((*matrices, *whole.matrices), (*skipped, *whole.skipped), rest=rest, partial=partial)


def _with_lengths(matrix: WeightMatrix, lengths: NamedTensor) -> WeightMatrix:
    read = matrix.read
    return replace(matrix, read=replace(read, magnitude=lengths.read)) if isinstance(read, LowRank) else matrix


def _config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes())
        kind = config["peft_type"]
        for key, alpha in {"": config.get("lora_alpha") or 1, **(config.get("alpha_pattern") or {})}.items():
            re.compile(key), float(alpha)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError, re.error) as error:
        raise ValueError(f"{path} is not a readable adapter configuration: {error!r}") from error
    if kind != "LORA":
        raise ValueError(f"{path} describes an adapter of the kind {kind!r}; only LORA can be analysed.")
    return dict(config)


def _product(layer: str, pair: dict[str, NamedTensor], config: dict[str, Any]) -> WeightMatrix | tuple[str, str]:
    if set(pair) != {"A", "B"}:
        return layer, f"the factor {'B' if 'A' in pair else 'A'} is missing"
    A, B = pair["A"], pair["B"]
    if min(len(A.shape), len(B.shape)) < 2 or A.shape[0] != B.shape[1] or 0 in (*A.shape, *B.shape):
        return layer, f"factors of shapes {B.shape} and {A.shape} are no product of matrices"
    if math.prod(B.shape[2:]) > 1:
        return layer, f"factors of shapes {B.shape} and {A.shape}: only A may be a kernel of more than one position"
    k, sides = math.prod(A.shape[2:]), sorted((B.shape[0], A.shape[1]))
    rank = min(A.shape[0], *sides)
    scale = _scale(layer, A.shape[0], config) * (math.sqrt(0.5) if len(A.shape) == 4 else 1)
    return WeightMatrix(
        layer,
        "lora",
        k,
        sides[1],
        sides[0],
        LowRank(B.read, A.read),
        scale,
        rank,
        B.shape[0] < A.shape[1],
        dtype=A.dtype,
    )


def _scale(layer: str, r: int, config: dict[str, Any]) -> float:
    """Compute the factor on ``B A``: alpha / r, or alpha / sqrt(r) where it is rank-stabilised."""
    patterns = config.get("alpha_pattern") or {}
    alpha = next((value for key, value in patterns.items() if _matches(key, layer)), None)
    alpha = config.get("lora_alpha") or r if alpha is None else alpha
    return float(alpha) / (math.sqrt(r) if config.get("use_rslora") else r)


def _matches(pattern: str, layer: str) -> bool:
    """Whether a pattern matches a layer by PEFT's rules; one that could take forever to match is compared as text."""
    if len(REPEATED.findall(pattern)) > MOST_REPEATED or NESTED.search(pattern):
        return layer == pattern or layer.endswith(f".{pattern}")
    return re.match(rf"(.*\.)?({pattern})$", layer) is not None

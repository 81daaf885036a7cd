"""Tensors of two or more dimensions that are no weights: told by their names, their neighbours and their values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wwopt.weights.matrices.table_values import is_positive, kind_of_values
from wwopt.weights.tensors.dtypes import is_weight_dtype
from wwopt.weights.tensors.names import WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wwopt.weights.tensors.tensor import NamedTensor

__all__ = ["NORMALIZATION", "reason_not_a_bias", "reason_not_a_weight"]

NORMALIZATION = "normalization"  # as a layer's type, where a module tells it
BUFFER = "a buffer of the module, not a weight"
MASK = "a mask, not a weight"
CAUSAL = "a causal mask, not a weight"
BIAS = "a bias of several axes, not a weight"
GAIN = "of a normalisation over several axes, not a weight"
EXPERT_BIAS = "a bias for each expert, not a weight"
QUEUE = "a queue of features, not a weight"
AVERAGED = "a codebook that averages move, not a weight"
COPY = "a copy kept beside the weight"
STATISTIC = "a running statistic, not a weight"

ROTARY = "a table of rotary or sinusoidal positions, which is not learned"
BASIS = "a Fourier basis or a bank of filters, which is not learned"
ONE_DIMENSION = (ROTARY, BASIS)

NAMES = {  # of the last part of a name
    r"(.*_)?mask|tril|triu|causal": MASK,
    r"(original_)?inv_freq|freqs?(_(cis|cos|sin))?|(cos|sin)(_?cached?)?|rope(_cache|_cos|_sin)?|rotary_(cos|sin)"
    r"|sinusoid.*": ROTARY,
    r"(.*_)?queue(_.*)?|((memory|feature|image|text)_)?bank": QUEUE,
    r"(mel|fft|dft|stft|fourier|dct|forward|inverse)_?(basis(_buffer)?|bases|filters?|filterbanks?|fb|mat|matrix|window)"
    r"|melW|fb|fbanks?|filterbanks?|(.*_)?window": BASIS,
    r"anchors?(_grid|_points)?|alibi(_slopes)?|noise_const|(.*_)?gaussian_matrix": "a constant, no weight",
    r"(weight_)?(epsilon|eps|noise)": "noise that is drawn anew, not a weight",  # of noisy layers
    r"running_\w+": STATISTIC,
}
GAINS, BIASES = ("weight", "scale", "gamma", "gain"), ("bias", "offset", "beta")
WIDEST_KERNEL = 8
BESIDE = (*GAINS, *BIASES)
KINDS = [(re.compile(names), reason) for names, reason in NAMES.items()]
NORM = re.compile(r"norm|(^|_)(ln|gn|bn)_?\d*(_|$)", re.IGNORECASE)
POSITIONS = re.compile(r"pos|rotary|sinusoid|stft|fourier|dft|spectrogram|(^|[._/])mel", re.IGNORECASE)


def reason_not_a_weight(tensor: NamedTensor, path: str, others: Mapping[str, NamedTensor]) -> str | None:
    """Say why a tensor is no weight matrix of a layer; None where it is one, as far as can be told.

    Parameters
    ----------
    tensor : NamedTensor
        Of two or more dimensions, with values of a weight's type.
    path : str
        Its name, joined by dots.
    others : mapping of str to NamedTensor
        All tensors of the source by their names, joined by dots.
    """
    owner, _, leaf = path.rpartition(".")
    beside = {key: other for key in BESIDE if (other := others.get(f"{owner}.{key}" if owner else key)) is not None}
    return (
        _by_neighbours(tensor, owner, leaf, beside)
        or _by_name(tensor, path, leaf)
        or _by_companions(tensor.shape, owner, leaf, others)
        or (kind_of_values(tensor) if _is_doubtful(tensor, path, leaf) else None)
        or (BUFFER if tensor.buffer else None)
    )


def reason_not_a_bias(path: str) -> str | None:
    """Say why a tensor of one dimension is no bias and no gain: a table of frequencies, a window; else None."""
    leaf = path.rpartition(".")[-1]
    return next((reason for names, reason in KINDS if reason in ONE_DIMENSION and names.fullmatch(leaf)), None)


def _by_neighbours(tensor: NamedTensor, owner: str, leaf: str, beside: Mapping[str, NamedTensor]) -> str | None:
    """Tell the gain and the bias of a normalisation over several axes: of one shape, or a gain that has no bias."""
    partners = [beside[key] for key in (GAINS if leaf in BIASES else BIASES) if key in beside]
    if leaf not in (*GAINS, *BIASES):
        return None
    if tensor.layer_type == NORMALIZATION or any(partner.shape == tensor.shape for partner in partners):
        return GAIN
    if leaf in BIASES or tensor.layer_type is not None or partners:
        return None
    is_norm = NORM.search(owner.rpartition(".")[-1]) is not None
    return GAIN if is_norm or _is_of_images(tensor) else None


def _is_of_images(tensor: NamedTensor) -> bool:
    """Whether a tensor without a bias has the shape of square images, wider than a kernel, and no negative value."""
    sides = set(tensor.shape[1:])
    square = len(tensor.shape) > 2 and len(sides) == 1 and min(sides) >= WIDEST_KERNEL
    return square and _has_values(tensor) and is_positive(tensor)


def _by_name(tensor: NamedTensor, path: str, leaf: str) -> str | None:
    if leaf == "bias":
        *batch, rows, columns = tensor.shape
        return CAUSAL if rows == columns and set(batch) <= {1} and len(batch) > 1 else BIAS
    if leaf.endswith("bias") and "expert" in path and tensor.layer_type is None:
        return EXPERT_BIAS
    return next((reason for names, reason in KINDS if names.fullmatch(leaf)), None)


def _by_companions(shape: tuple[int, ...], owner: str, leaf: str, others: Mapping[str, NamedTensor]) -> str | None:
    start = owner and f"{owner}."
    if leaf.startswith("weight_") and f"{start}weight" in others and others[f"{start}weight"].shape == shape:
        return COPY
    if f"{start}{leaf}_avg" in others or (leaf.endswith("_avg") and f"{start}{leaf.removesuffix('_avg')}" in others):
        return AVERAGED
    return QUEUE if f"{start}{leaf}_ptr" in others or f"{start}ptr_{leaf}" in others else None


def _is_doubtful(tensor: NamedTensor, path: str, leaf: str) -> bool:
    """Whether the name does not say that it is a weight, or is one that tables of positions and bases go by."""
    known = tensor.layer_type is not None or WEIGHTS.fullmatch(leaf) is not None
    return _has_values(tensor) and (not known or POSITIONS.search(path) is not None)


def _has_values(tensor: NamedTensor) -> bool:
    return is_weight_dtype(tensor.dtype) and tensor.unusable is None and 0 not in tensor.shape

"""`align_names`: one network's layers under the names that another gives them."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wwopt.weights.tensors.names import parts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wwopt.weights.matrices.matrix import WeightMatrix, Weights

__all__ = ["Aligned", "align_names"]

Shape = tuple[int, int, int]
Prefixes = tuple[str, str]  # of the reference and of the other; one of them is empty

# What one network is called by several libraries, by versions of one, and in a file and in memory.
SAME = [
    (r"(?<![^.])(model|module|transformer|base_model|_orig_mod)\.", ""),  # wherever it stands
    (r"(?<![^.])block_sparse_moe(?=\.)", "mlp"),
    (r"(?<![^.])embed_out$", "lm_head"),
    (r"(?<![^.])language_model\.(?=lm_head$)", ""),
    (r"(\.experts\.\d+)\.w1$", r"\1.gate_proj"),
    (r"(\.experts\.\d+)\.w3$", r"\1.up_proj"),
    (r"(\.experts\.\d+)\.w2$", r"\1.down_proj"),
    (r"\.(gate_up|gate|up|down)_proj\.(\d+)(?=\.|$)", r".\2.\1_proj"),  # a stack of experts
    (r"(?<![^.])gate_up_proj\.(gate|up)$", r"\1_proj"),
    (
        r"(?<![^.])(qkv_proj|qkv|Wqkv|to_qkv|W_pack|c_attn|query_key_value|in_proj|kv_proj|kv|Wkv|to_kv)\.([qkv])$",
        r"\2",
    ),
    (r"(?<![^.])(?:to_|w)?([qkv])(?:_proj|_lin)?$", r"\1"),
    (r"(?<![^.])query$", "q"),
    (r"(?<![^.])key$", "k"),
    (r"(?<![^.])value$", "v"),
]
GGUF = [  # of llama.cpp, as Hugging Face calls the same
    (r"^blk\.(\d+)\.attn_(?:qkv\.)?([qkv])$", r"layers.\1.self_attn.\2"),
    (r"^blk\.(\d+)\.attn_output$", r"layers.\1.self_attn.o_proj"),
    (r"^blk\.(\d+)\.ffn_(gate|up|down)$", r"layers.\1.mlp.\2_proj"),
    (r"^blk\.(\d+)\.ffn_(gate|up|down)_exps\.(\d+)$", r"layers.\1.mlp.experts.\3.\2_proj"),
    (r"^blk\.(\d+)\.ffn_gate_inp$", r"layers.\1.mlp.gate"),
    (r"^blk\.(\d+)\.attn_norm(?=\.|$)", r"layers.\1.input_layernorm"),
    (r"^blk\.(\d+)\.ffn_norm(?=\.|$)", r"layers.\1.post_attention_layernorm"),
    (r"^token_embd$", "embed_tokens"),
    (r"^output$", "lm_head"),
    (r"^output_norm(?=\.|$)", "norm"),
]
RULES = [(re.compile(pattern), replacement) for pattern, replacement in (*GGUF, *SAME)]


@dataclass(frozen=True)
class Aligned:
    """A network under the names of another.

    Attributes
    ----------
    weights : Weights
        The network, with these names.
    names : mapping of str to str
        New names by their own, of the layers that are called otherwise.
    """

    weights: Weights
    names: Mapping[str, str]

    @property
    def prefixes(self) -> Prefixes | None:
        """Prefix in the reference, and in the network, which is all that the names differ by; None where more is."""
        pairs = {_prefixes(new, own) for own, new in self.names.items()}
        return pairs.pop() if len(pairs) == 1 else None


def align_names(reference: Weights, other: Weights) -> Aligned:
    """Give a network's layers the names of the reference where these differ by more than chance would let them agree.

    Layers of the same name stay as they are. The others are matched where their names mean the same to libraries
    (``q_proj`` and a part of ``qkv_proj``, experts in a stack and one by one, ``model.`` before or within), or are the
    same behind a prefix that most of them share, as of ``BertModel`` and ``BertForMaskedLM``.
    """
    ours = {matrix.name: _shape(matrix) for matrix in reference.matrices}
    theirs = {matrix.name: _shape(matrix) for matrix in other.matrices}
    names = _by_meaning(ours, theirs)
    prefixes = _common_prefixes(ours, theirs, names)
    names |= _behind(prefixes, _left(ours, names.values(), theirs), _left(theirs, names, ours))
    if not names:
        return Aligned(other, {})
    moved = _other_names([v.name for _, v in reference.vectors], [v.name for _, v in other.vectors], prefixes)
    skipped = _other_names(ours, [name for name, _ in other.skipped], prefixes)
    return Aligned(
        replace(
            other,
            matrices=tuple(replace(m, name=names.get(m.name, m.name)) for m in other.matrices),
            vectors=tuple((i, replace(v, name=moved.get(v.name, v.name))) for i, v in other.vectors),
            skipped=tuple((skipped.get(name, name), reason) for name, reason in other.skipped),
        ),
        names,
    )


def _shape(matrix: WeightMatrix) -> Shape:
    return matrix.k, matrix.N, matrix.M


def _meaning(name: str) -> str:
    """Name of a layer as all libraries would write it."""
    path = ".".join(parts_of(name))
    for pattern, replacement in RULES:
        path = pattern.sub(replacement, path)
    return path


def _left(names: Mapping[str, Shape], taken: Iterable[str], others: Mapping[str, Shape]) -> dict[str, Shape]:
    """Layers that have no partner yet."""
    done = set(taken)
    return {name: shape for name, shape in names.items() if name not in others and name not in done}


def _by_meaning(ours: Mapping[str, Shape], theirs: Mapping[str, Shape]) -> dict[str, str]:
    left, right = _unique(_left(ours, (), theirs)), _unique(_left(theirs, (), ours))
    return {right[meaning]: left[meaning] for meaning in right if meaning in left}


def _unique(names: Iterable[str]) -> dict[str, str]:
    """Names by their meaning, without those that share one."""
    meanings = {name: _meaning(name) for name in names}
    counts = Counter(meanings.values())
    return {meaning: name for name, meaning in meanings.items() if counts[meaning] == 1}


def _common_prefixes(ours: Mapping[str, Shape], theirs: Mapping[str, Shape], names: Mapping[str, str]) -> Prefixes:
    """Prefixes behind which most of the layers without a partner agree in name and shape; empty where none do."""
    left, right = _left(ours, names.values(), theirs), _left(theirs, names, ours)
    meant = {_meaning(name): shape for name, shape in left.items()}
    counts = Counter[Prefixes]()
    for name, shape in right.items():
        counts.update(("", prefix) for prefix, rest in _splits(_meaning(name)) if meant.get(rest) == shape)
    meant = {_meaning(name): shape for name, shape in right.items()}
    for name, shape in left.items():
        counts.update((prefix, "") for prefix, rest in _splits(_meaning(name)) if meant.get(rest) == shape)
    (best, count), *_ = counts.most_common(1) or [(("", ""), 0)]
    alone = len(left) == len(ours)  # nothing agrees yet
    return best if 2 * count >= min(len(left), len(right)) and (alone or count > 1) else ("", "")


def _splits(name: str) -> list[tuple[str, str]]:
    """Each way to cut a name into a prefix, with its dot, and the rest."""
    return [(name[: at + 1], name[at + 1 :]) for at, letter in enumerate(name) if letter == "."]


def _behind(prefixes: Prefixes, left: Iterable[str], right: Iterable[str]) -> dict[str, str]:
    """Match names that mean the same behind the prefixes."""
    if prefixes == ("", ""):
        return {}
    ours = _unique(left)
    found = {}
    for meaning, name in _unique(right).items():
        if meaning.startswith(prefixes[1]) and (own := prefixes[0] + meaning.removeprefix(prefixes[1])) in ours:
            found[name] = ours[own]
    return found


def _other_names(ours: Iterable[str], theirs: Iterable[str], prefixes: Prefixes) -> dict[str, str]:
    """Names of vectors, and of what was left out, that differ as those of the layers do."""
    left, right = dict.fromkeys(ours), dict.fromkeys(theirs)
    known, meant = (
        _unique(name for name in first if name not in second) for first, second in ((left, right), (right, left))
    )
    names = {meant[meaning]: known[meaning] for meaning in meant if meaning in known}
    return _behind(prefixes, known.values(), meant.values()) | names


def _prefixes(first: str, second: str) -> Prefixes | None:
    """Prefixes of two names of which one is the other behind a dotted prefix; None where neither is."""
    if second.endswith(f".{first}"):
        return "", second.removesuffix(first)
    return (first.removesuffix(second), "") if first.endswith(f".{second}") else None

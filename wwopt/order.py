"""The order of a network's layers, where a file keeps them in the order of the alphabet, as safetensors does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

from wwopt.weights import WeightMatrix

__all__ = ["in_network_order"]

Key = tuple[float, tuple[tuple[int, str], ...]]
Named = TypeVar("Named", bound=WeightMatrix)

PART = re.compile(r"\.(q|k|v|gate|up|[ifgorzn])$")  # of a fused tensor, which is taken apart in its own order
GATES = re.compile(r"weight_(ih|hh)_(l\d+(_reverse)?)")
ROLES = (  # what parts of names say of where a layer stands among its neighbours, and in which order
    r".*(emb|wte|wpe|words|tokens|patch|stem|places|position|shared).*|conv_in",
    r"",  # all others: numbers, blocks, convolutions
    r"decoder",
    r"(self_?)?(attn|attention)|selfattention",
    r"q|query|q_(proj|lin)|wq|qkv(_proj)?|wqkv|c_attn|in_proj.*|query_key_value",
    r"k|key|k_(proj|lin)|wk",
    r"v|value|v_(proj|lin)|wv",
    r"o|out|o_proj|out_(proj|lin)|proj|dense",
    r"cross_?(attn|attention)|encdecattention|multihead_attn",
    r"mlp|ffn|feed_?forward|densereludense|intermediate",
    r"gate|gate_proj|w1",
    r"up|up_proj|fc1|wi.*|lin(ear)?1|c_fc|dense_h_to_4h|w3",
    r"down|down_proj|fc2|wo|lin(ear)?2|c_proj|dense_4h_to_h|w2|output",
    r"shortcut|downsample",
    r"pooler|pre_classifier",
    r"fc|fc_out",
    r".*(head|classifier|score|logits|qa_outputs|predictions).*|cls",
)
OTHERS = 1


def in_network_order(matrices: Sequence[Named]) -> list[Named]:
    """Sort layers that stand in the order of the alphabet by what their names say; others stay as they are."""
    names = [matrix.name for matrix in matrices]
    whole = [PART.sub("", name) for name in names]
    if names != sorted(names) and whole != sorted(whole):
        return list(matrices)
    return sorted(matrices, key=lambda matrix: [_place(part) for part in matrix.name.split(".")])


def _place(part: str) -> Key:
    """Role of a part of a name, and its numbers as numbers."""
    if found := GATES.search(part):
        part = f"{found[2]} {'0' if found[1] == 'ih' else '1'}"
    words = part.lower()
    role = next((place for place, pattern in enumerate(ROLES) if pattern and re.fullmatch(pattern, words)), OTHERS)
    pieces = re.findall(r"\d+|\D+", words)
    return role, tuple((int(piece), "") if piece.isdigit() else (-1, piece) for piece in pieces)

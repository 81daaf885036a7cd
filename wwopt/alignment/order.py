"""The order of a network's layers, where a file keeps them in the order of the alphabet, as safetensors does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wwopt.text import by_number

if TYPE_CHECKING:
    from wwopt.weights import WeightMatrix

__all__ = ["in_network_order"]

Place = tuple[int, list[tuple[int, int, str]]]

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
    r"o|out|o_proj|out_(proj|lin)|proj|dense|wo",  # of attention; without one it is what follows from the next roles
    r"cross_?(attn|attention)|encdecattention|multihead_attn",
    r"mlp|ffn|feed_?forward|densereludense|intermediate",
    r"gate|gate_proj",
    r"up|up_proj|wi.*|c_fc|dense_h_to_4h|(fc|lin|linear|dense|hidden|w)_?\d*",
    r"down|down_proj|wo|c_proj|dense_4h_to_h|output",
    r"shortcut|downsample",
    r"pooler|pre_classifier",
    r"out|o|proj|fc_out",
    r".*(head|classifier|score|logits|qa_outputs|predictions).*|cls",
)
OTHERS, QUERIES, VALUES, OUTPUT = 1, 4, 6, 7


def in_network_order(matrices: Sequence[WeightMatrix]) -> list[WeightMatrix]:
    """Sort layers that stand in the order of the alphabet by what their names say; others stay as they are."""
    names = [matrix.name for matrix in matrices]
    whole = [PART.sub("", name) for name in names]
    if names != sorted(names) and whole != sorted(whole):
        return list(matrices)
    attention = {path for name in names for path in _attending(name)}
    return sorted(matrices, key=lambda matrix: _places(matrix.name, attention))


def _attending(name: str) -> list[str]:
    """Paths of the modules around queries, keys and values; those of a fused layer are one level further down."""
    *path, leaf = name.split(".")
    is_one = QUERIES <= _role(leaf.lower(), attends=True) <= VALUES
    return [".".join(path), ".".join(path[:-1])] if is_one else []


def _places(name: str, attention: set[str]) -> list[Place]:
    """Role of each part of a name, and its numbers as numbers."""
    parts = GATES.sub(lambda found: f"{found[2]} {'0' if found[1] == 'ih' else '1'}", name).lower().split(".")
    path = name.split(".")
    return [
        (_role(part, attends=".".join(path[:depth]) in attention), by_number(part)) for depth, part in enumerate(parts)
    ]


def _role(part: str, *, attends: bool) -> int:
    fitting = (role for role, pattern in enumerate(ROLES) if pattern and re.fullmatch(pattern, part))
    return next((role for role in fitting if attends or role != OUTPUT), OTHERS)

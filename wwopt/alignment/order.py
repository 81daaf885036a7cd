"""Order of a network's layers, restored from their names where a file sorts them, as safetensors does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wwopt.text import by_number

if TYPE_CHECKING:
    from wwopt.weights import WeightMatrix

__all__ = ["in_network_order"]

SortKey = tuple[int, list[tuple[int, int, str]]]

PART = re.compile(r"\.(q|k|v|gate|up|[ifgorzn])$")  # of a fused tensor, whose parts keep their own order
GATES = re.compile(r"weight_(ih|hh)_(l\d+(_reverse)?)")
ROLES = (  # patterns for a part of a layer's name, in the order in which such layers follow each other
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
    """Sort layers by the roles in their names where they are in alphabetical order; else keep their order."""
    names = [matrix.name for matrix in matrices]
    whole = [PART.sub("", name) for name in names]
    if names != sorted(names) and whole != sorted(whole):
        return list(matrices)
    attention = {path for name in names for path in _attention_paths(name)}
    return sorted(matrices, key=lambda matrix: _sort_key(matrix.name, attention))


def _attention_paths(name: str) -> list[str]:
    """Paths of the module around a query, key or value; of a fused layer it is one level further up."""
    *path, leaf = name.split(".")
    is_one = QUERIES <= _role(leaf.lower(), attends=True) <= VALUES
    return [".".join(path), ".".join(path[:-1])] if is_one else []


def _sort_key(name: str, attention: set[str]) -> list[SortKey]:
    """Role of each part of a name, and its numbers by value."""
    parts = GATES.sub(lambda found: f"{found[2]} {'0' if found[1] == 'ih' else '1'}", name).lower().split(".")
    path = name.split(".")
    return [
        (_role(part, attends=".".join(path[:depth]) in attention), by_number(part)) for depth, part in enumerate(parts)
    ]


def _role(part: str, *, attends: bool) -> int:
    fitting = (role for role, pattern in enumerate(ROLES) if pattern and re.fullmatch(pattern, part))
    return next((role for role in fitting if attends or role != OUTPUT), OTHERS)

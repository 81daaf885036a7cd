"""Keys of metrics: names escaped as each backend requires, reversibly, and checked for collisions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["MLFLOW", "WANDB", "KeyEncoder"]

OUTSIDE_UTF8 = "ff"  # a byte that no text encodes to: it marks what no escape can express


@dataclass(frozen=True)
class KeyEncoder:
    """Escape what a backend refuses in a key; ``/`` stays the separator that its pages group by.

    Attributes
    ----------
    escape : str
        The character that starts an escape: two hexadecimal digits, a byte of UTF-8, follow it.
    forbidden : str
        Regular expression of what must be escaped.
    limit : int
        Longest key in characters. A longer one is cut and ends in a digest; `decode` then needs ``names``.
    short : mapping of str to str
        Shorter escapes of frequent characters.

    Examples
    --------
    >>> MLFLOW.encode("ww/layer_alpha/blocks[0].fc"), WANDB.encode("ww/layer_alpha/blocks[0].fc")
    ('ww/layer_alpha/blocks-5b0-5d.fc', 'ww/layer_alpha/blocks_5b0_5d__fc')
    """

    escape: str
    forbidden: str
    limit: int
    short: Mapping[str, str] = field(default_factory=dict)

    def encode(self, name: str) -> str:
        """Key of a name; different names have different keys."""
        key = re.sub(self.forbidden, self._escaped, name, flags=re.DOTALL) if name else self.escape + OUTSIDE_UTF8
        if len(key) <= self.limit:
            return key
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return key[: self.limit - 35] + self.escape + OUTSIDE_UTF8 + digest

    def decode(self, key: str, names: Mapping[str, str] | None = None) -> str:
        """Name of a key; ``names`` maps the cut ones to theirs."""
        if names and key in names:
            return names[key]
        if key == self.escape + OUTSIDE_UTF8:
            return ""
        long = {escape: character for character, escape in self.short.items()}
        parts = re.split(f"({'|'.join([*map(re.escape, long), f'{self.escape}[0-9a-f]{{2}}'])})", key)
        raw = [
            long[part].encode() if part in long else bytes.fromhex(part[1:]) if index % 2 else part.encode()
            for index, part in enumerate(parts)
        ]
        return b"".join(raw).decode("utf-8", "surrogatepass")

    def encode_all(self, names: Mapping[str, float]) -> dict[str, float]:
        """Encode the keys of a mapping.

        Raises
        ------
        ValueError
            Two names have one key.
        """
        keys = {self.encode(name): value for name, value in names.items()}
        if len(keys) < len(names):
            raise ValueError(f"`names` must have different keys, got {len(keys)} keys for {len(names)} names.")
        return keys

    def _escaped(self, match: re.Match[str]) -> str:
        text = match.group()
        return "".join(
            self.short.get(character)
            or "".join(f"{self.escape}{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))
            for character in text
        )


# A slash that MLflow would drop as a path's, a segment of dots, and a dash that would read as an escape.
MLFLOW = KeyEncoder(
    escape="-",
    forbidden=r"[^A-Za-z0-9_./-]|^/|(?<=/)/|/$|(?:(?<=/)|^)\.\.?(?=/|$)|^\.\.|-(?=[0-9a-f]{2})",
    limit=250,
)
# Dots would nest a key in the summary; an underscore stays where it cannot be taken for an escape.
WANDB = KeyEncoder(
    escape="_",
    forbidden=r"[^A-Za-z0-9_/]|^/|(?<=/)/|/$|_(?=[0-9a-f]{2}|[^A-Za-z0-9])",
    limit=250,
    short={".": "__"},
)

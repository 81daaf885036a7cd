"""The key of W&B's server, looked up without importing W&B."""

from __future__ import annotations

import netrc
import os
from urllib.parse import urlsplit

__all__ = ["key_is_set"]


def key_is_set() -> bool:
    """Whether there is a key for W&B's server: in ``WANDB_API_KEY``, or in the user's netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False

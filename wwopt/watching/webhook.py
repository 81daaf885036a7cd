"""`Webhook`: posts JSON to an address on the web."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

__all__ = ["Webhook"]


class Webhook:
    """Posts JSON; its address, which often holds a secret, is in no message.

    Parameters
    ----------
    url : str
        Address that begins with http:// or https://.
    timeout : float, seconds
        How long to wait for an answer.
    """

    def __init__(self, url: str, *, timeout: float = 10.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("`webhook` must be an address that begins with http:// or https://.")
        self.host, self.timeout, self._url = parts.hostname, timeout, url

    def post(self, values: Mapping[str, Any]) -> None:
        """Post values as JSON.

        Raises
        ------
        OSError
            The address cannot be reached, or does not accept it.
        """
        body = json.dumps(values).encode()
        request = Request(self._url, body, {"Content-Type": "application/json", "User-Agent": "wwopt"})  # noqa: S310
        try:
            with urlopen(request, timeout=self.timeout):  # noqa: S310  (http or https, as checked)
                return
        except HTTPError as error:
            error.close()
            raise OSError(f"the webhook at {self.host} answers {error.code} {error.reason}") from None
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            raise OSError(f"the webhook at {self.host} cannot be reached: {reason}") from None

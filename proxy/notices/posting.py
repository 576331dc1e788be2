"""Webhooks on the wire: one signed POST.

What belongs here: the signature and the request. The signature is over the time and the body, so that a recorded delivery cannot be sent
again later; each attempt has a time of its own and the same body. Only a 2xx counts as taken. No redirect is followed, no proxy of the
environment is used, the answer's body is not read, and nothing of a failure is told but its kind: URLs may carry tokens.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import ssl
from hashlib import sha256
from pathlib import Path

import certifi
import httpx

from proxy import __version__
from proxy.notices.targets import Webhook

TIMEOUT_S = 10.0


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """Returns `v1=` and the hex HMAC-SHA256 over timestamp, "." and body."""
    made = hmac.new(secret, timestamp.encode() + b"." + body, sha256)
    return f"v1={made.hexdigest()}"


def headers_of(
    webhook: Webhook, delivery: str, event: str, body: bytes, now_ms: int
) -> dict[str, str]:
    """Returns the headers of one attempt."""
    timestamp = str(now_ms // 1000)
    return {
        "content-type": "application/json",
        "user-agent": f"checkrein/{__version__}",
        "x-checkrein-event": event,
        "x-checkrein-delivery": delivery,
        "x-checkrein-timestamp": timestamp,
        "x-checkrein-signature": signature(webhook.secret, timestamp, body),
    }


class Poster:
    """Sends deliveries."""

    def __init__(self, trust_ca: Path | None = None, *, timeout_s: float = TIMEOUT_S) -> None:
        """
        Args:
            trust_ca: CAs to trust besides the usual ones.
        """
        self._timeout_s = timeout_s
        for name in ("httpx", "httpcore"):  # they name URLs, one of them at INFO
            logging.getLogger(name).setLevel(logging.WARNING)
        context = ssl.create_default_context(cafile=certifi.where())
        if trust_ca is not None:
            context.load_verify_locations(cafile=str(trust_ca))
        self._client = httpx.AsyncClient(
            verify=context, timeout=timeout_s, follow_redirects=False, trust_env=False
        )

    async def post(
        self, webhook: Webhook, delivery: str, event: str, body: bytes, now_ms: int
    ) -> str | None:
        """Sends one delivery; returns None where it was taken, else what went wrong."""
        headers = headers_of(webhook, delivery, event, body, now_ms)
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._client.stream("POST", webhook.url, content=body, headers=headers) as answer,
            ):
                code = answer.status_code
        except (TimeoutError, httpx.TimeoutException):
            return f"no answer in {self._timeout_s:g} s"
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return f"no answer ({type(error).__name__})"
        return None if 200 <= code < 300 else f"it answered {code}"

    async def close(self) -> None:
        await self._client.aclose()

"""Every hook fails closed: mitmproxy itself logs an addon's exception and forwards the flow."""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from mitmproxy import http

from proxy.addon.refusals import api_error
from proxy.pipeline.texts import upstream_error_text

logger = logging.getLogger("checkrein")

PROTOCOL = "checkrein_protocol"
"""Key in `flow.metadata`: the `WireProtocol` whose path this is, or None."""


class Notes(Protocol):
    async def note_failure(self, where: str, error: BaseException) -> None: ...


def closes[A: Notes](
    hook: Callable[[A, http.HTTPFlow], Awaitable[None]],
) -> Callable[[A, http.HTTPFlow], Awaitable[None]]:
    """Wraps a request-side hook: an exception becomes an answer that refuses.

    A cancelled hook (the proxy is going down) kills the flow.
    """
    name = getattr(hook, "__name__", "hook")

    @functools.wraps(hook)
    async def wrapped(self: A, flow: http.HTTPFlow) -> None:
        try:
            await hook(self, flow)
        except Exception as error:
            logger.exception("%s: closed", name)
            # In the API's own error shape where the hook had got so far as to know the API.
            flow.response = api_error(flow.metadata.get(PROTOCOL), 503, text(error))
            await self.note_failure(name, error)
        except BaseException:
            flow.kill()
            raise

    def text(error: BaseException) -> str:
        return upstream_error_text(type(error).__name__)

    return wrapped


def kills[A](hook: Callable[[A, Any], None]) -> Callable[[A, Any], None]:
    """Wraps a synchronous hook in whose place no answer can be given: an exception kills the flow."""
    name = getattr(hook, "__name__", "hook")

    @functools.wraps(hook)
    def wrapped(self: A, flow: Any) -> None:
        try:
            hook(self, flow)
        except BaseException:
            logger.exception("%s: flow killed", name)
            flow.kill()
            raise

    return wrapped

"""Who judges the lines: the running proxy over its admin socket, and what happens when it is gone.

`RemoteJudge` sends each line to the proxy's conversation (`proxy/inbox/mcp_api.py`). `ClosedOnError`
stands round every judge: where no answer comes (nobody listens, an error, an answer that ends too
early), the line is closed: requests get an answer that says so, the rest is dropped. Each new line
tries again, so a proxy that comes back is found.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import msgspec

from proxy.cli.mcp.bridge import LineJudge
from proxy.errors import CheckreinError
from proxy.inbox.mcp_steps import From, Given, Step, closed

_STUCK_S = 30.0  # while it waits for a human, the proxy says so more often than that
_NOBODY = "the checkrein proxy that judges this server's calls does not answer"
_given = msgspec.json.Decoder(Given).decode


class Unreachable(Exception):
    """The proxy did not judge a line."""


class RemoteJudge:
    """A conversation with the running proxy."""

    def __init__(self, admin: Path, opening: dict[str, Any]) -> None:
        self._opening = opening
        self._id: str | None = None
        transport = httpx.AsyncHTTPTransport(
            uds=str(admin), limits=httpx.Limits(max_connections=None, keepalive_expiry=30)
        )
        timeout = httpx.Timeout(_STUCK_S, connect=5.0)
        self._http = httpx.AsyncClient(
            transport=transport, base_url="http://checkrein", timeout=timeout, trust_env=False
        )
        self._opening_now = asyncio.Lock()
        self.session = ""

    async def open(self) -> None:
        """Opens the conversation.

        Raises:
            Unreachable: nobody answers.
            CheckreinError: the proxy says no; the message says why.
        """
        try:
            answer = await self._http.post("/v1/mcp", json=self._opening)
            body = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise Unreachable(_NOBODY) from error
        if answer.status_code != 200:
            raise CheckreinError(f"the proxy refused: {body.get('error', answer.status_code)}")
        self._id, self.session = body["id"], body["session"]

    async def close(self) -> None:
        try:
            if self._id is not None:
                await self._http.delete(f"/v1/mcp/{self._id}")
        except httpx.HTTPError:
            pass  # it forgets by itself
        await self._http.aclose()

    async def judge(self, origin: From, line: bytes) -> AsyncGenerator[Step]:
        """Yields what the proxy says becomes of a line.

        Raises:
            Unreachable, CheckreinError: it says nothing, or not to the end.
        """
        known = self._id
        async with self._opening_now:
            if self._id is None:
                await self.open()
        asked = self._id
        try:
            async with self._http.stream(
                "POST", f"/v1/mcp/{asked}/{origin}", content=line
            ) as answer:
                if answer.status_code == 404:
                    self._id = None if self._id == asked else self._id
                elif answer.status_code != 200:
                    raise Unreachable(_NOBODY)
                else:
                    async for text in answer.aiter_lines():
                        if text.strip():
                            yield _given(text).step
                    return
        except (httpx.HTTPError, ValueError) as error:
            raise Unreachable(_NOBODY) from error
        if known is None:
            raise Unreachable(_NOBODY)
        # The proxy was started anew: a new conversation, once a line.
        async with aclosing(self.judge(origin, line)) as steps:
            async for step in steps:
                yield step


class ClosedOnError:
    """A judge whose failures close the line."""

    def __init__(self, judge: LineJudge) -> None:
        self._judge = judge

    async def judge(self, origin: From, line: bytes) -> AsyncGenerator[Step]:
        ended = False
        try:
            async with aclosing(self._judge.judge(origin, line)) as steps:
                async for step in steps:
                    ended = ended or step.ends
                    yield step
        except Exception as error:  # noqa: BLE001  # closed, whatever it was
            if not ended:  # else the line has been passed on or answered
                for step in closed(origin, line, _why(error)):
                    yield step


def _why(error: Exception) -> str:
    if isinstance(error, Unreachable | CheckreinError):
        return f"{error}; nothing was let through"
    return f"checkrein could not judge it ({type(error).__name__}); nothing was let through"

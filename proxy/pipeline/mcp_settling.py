"""What a client's MCP requests are waiting for: answers are matched to them, and settle the ledger.

Ids are the client's, so several connections may use one at the same time: an answer is looked for in
the turn in whose response it stands, then in the channel's memory, and settles nothing where two open
requests share its id. A task's call is settled when its result is fetched.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from proxy.model import Json, ToolResult
from proxy.pipeline.mcp_turn import Asked, Turn
from proxy.pipeline.results import Results
from proxy.wire.jsontext import encode
from proxy.wire.mcp.messages import Message

_CERTAIN = frozenset({-32700, -32600, -32601, -32602, -32020, -32021, -32022})
"""Errors that say the call was never begun; any other leaves it open."""

_REQUESTS = 4_096
_TASKS = 1_024


class OpenRequests:
    """The requests of one channel that have no answer yet."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._asked: OrderedDict[str, Asked] = OrderedDict()
        self._tasks: OrderedDict[str, str] = OrderedDict()  # task id: ledger key

    def note(self, turn: Turn, message: Message, asked: Asked) -> None:
        """Keeps a request that goes on until its answer comes."""
        name = name_of(message.id)
        if name in turn.asked:
            turn.asked[name].clash = True
            return
        turn.asked[name] = asked
        before = self._asked.get(name)
        if before is not None:
            self._asked[name] = Asked("", clash=True)
            return
        self._asked[name] = asked
        if len(self._asked) > _REQUESTS:
            self._asked.popitem(last=False)

    def task_key(self, task: Json) -> str | None:
        """The ledger's key of the call that became this task."""
        return self._tasks.get(str(task))

    def take(self, message: Message, request: Turn | None) -> Asked | None:
        """Returns the request an answer belongs to; None where there is none, or more than one."""
        name = name_of(message.id)
        asked = self._asked.pop(name, None)
        if request is not None and name in request.asked:
            asked = request.asked[name]  # it stands in this very request's own response
        elif asked is None and len(request.asked if request else ()) == 1 and request is not None:
            # Its clients take any answer in a request's own response as that request's.
            asked = next(iter(request.asked.values()))
        return None if asked is None or asked.clash else asked

    async def settle(self, asked: Asked, message: Message, value: Json) -> None:
        """Settles what a request's call had reserved by what the server says became of it."""
        if asked.key is None:
            return
        if isinstance(value, dict) and isinstance(task := value.get("task"), dict):
            self._tasks[str(task.get("taskId"))] = asked.key
            if len(self._tasks) > _TASKS:
                self._tasks.popitem(last=False)
            return  # `tasks/result` brings what became of it
        if isinstance(value, dict):
            is_error, certain, text = value.get("isError") is True, True, _text(value)
        else:
            error = message.document.get("error")
            code = error.get("code") if isinstance(error, dict) else None
            is_error, certain, text = True, code in _CERTAIN, ""
        await self._results.observe_http(
            asked.key, ToolResult(None, None, text, is_error), certain=certain
        )


def name_of(id_: Json) -> str:
    """An id as both SDKs match it: "7" and 7 are one."""
    return str(id_)


def _text(value: Mapping[str, Json]) -> str:
    """What settle expressions read: the structured result where there is one, else the text."""
    if (structured := value.get("structuredContent")) is not None:
        return encode(structured).decode()
    content = value.get("content")
    parts = content if isinstance(content, list) else []
    return "\n".join(
        part["text"]
        for part in parts
        if isinstance(part, dict) and isinstance(part.get("text"), str)
    )

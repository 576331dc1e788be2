"""One MCP payload on its way: what was decided about it, what of it goes on, what is answered.

`Turn` is the value that `mcp.py` fills and the transports read; `Asked` and `Waiting` are its parts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.model import Call, Hold
from proxy.pipeline.decision import Decision
from proxy.wire.jsontext import encode
from proxy.wire.mcp import messages
from proxy.wire.mcp.messages import Kind, Message, Payload


@dataclass(slots=True)
class Asked:
    """A request of the client that has no answer yet."""

    method: str
    key: str | None = None  # the ledger's, for calls
    call: Call | None = None
    modern: bool = False
    first_page: bool = False
    clash: bool = False  # two open requests share this id: an answer settles neither


@dataclass(slots=True)
class Waiting:
    """A message that waits for a human."""

    message: Message
    call: Call
    key: str
    decision: Decision
    hold: Hold
    at: int  # which message of the payload
    input_key: str | None = None  # in an `input_required` result: which of its requests
    asks_only: bool = False  # a call of `wait_for_approval`: the hold is another call's


@dataclass(slots=True)
class Turn:
    """One payload on its way, with what was decided about it."""

    payload: Payload
    by_client: bool
    waiting: list[Waiting] = field(default_factory=list)
    asked: dict[str, Asked] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    _answers: list[bytes] = field(default_factory=list)
    _instead: dict[int, bytes | None] = field(default_factory=dict)
    _steps: int = 0

    @property
    def forward(self) -> bytes | None:
        """Bytes for the other side; None while something waits or when nothing is left."""
        if self.waiting:
            return None
        if not self._instead:
            return self.payload.raw
        left = [
            self._instead[at] if at in self._instead else encode(message.document)
            for at, message in enumerate(self.payload.messages)
        ]
        kept = [data for data in left if data is not None]
        if not kept:
            return None
        return b"[" + b",".join(kept) + b"]" if self.payload.is_batch else kept[0]

    @property
    def answers(self) -> tuple[bytes, ...]:
        """What the sender is told in place of what was refused."""
        return tuple(self._answers)

    @property
    def answer(self) -> bytes | None:
        """`answers` as one payload, a batch if the request was one."""
        if not self._answers:
            return None
        return messages.batched(self.answers, is_batch=self.payload.is_batch)

    @property
    def awaited(self) -> tuple[messages.Id, ...]:
        """Ids of the requests in it that the other side will answer."""
        return tuple(
            m.id
            for at, m in enumerate(self.payload.messages)
            if m.kind is Kind.REQUEST and m.id is not None and at not in self._instead
        )

    @property
    def has_progress(self) -> bool:
        return any(w.message.progress_token is not None for w in self.waiting)

    def progress(self) -> tuple[bytes, ...]:
        """A progress notification for each waiting request that asked for them."""
        self._steps += 1
        return tuple(
            messages.progress(
                token, self._steps, f"waiting for a human's approval (hold {w.hold.id})"
            )
            for w in self.waiting
            if (token := w.message.progress_token) is not None
        )

    def refuse(self, at: int, text: str) -> None:
        message = self.payload.messages[at]
        made = (
            messages.refused_result(message, text)
            if self.by_client
            else messages.refused_to_server(message, text)
        )
        self._instead[at] = None
        if made:
            self._answers.append(made)

    def tell(self, at: int, text: str, *, is_error: bool = False) -> None:
        """Answers a tool call with a text, in the server's place."""
        message = self.payload.messages[at]
        self._instead[at] = None
        if message.id is not None:
            modern = message.is_modern
            self._answers.append(
                messages.tool_text(message.id, text, modern=modern, is_error=is_error)
            )

    def replace(self, at: int, data: bytes) -> None:
        self._instead[at] = data

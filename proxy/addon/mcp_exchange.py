"""One MCP exchange over HTTP: a request that may be held, and its answer, message by message.

The stream glue drives it as it drives an `Exchange` (`stream.py`). What differs: the call is in the
*request*. Where a held request asked for progress and takes an event stream, the answer's head goes
out before the server has been asked (`early`), progress notifications follow, and what the server
answers in the end is put into that stream, turned from JSON into an event if need be. Else the request
waits in its hook and a plain JSON answer says how it ended.

A GET stream of the old HTTP+SSE transport is where answers to POSTs appear, refusals too (`inject`):
while nothing comes from its server, such a stream stays in a step that waits for either.

Beside it: `mcp_events.py` (messages as events), `mcp_waits.py` (how long, and what ends a wait).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable

from mitmproxy import http

from proxy.addon.mcp_events import COMMENT, as_events, event
from proxy.addon.mcp_waits import McpWaits
from proxy.errors import CheckreinError, WireError
from proxy.model import ToolResult
from proxy.pipeline.clients import ClientProfile
from proxy.pipeline.core import Pipeline
from proxy.pipeline.mcp import McpChannel, Turn
from proxy.pipeline.texts import upstream_error_text
from proxy.pipeline.waiting import Presence
from proxy.wire.encoding import ContentDecoder
from proxy.wire.jsontext import encode
from proxy.wire.mcp import messages
from proxy.wire.mcp.messages import INTERNAL_ERROR, Id, Kind
from proxy.wire.sse import Frame, SseReader

logger = logging.getLogger("checkrein")

_UNREAD = frozenset({202, 204, *range(400, 600)})


class McpExchange:
    """Drives one request, or one GET stream (`turn` is None until `ask`)."""

    def __init__(
        self,
        pipeline: Pipeline,
        channel: McpChannel,
        profile: ClientProfile,
        answer_server: Callable[[McpExchange, bytes], Awaitable[None]],
        *,
        url: str,
        is_certain: bool = True,
    ) -> None:
        """`is_certain`: False for a GET that may be any other event stream.

        `answer_server` sends the server a message of ours; `url` is where the request goes.
        """
        self.url = url
        self._answer_server = answer_server
        self.channel = channel
        self.presence = Presence()
        self.gate: McpExchange | None = None  # itself, once the answer's head has come
        self.refusal: tuple[int, bytes] | None = None
        self.failure: bytes | None = None
        self.overflow = False
        self.stepped: tuple[bytes, bool] | None = None
        self.early = False  # the head goes to the client before the server is asked
        self.head_sent = False
        self.is_answered = False  # by us; the server is not asked
        self.streams = False
        self.turn: Turn | None = None
        self.endpoint: str | None = None  # where a client of this old-style stream posts
        self._pipeline = pipeline
        self._waits = McpWaits(pipeline.settings, profile, self.presence)
        self._is_certain = is_certain
        self._decoder = ContentDecoder(None)
        self._reader: SseReader | None = None
        self._body = bytearray()
        self._decoded = b""
        self._queue: deque[Frame | bytes] = deque()
        self._held: tuple[Turn, Frame | None, float] | None = None
        self._inbox: deque[bytes] = deque()
        self._is_ended = False
        self._is_interrupted = False
        self._broken: Exception | None = None
        self._status = 200
        self._is_json = False
        self._unanswered: list[Id] = []

    # --- the request ---------------------------------------------------------------------------------

    async def ask(self, raw: bytes, *, takes_stream: bool) -> None:
        """Judges the request; waits here for a human where the client cannot be told meanwhile.

        Raises:
            WireError: the body has no single reading.
        """
        self.turn = turn = await self.channel.from_client(raw)
        if turn.waiting and takes_stream and turn.has_progress and self._waits.longest_s(turn) > 0:
            self.early = True
            self._held = (turn, None, self._waits.until_s(turn))
            return
        await self._waits.out(self.channel, turn)

    async def ask_over(self, stream: McpExchange, raw: bytes) -> None:
        """Judges a POST of the old transport, whose answers appear in a GET stream."""
        self.turn = turn = await self.channel.from_client(raw)
        await self._waits.out(self.channel, turn, stream)
        for answer in turn.answers:
            stream.inject(answer)

    def inject(self, message: bytes) -> None:
        """Puts a message into this stream."""
        self._inbox.append(event(message))
        self.presence.wake.set()

    def interrupt(self) -> None:
        """Something came from the server while this stream waited for messages to inject."""
        if self._is_listening:
            self._is_interrupted = True
            self.presence.wake.set()

    # --- the answer, as the stream glue drives it ------------------------------------------------------

    def open(self, *, content_type: str, content_encoding: str | None, status: int) -> None:
        """Looks at the answer's head.

        Raises:
            WireError: an encoding that is not known.
        """
        self._status = status
        self.gate = self
        if self.turn is not None:
            self._unanswered = list(self.turn.awaited)
        self._is_json = "json" in content_type.lower()
        is_sse = "text/event-stream" in content_type.lower()
        self._reader = SseReader() if is_sse else None
        self.streams = is_sse or self.head_sent
        try:
            self._decoder = ContentDecoder(content_encoding)
        except WireError as error:
            if not self.head_sent:
                raise
            self._broken = error
            return
        if is_sse and self.turn is not None and not self.head_sent:
            self._queue.extend(event(answer) for answer in self.turn.answers)

    @property
    def _is_listening(self) -> bool:
        return self.endpoint is not None and not self._is_ended

    @property
    def busy(self) -> bool:
        if self.failure is not None:
            return False
        if self._queue or self._held or self._inbox or self._broken is not None:
            return True
        return self._is_listening and not self._is_interrupted

    def feed(self, data: bytes, *, end: bool = False) -> bytes:
        """Takes the next bytes; what they bring leaves in `step`."""
        self._is_interrupted = False
        try:
            decoded = self._decoder.feed(data) if data else b""
            if self._reader is not None:
                self._queue.extend(self._reader.feed(decoded))
                if end and (rest := self._reader.rest()) is not None:
                    self._queue.append(rest)
            else:
                self._body += decoded
            if end:
                self._is_ended = True
                self._decoder.finish()
                if self._reader is None:
                    self._decoded = bytes(self._body)
                    self._queue.append(self._decoded)
        except Exception as error:
            if not isinstance(error, CheckreinError):
                logger.exception("mcp: closed after an unexpected error")
            self._broken = error
        return b""

    async def step(self) -> tuple[bytes, bool]:
        """Works through what is queued; returns bytes to send, and whether they are a keep-alive."""
        try:
            if self._broken is not None:
                raise self._broken
            return await self._step()
        except CheckreinError as error:
            await self._pipeline.note_error(self.channel.identity, "mcp", str(error))
            return self.fail(error), False
        except Exception as error:
            logger.exception("mcp: closed after an unexpected error")
            await self._pipeline.note_error(self.channel.identity, "mcp", type(error).__name__)
            return self.fail(type(error).__name__), False

    async def step_in_hook(self) -> None:
        if self.busy:
            self.stepped = await self.step()

    def is_wanted(self, content_type: str) -> bool:
        """Whether an answer has to be read: any to a message, an event stream to a GET."""
        if self.is_answered:
            return False
        return self.turn is not None or "text/event-stream" in content_type.lower()

    def error_body(self, _status: int, text: str) -> bytes:
        ids: list[Id | None] = [*self._unanswered] or [None]
        made = [messages.error(id_, INTERNAL_ERROR, text) for id_ in ids]
        is_batch = self.turn is not None and self.turn.payload.is_batch
        return messages.batched(tuple(made), is_batch=is_batch)

    async def conclude(self, status: int) -> None:
        """The answer has been given: a plain refusal of HTTP says that nothing was begun."""
        for asked in self.turn.asked.values() if self.turn is not None else ():
            if 300 <= status < 500 and asked.key is not None:
                result = ToolResult(None, None, "", is_error=True)
                await self._pipeline.results.observe_http(asked.key, result)

    def unchanged(self, came: bytes, body: bytes) -> bool:
        return body == came if self._decoder.is_identity else body == self._decoded

    def fail(self, error: BaseException | str) -> bytes:
        """Gives up; returns the bytes that end the body."""
        text = upstream_error_text(error)
        self._queue.clear()
        self._held = None
        self._is_ended = True
        made = [messages.error(id_, INTERNAL_ERROR, text) for id_ in self._unanswered]
        if self._reader is not None or self.head_sent:
            self.failure = b"".join(event(message) for message in made)
        else:
            is_batch = self.turn is not None and self.turn.payload.is_batch
            made = made or [messages.error(None, INTERNAL_ERROR, text)]
            self.failure = messages.batched(tuple(made), is_batch=is_batch)
        return self.failure

    # --- the steps -------------------------------------------------------------------------------------

    async def _step(self) -> tuple[bytes, bool]:
        out = bytearray()
        while True:
            while self._held is None and self._queue:
                item = self._queue.popleft()
                if isinstance(item, Frame):
                    await self._frame(item, out)
                elif self._reader is not None:
                    out += item
                else:
                    await self._whole(item, out)
            while self._inbox:
                out += self._inbox.popleft()
            if out:
                return bytes(out), False
            if self._held is None:
                if not self._is_listening or self._is_interrupted or self.presence.gone:
                    return b"", False
                await self.presence.wake.wait()
                if not self.presence.gone:
                    self.presence.wake.clear()
            elif (kept := await self._wait()) is not None:
                return kept, True

    async def _wait(self) -> bytes | None:
        """Waits a keep-alive interval at most; None when there is something to go on with."""
        assert self._held is not None  # noqa: S101
        turn, frame, until_s = self._held
        await self._waits.step(self.channel, turn, until_s)
        if self.presence.gone:
            self._held = None
            return b""
        if turn.waiting:
            notes = b"".join(event(note) for note in turn.progress()) if turn.by_client else b""
            return notes or COMMENT
        self._held = None
        if turn.by_client:
            self._queue.extendleft(Frame(event(a), None, None) for a in reversed(turn.answers))
        else:
            self._queue.appendleft(Frame(self._judged(turn, frame), None, None))
            await self._tell_server(turn)
        return None

    async def _frame(self, frame: Frame, out: bytearray) -> None:
        if frame.event == "endpoint" and frame.data is not None and self.turn is None:
            self._is_certain = True
            self.endpoint = frame.data.decode("utf-8", "replace").strip()
        elif frame.data and frame.data.strip():
            try:
                turn = await self.channel.from_server(frame.data, self.turn)
            except WireError:
                if self._is_certain:
                    raise
                out += frame.raw  # another protocol's event stream
                return
            self._note_answered(turn)
            if turn.waiting:
                self._held = (turn, frame, self._waits.until_s(turn))
                return
            out += self._judged(turn, frame)
            await self._tell_server(turn)
            return
        out += frame.raw

    def _judged(self, turn: Turn, frame: Frame | None) -> bytes:
        forward = turn.forward
        if forward is None:
            return b""
        if frame is not None and forward is turn.payload.raw:
            return frame.raw
        return event(forward)

    async def _whole(self, body: bytes, out: bytearray) -> None:
        """A JSON answer, or no answer at all."""
        extra = self.turn.answers if self.turn is not None and not self.head_sent else ()
        turn: Turn | None = None
        if body.strip():
            try:
                turn = await self.channel.from_server(body, self.turn)
            except WireError:
                # SDKs read no other content type, and nothing behind 202.
                if self._status not in _UNREAD and (self._is_json or self.head_sent):
                    raise
        if turn is not None:
            self._note_answered(turn)
            await self._waits.out(self.channel, turn)
            body = turn.forward or b""
        if self.head_sent:
            out += as_events(body, turn, self._unanswered, self._status)
        elif extra:
            documents = [m.document for m in turn.payload.messages] if turn is not None else []
            merged = [encode(document) for document in documents]
            out += messages.batched((*merged, *extra), is_batch=True)
        else:
            out += body

    def _note_answered(self, turn: Turn) -> None:
        for message in turn.payload.messages:
            if message.kind is Kind.ANSWER and message.id in self._unanswered:
                self._unanswered.remove(message.id)

    async def _tell_server(self, turn: Turn) -> None:
        """Answers a server whose request was refused, in the client's place."""
        for answer in turn.answers:
            await self._answer_server(self, answer)

    async def answer_server(self, answer: bytes) -> None:
        """Replaced by the glue, which knows the server's address."""


def stream_head() -> http.Response:
    """Returns the head of an event stream that begins before the server was asked."""
    return http.Response.make(
        200, b"", {"content-type": "text/event-stream", "cache-control": "no-cache, no-transform"}
    )

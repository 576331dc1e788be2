"""OpenAI's WebSockets with a scripted model behind them: Realtime, and Responses in WebSocket mode.

Strict: an event the real API would answer with an error gets one. Realtime: an unknown
`previous_item_id`, an item id twice, the output of a call that is not there or has one, a response
while a call has no output. Responses: whatever `ResponsesSpeaker` rejects. All messages both ways are kept.
"""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from proxy.cli.demo.speak_responses import ResponsesSpeaker
from proxy.cli.demo.speech import History, Ids, Rejected, Script, Turn, next_turn, pieces

type Event = dict[str, Any]


@dataclass
class Connection:
    """What one connection said and heard, as it stood on the wire."""

    path: str
    headers: dict[str, str]
    sent: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    pings: int = 0
    closed: tuple[int | None, str | None] | None = None

    def events(self, kind: str) -> list[Event]:
        """The client's events of one type."""
        made = [json.loads(text) for text in self.heard]
        return [event for event in made if event.get("type") == kind]


@dataclass
class RealtimeUpstream:
    """A server whose model says `script`, turn by turn, on each connection."""

    script: Script
    turn_detection: Event | None = None
    raw: list[str | bytes] = field(default_factory=list)  # said first, as it stands
    beta: bool = False
    leave_after: int | None = None  # close after so many responses
    connections: list[Connection] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> RealtimeUpstream:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def ping(self) -> float:
        """Pings the newest connection's client; returns once it has answered."""

        async def ask() -> float:
            answered = await self._open[-1].ping()
            return await asyncio.wait_for(answered, 5)

        return asyncio.run_coroutine_threadsafe(ask(), self._loop).result(10)

    async def _start(self) -> None:
        self._open: list[ServerConnection] = []
        self._server: Server = await serve(
            self._serve, "127.0.0.1", 0, max_size=None, ping_interval=None
        )
        self.port = int(next(iter(self._server.sockets)).getsockname()[1])

    async def _stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        connection = Connection(
            socket.request.path, {k.lower(): v for k, v in socket.request.headers.raw_items()}
        )
        self.connections.append(connection)
        self._open.append(socket)
        model: _Realtime | _Responses
        model = _Realtime(self) if "/realtime" in connection.path else _Responses(self)

        async def say(event: Event | str | bytes) -> None:
            text = event if isinstance(event, str | bytes) else json.dumps(event)
            connection.sent.append(text if isinstance(text, str) else text.decode("latin-1"))
            await socket.send(text)

        try:
            for event in [*model.greeting(), *self.raw]:
                await say(event)
            responses = 0
            async for text in socket:
                connection.heard.append(text if isinstance(text, str) else text.decode("latin-1"))
                for event in model.hear(json.loads(text)):
                    await say(event)
                    responses += event.get("type") in ("response.done", "response.completed")
                if self.leave_after is not None and responses >= self.leave_after:
                    return
        except ConnectionClosed:
            pass
        finally:
            await socket.close()
            connection.closed = (socket.close_code, socket.close_reason)


class _Responses:
    """Responses over a WebSocket: each `response.create` is a POST's body."""

    def __init__(self, upstream: RealtimeUpstream) -> None:
        self._script = upstream.script
        self._speaker = ResponsesSpeaker(Ids("socket"))

    def greeting(self) -> list[Event]:
        return []

    def hear(self, event: Event) -> list[Event]:
        if event.pop("type") != "response.create":
            return [_error("Unknown event type.", None)]
        lane = event.pop("stream_id", None)
        try:
            history = self._speaker.read(event)
            answer = self._speaker.answer(next_turn(self._script, history), event)
        except Rejected as error:
            return [{**_error(error.message, None), "status": error.status}]
        made = [json.loads(frame.partition(b"\ndata: ")[2]) for frame in answer.frames]
        return [{**one, "stream_id": lane} for one in made] if lane else made


class _Realtime:
    """One Realtime session; https://platform.openai.com/docs/api-reference/realtime (read 2026-11)."""

    def __init__(self, upstream: RealtimeUpstream) -> None:
        self._script = upstream.script
        self._turn_detection = upstream.turn_detection
        self._beta = upstream.beta
        self._ids = Ids("realtime")
        self._items: list[Event] = []
        self._spoken = 0

    def _event(self, kind: str, **fields: Any) -> Event:
        return {"type": kind, "event_id": self._ids.mixed("event_", 21), **fields}

    def _session(self) -> Event:
        base: Event = {"id": "sess_1", "object": "realtime.session", "model": "gpt-realtime"}
        if self._beta:
            return {**base, "modalities": ["text"], "turn_detection": self._turn_detection}
        audio = {"input": {"turn_detection": self._turn_detection}}
        return {**base, "type": "realtime", "output_modalities": ["text"], "audio": audio}

    def greeting(self) -> list[Event]:
        return [self._event("session.created", session=self._session())]

    def hear(self, event: Event) -> list[Event]:
        match event["type"]:
            case "conversation.item.create":
                return self._create(event)
            case "response.create":
                return self._respond(event)
            case "session.update":
                return [self._event("session.updated", session=self._session())]
            case "conversation.item.retrieve":
                found = next(i for i in self._items if i["id"] == event["item_id"])
                return [self._event("conversation.item.retrieved", item=found)]
            case "input_audio_buffer.append":
                return [self._event("input_audio_buffer.speech_started", item_id="item_audio")]
            case _:
                return [_error(f"Invalid value: {event['type']}", event.get("event_id"))]

    def _create(self, event: Event) -> list[Event]:
        item, named = dict(event["item"]), event.get("event_id")
        item.setdefault("id", self._ids.mixed("item_", 21))
        known = [one["id"] for one in self._items]
        after = event.get("previous_item_id")
        if len(item["id"]) > 32:
            return [_error("Invalid 'item.id': string too long.", named)]
        if item["id"] in known:
            return [_error("Item with item_id already exists", named)]
        if after is not None and after not in (*known, "root"):
            return [_error(f"Previous item with item_id '{after}' not found.", named)]
        if item["type"] == "function_call_output":
            calls = [one.get("call_id") for one in self._items if one["type"] == "function_call"]
            answered = [one["call_id"] for one in self._items if one["type"].endswith("_output")]
            if item["call_id"] not in calls or item["call_id"] in answered:
                return [_error(f"No open tool call with id {item['call_id']}", named)]
        at = known.index(after) + 1 if after in known else len(known)
        self._items.insert(at, item)
        return self._shown(item, self._items[at - 1]["id"] if at else None)

    def _shown(self, item: Event, after: str | None) -> list[Event]:
        if self._beta:
            return [self._event("conversation.item.created", previous_item_id=after, item=item)]
        return [
            self._event("conversation.item.added", previous_item_id=after, item=item),
            self._event("conversation.item.done", previous_item_id=after, item=item),
        ]

    def _respond(self, event: Event) -> list[Event]:
        answered = {one.get("call_id") for one in self._items if one["type"].endswith("_output")}
        for one in self._items:
            if one["type"] == "function_call" and one["call_id"] not in answered:
                return [_error(f"No output for call {one['call_id']}", event.get("event_id"))]
        turn = next_turn(self._script, History(self._spoken, ""))
        self._spoken += 1
        response: Event = {
            "id": self._ids.mixed("resp_", 21),
            "object": "realtime.response",
            "status": "in_progress",
            "conversation_id": "conv_1",
            "output": [],
        }
        made = [self._event("response.created", response=response)]
        output: list[Event] = []
        for index, item in enumerate(self._output(turn)):
            after = self._items[-1]["id"] if self._items else None
            self._items.append(item)
            output.append(item)
            made += self._item(item, after, response["id"], index)
        done = {**response, "status": "completed", "output": output, "usage": {"total_tokens": 3}}
        made.append(self._event("response.done", response=done))
        made.append(self._event("rate_limits.updated", rate_limits=[]))
        return made

    def _output(self, turn: Turn) -> list[Event]:
        base = {"object": "realtime.item", "status": "completed"}
        made: list[Event] = []
        if turn.text:
            content = [{"type": "text" if self._beta else "output_text", "text": turn.text}]
            message = {"type": "message", "role": "assistant", "content": content}
            made.append({"id": self._ids.mixed("item_", 21), **base, **message})
        for call in turn.calls:
            call_id = call.id or self._ids.mixed("call_", 16)
            fields = {"name": call.name, "call_id": call_id, "arguments": call.arguments}
            fields["type"] = "function_call"
            made.append({"id": self._ids.mixed("item_", 21), **base, **fields})
        return made

    def _item(self, item: Event, after: str | None, response_id: str, index: int) -> list[Event]:
        at = {"response_id": response_id, "output_index": index}
        nothing: Event = {"arguments": ""} if "arguments" in item else {"content": []}
        empty = {**item, "status": "in_progress", **nothing}
        made = [
            self._event("response.output_item.added", **at, item=empty),
            self._event(
                "conversation.item.created" if self._beta else "conversation.item.added",
                previous_item_id=after,
                item=empty,
            ),
        ]
        inside = {**at, "item_id": item["id"]}
        if item["type"] == "function_call":
            for piece in pieces(item["arguments"]):
                kind = "response.function_call_arguments.delta"
                made.append(self._event(kind, **inside, call_id=item["call_id"], delta=piece))
            whole = {"call_id": item["call_id"], "arguments": item["arguments"]}
            if not self._beta:
                whole["name"] = item["name"]
            made.append(self._event("response.function_call_arguments.done", **inside, **whole))
        else:
            inside["content_index"] = 0
            part = item["content"][0]
            text = "response.text" if self._beta else "response.output_text"
            opened = {**part, "text": ""}
            made.append(self._event("response.content_part.added", **inside, part=opened))
            for piece in pieces(part["text"]):
                made.append(self._event(f"{text}.delta", **inside, delta=piece))
            made.append(self._event(f"{text}.done", **inside, text=part["text"]))
            made.append(self._event("response.content_part.done", **inside, part=part))
        made.append(self._event("response.output_item.done", **at, item=item))
        if not self._beta:
            made.append(self._event("conversation.item.done", previous_item_id=after, item=item))
        return made


def _error(text: str, event_id: str | None) -> Event:
    error = {"type": "invalid_request_error", "code": None, "message": text, "param": None}
    return {"type": "error", "event_id": "event_e", "error": {**error, "event_id": event_id}}

"""MCP without a transport: messages come in from either side, what may go on comes out.

One `Mcp` a process, one `McpChannel` a client and server (`Mcp.channel(identity, server, session)`;
`server` is the operator's name for it, `session` the transport's id for this conversation, if it has
one). Everything is judged by the pipeline it was made with. API, the same for HTTP and stdio:

    channel = mcp.channel(identity, "billing", session_id)
    turn = await channel.from_client(raw)          # raw: one message or batch, bytes. WireError: refuse it
    turn = await channel.from_server(raw, turn_of_the_request_or_None)
    while turn.waiting and <time left>:            # a human is being asked
        await channel.wait(turn, presence, timeout_s)   # returns at the latest after timeout_s
        for note in turn.progress(): <send to the client, if it is the client that waits>
    if turn.waiting:
        await channel.park(turn)                   # `pending` is the answer; the hold stays
    turn.forward                                   # bytes for the other side, None: nothing is left
    turn.answers                                   # messages for the side it came from, each one's bytes
    await channel.leave(turn)                      # instead: the one who waits went away

`forward` is the very bytes that came unless something in them was refused. `from_server` takes the
turn in whose answer the message came (HTTP), so that ids that several connections use stay apart;
without it the channel's own memory of ids is asked. Where the bytes have no single reading both
raise `WireError`: from a client, answer `messages.error(None, INVALID_REQUEST, text)`; from a
server, drop them.

What is judged: `tools/call` as a call of side `mcp` (namespace: the server), by the tool's name.
`resources/read`, `prompts/get` and what a server asks of the client (`sampling/createMessage`,
`elicitation/create`, also inside 2026-07's `input_required` results) as calls under their method's
name; `unmapped` is not asked for those, so they are held only where a rule names them. Everything else
passes. Results settle what was reserved (`mcp_settling.py`); `tools/list` results are pinned
(`mcp_pins.py`). A turn is `mcp_turn.py`.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Mapping

from proxy.errors import WireError
from proxy.model import Call, HoldState, Identity, Json, Side, Verdict
from proxy.pipeline import wait_tool
from proxy.pipeline.core import Pipeline
from proxy.pipeline.decision import Decision
from proxy.pipeline.judge import call_key
from proxy.pipeline.mcp_pins import pin_tools
from proxy.pipeline.mcp_settling import OpenRequests, name_of
from proxy.pipeline.mcp_turn import Asked, Turn, Waiting
from proxy.pipeline.texts import refusal_text
from proxy.pipeline.waiting import Presence
from proxy.wire.jsontext import call_from_value, encode
from proxy.wire.mcp import messages
from proxy.wire.mcp.messages import CALL, ELICIT, LIST, PROMPT, READ, SAMPLE, Kind, Message

__all__ = ["Mcp", "McpChannel", "Turn"]

_KINDS = {
    CALL: "mcp",
    READ: "mcp_resource",
    PROMPT: "mcp_prompt",
    SAMPLE: "mcp_sampling",
    ELICIT: "mcp_elicitation",
}
_BY_CLIENT = frozenset({CALL, READ, PROMPT})
_BY_SERVER = frozenset({SAMPLE, ELICIT})
_CHANNELS = 4_096
_ROUNDS = 4_096


class McpChannel:
    """What one client and one server say to each other."""

    def __init__(self, pipeline: Pipeline, identity: Identity, server: str) -> None:
        self.identity = identity
        self.server = server
        self._pipeline = pipeline
        self._open = OpenRequests(pipeline.results)
        self._rounds: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._held: dict[str, str] = {}  # request id: hold id

    # --- from the client ---------------------------------------------------------------------------

    async def from_client(self, raw: bytes) -> Turn:
        """Judges what the client sent.

        Raises:
            WireError: it has no single reading; nothing of it may go on.
        """
        turn = Turn(messages.read_payload(raw), by_client=True)
        for at, message in enumerate(turn.payload.messages):
            if message.method in _BY_SERVER:
                raise WireError(f"MCP: a client does not send {message.method}")
            if message.method in _BY_CLIENT:
                await self._judge_request(turn, at, message)
            elif message.kind is Kind.REQUEST:
                asked = Asked(
                    message.method,
                    modern=message.is_modern,
                    first_page=message.params.get("cursor") is None,
                )
                if message.method == messages.TASK_RESULT:
                    asked.key = self._open.task_key(message.params.get("taskId"))
                self._open.note(turn, message, asked)
            elif message.method == "notifications/cancelled":
                hold = self._held.get(name_of(message.params.get("requestId")))
                if hold is not None:
                    await self._pipeline.abandon(hold, for_good=True)
        return turn

    async def _judge_request(self, turn: Turn, at: int, message: Message) -> None:
        call = self._call(message.method, message.params)
        if message.method == CALL and call.name == wait_tool.NAME and await self._offers_wait():
            await self._wait_for_approval(turn, at, message, call)
            return
        round_ = (call.name, call.args_sha256)
        key = None
        if "inputResponses" in message.params or "requestState" in message.params:
            key = self._rounds.pop(round_, None)  # the next leg of a call that was let through
        key = key or call_key(self.identity, call, secrets.token_hex(16))
        decision = await self._pipeline.decide(call, self.identity, key)
        await self._rule(turn, at, message, call, key, decision)

    async def _rule(
        self, turn: Turn, at: int, message: Message, call: Call, key: str, decision: Decision
    ) -> None:
        hold = decision.hold
        if (
            decision.verdict is Verdict.HOLD
            and hold is not None
            and hold.state is HoldState.PENDING
            and message.id is not None  # nobody waits for a notification's answer
        ):
            turn.waiting.append(Waiting(message, call, key, decision, hold, at))
            self._held[name_of(message.id)] = hold.id
            return
        turn.decisions.append(decision)
        if decision.verdict is not Verdict.ALLOW:
            turn.refuse(at, refusal_text(decision, None))
        elif turn.by_client and message.id is not None:
            asked = Asked(message.method, key, call, modern=message.is_modern)
            self._open.note(turn, message, asked)

    # --- `wait_for_approval` -------------------------------------------------------------------------

    async def _offers_wait(self) -> bool:
        """Whether the tool is ours here: the rules offer it, and the server has none of its name."""
        if not self._pipeline.rules.wait_tool:
            return False
        pins = await self._pipeline.in_transaction(lambda tx, _emit: tx.tool_pins(self.server))
        return wait_tool.NAME not in pins

    async def _wait_for_approval(self, turn: Turn, at: int, message: Message, call: Call) -> None:
        hold = await wait_tool.hold_asked_for(self._pipeline, self.identity, call.arguments)
        if hold is None:
            turn.tell(at, wait_tool.UNKNOWN, is_error=True)
        elif hold.state is not HoldState.PENDING or message.id is None:
            turn.tell(at, wait_tool.outcome(hold))
        else:
            decision = Decision(Verdict.HOLD, call, hold=hold)
            turn.waiting.append(Waiting(message, call, "", decision, hold, at, asks_only=True))

    async def _offer_wait(self, turn: Turn, at: int, message: Message, asked: Asked) -> None:
        """Puts the tool into the first page of what a server lists."""
        value = message.document.get("result")
        tools = value.get("tools") if isinstance(value, dict) else None
        if asked.first_page and isinstance(tools, list) and await self._offers_wait():
            ours = {
                "name": wait_tool.NAME,
                "description": wait_tool.DESCRIPTION,
                "inputSchema": wait_tool.SCHEMA,
                "annotations": {"readOnlyHint": True},
            }
            result = {**message.document["result"], "tools": [*tools, ours]}
            turn.replace(at, encode({**message.document, "result": result}))

    def _call(self, method: str, params: Mapping[str, Json]) -> Call:
        if method == CALL:
            name = params["name"]
            arguments = params.get("arguments")
            arguments = {} if arguments is None else arguments
            if not isinstance(arguments, dict):
                raise WireError("MCP: a call's arguments are an object")
        else:
            name = method
            arguments = {key: value for key, value in params.items() if key != "_meta"}
        return call_from_value(
            arguments,
            id=None,
            name=name,
            provider="mcp",
            side=Side.MCP,
            kind=_KINDS[method],
            namespace=self.server,
        )

    # --- from the server ---------------------------------------------------------------------------

    async def from_server(self, raw: bytes, request: Turn | None = None) -> Turn:
        """Judges what the server asks, and settles by what it answers.

        Raises:
            WireError: it has no single reading; nothing of it may reach the client.
        """
        turn = Turn(messages.read_payload(raw), by_client=False)
        for at, message in enumerate(turn.payload.messages):
            if message.kind is Kind.ANSWER:
                await self._answered(turn, at, message, request)
            elif message.method == CALL:
                raise WireError("MCP: a server does not send tools/call")
            elif message.method in _BY_SERVER:
                call = self._call(message.method, message.params)
                key = call_key(self.identity, call, secrets.token_hex(16))
                decision = await self._pipeline.decide(call, self.identity, key)
                await self._rule(turn, at, message, call, key, decision)
        return turn

    async def _answered(self, turn: Turn, at: int, message: Message, request: Turn | None) -> None:
        asked = self._open.take(message, request)
        if asked is None:
            return
        value = message.document.get("result")
        if isinstance(value, dict) and value.get("resultType") == "input_required":
            await self._input_required(turn, at, message, asked, value)
        elif asked.method == LIST and isinstance(value, dict):
            await pin_tools(
                self._pipeline, self.identity, self.server, value, whole=asked.first_page
            )
            await self._offer_wait(turn, at, message, asked)
        elif asked.key is not None:
            await self._open.settle(asked, message, value)

    async def _input_required(
        self, turn: Turn, at: int, message: Message, asked: Asked, value: dict[str, Json]
    ) -> None:
        """A call that goes on when the client has answered: it stays open, what it asks is judged."""
        wanted = value.get("inputRequests")
        for name, request in wanted.items() if isinstance(wanted, dict) else ():
            method = request.get("method") if isinstance(request, dict) else None
            if method not in _BY_SERVER:
                continue
            params = request.get("params")
            call = self._call(method, params if isinstance(params, dict) else {})
            key = call_key(self.identity, call, secrets.token_hex(16))
            decision = await self._pipeline.decide(call, self.identity, key)
            hold = decision.hold
            if decision.verdict is Verdict.HOLD and hold is not None:
                waiting = Waiting(message, call, key, decision, hold, at, name)
                turn.waiting.append(waiting)
            elif decision.verdict is not Verdict.ALLOW:
                self._refuse_input(turn, at, message, decision)
                return
        if asked.key is not None and asked.call is not None:
            self._rounds[asked.call.name, asked.call.args_sha256] = asked.key
            if len(self._rounds) > _ROUNDS:
                self._rounds.popitem(last=False)

    def _refuse_input(self, turn: Turn, at: int, message: Message, decision: Decision) -> None:
        if message.id is not None:
            text = refusal_text(decision, None)
            turn.replace(at, messages.tool_error(message.id, text, modern=True))

    # --- waiting -------------------------------------------------------------------------------------

    async def wait(self, turn: Turn, presence: Presence, timeout_s: float) -> None:
        """Waits for humans, `timeout_s` at most; what they answered is ruled on."""
        holds = {w.hold.id: w.hold for w in turn.waiting}
        answered = await self._pipeline.wait_for(holds, presence, timeout_s)
        if presence.gone:
            await self.leave(turn)
            return
        for waiting in [w for w in turn.waiting if w.hold.id in answered]:
            if waiting.asks_only:
                turn.waiting.remove(waiting)
                turn.tell(waiting.at, wait_tool.outcome(answered[waiting.hold.id]))
                continue
            decision = await self._pipeline.decide(waiting.call, self.identity, waiting.key)
            if (other := decision.pending) is not None:
                waiting.hold, waiting.decision = other, decision  # it stands for the call now
                continue
            turn.waiting.remove(waiting)
            await self._conclude(turn, waiting, decision)

    async def park(self, turn: Turn) -> None:
        """Stops waiting: who asked is told `pending`; the holds stay open."""
        parked, turn.waiting = turn.waiting, []
        for waiting in parked:
            if waiting.asks_only:
                turn.tell(waiting.at, wait_tool.outcome(waiting.hold))
                continue
            await self._pipeline.desk.parked(waiting.hold)
            await self._conclude(turn, waiting, waiting.decision)

    async def leave(self, turn: Turn) -> None:
        """Who waited went away: its holds end, nothing of the turn goes on."""
        left, turn.waiting = turn.waiting, []
        for waiting in left:
            if not waiting.asks_only:  # that hold is another call's
                await self._pipeline.abandon(waiting.hold.id)
            self._held.pop(name_of(waiting.message.id), None)
            turn.refuse(waiting.at, "the connection ended while it waited")

    async def _conclude(self, turn: Turn, waiting: Waiting, decision: Decision) -> None:
        message = waiting.message
        self._held.pop(name_of(message.id), None)
        if waiting.input_key is not None:
            if decision.verdict is not Verdict.ALLOW:
                self._refuse_input(turn, waiting.at, message, decision)
            return
        turn.decisions.append(decision)
        if decision.verdict is not Verdict.ALLOW:
            turn.refuse(waiting.at, refusal_text(decision, None))
        elif turn.by_client:
            asked = Asked(message.method, waiting.key, waiting.call, modern=message.is_modern)
            self._open.note(turn, message, asked)


class Mcp:
    """The channels of this process."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._channels: OrderedDict[tuple[str, str, str, str], McpChannel] = OrderedDict()

    def channel(self, identity: Identity, server: str, session: str | None = None) -> McpChannel:
        """Returns the channel of this client and server; it outlives connections."""
        name = (identity.session, identity.agent, server, session or "")
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = McpChannel(self._pipeline, identity, server)
            if len(self._channels) > _CHANNELS:
                self._channels.popitem(last=False)
        else:
            self._channels.move_to_end(name)
        return channel

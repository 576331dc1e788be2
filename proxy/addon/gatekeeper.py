"""The addon: which flows are ours, who sends them, and what the request side has to do.

Order of events for a model API. `requestheaders`: who is it, is it one of ours. `request`: the body is
read once, results in it settle the ledger, refused calls are restored into it. `responseheaders`:
a gate is opened. The answer's body then goes through `stream.py`. For a tool API named in rules the
request itself is the call: it is judged in `request`, its answer settles it in `response`.

MCP (`mcp_gate.py`) is both: its request is the call, its answer is read message by message.

Every flow gets a mark, `Exchange`, `McpExchange`, `ToolRequest` or `PASS`; `stream.py` drops the answer of a flow without one.
"""

from __future__ import annotations

import logging
import secrets

from mitmproxy import http
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from proxy.addon.closed import PROTOCOL, closes, kills
from proxy.addon.credentials import is_own_address, leads_here
from proxy.addon.exchange import Exchange
from proxy.addon.identification import Identification
from proxy.addon.mcp_exchange import McpExchange
from proxy.addon.mcp_gate import McpGate
from proxy.addon.refusals import api_error, problem
from proxy.addon.signatures import is_signed
from proxy.addon.socket_exchange import SocketExchange
from proxy.addon.socket_layer import SOCKET
from proxy.addon.sockets import Sockets, wants_socket
from proxy.addon.stream import MARK, PASS, GateStep
from proxy.addon.tool_body import names_method_field
from proxy.addon.tool_request import OVERRIDES, ToolRequest
from proxy.addon.tunnels import Tunnels
from proxy.addon.unparsed import Unparsed, names_of
from proxy.errors import CheckreinError, WireError
from proxy.pipeline import wait_tool
from proxy.pipeline.clients import ClientProfile
from proxy.pipeline.core import Pipeline
from proxy.pipeline.decision import Decision
from proxy.pipeline.outlay import Asked
from proxy.pipeline.spending import Spending
from proxy.pipeline.texts import refusal_text, upstream_error_text
from proxy.wire import detect
from proxy.wire.codec import ParsedRequest, WireProtocol
from proxy.wire.encoding import decode_body
from proxy.wire.jsontext import decode_object, encode
from proxy.wire.mcp import detect as mcp
from proxy.wire.offering import with_tool
from proxy.wire.usage import usage_of_headers

logger = logging.getLogger("checkrein")

_ROUTED = "checkrein_routed"
_BESIDE = "checkrein_routed_in_shadow"
_UNPARSED = "checkrein_unparsed"


class Gatekeeper:
    """mitmproxy's hooks."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._who = Identification(pipeline)
        self._mcp = McpGate(pipeline, self._who)
        self._sockets = Sockets(pipeline, self._who)
        self._tunnels = Tunnels(pipeline, self._who)
        self._unparsed = Unparsed(pipeline)
        self._spending = Spending(pipeline)
        self.addons = [self._sockets, self._tunnels]  # mitmproxy calls their hooks too

    # --- before the request's body ---------------------------------------------------------------

    @closes
    async def http_connect(self, flow: http.HTTPFlow) -> None:
        """A tunnel is asked for: note the credential, refuse tunnels into checkrein itself."""
        if self._is_own(flow):
            await self._refuse_own(flow)
            return
        await self._who.of_connection(flow)
        self._tunnels.opened(flow)

    @closes
    async def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Finds out whose protocol this is before a body is read."""
        request = flow.request
        await self._who.of_request(flow)
        if self._is_own(flow):
            await self._refuse_own(flow)
            return
        protocol = _protocol_of(request)
        flow.metadata[PROTOCOL] = protocol
        if wants_socket(request) and (refusal := await self._sockets.admit(flow, protocol)):
            flow.response = refusal
            return
        is_read = protocol is not None or isinstance(flow.metadata.get(SOCKET), SocketExchange)
        flow.metadata[_UNPARSED] = None if is_read else self._unparsed.on_path(flow)
        routed = self._routed(flow)
        flow.metadata[_ROUTED] = routed
        beside = self._routed_in_shadow(flow) if routed is None else None
        flow.metadata[_BESIDE] = beside
        if protocol is not None or routed is not None:
            if not is_signed(request):
                request.headers["accept-encoding"] = "identity"
        elif flow.metadata[_UNPARSED] is None and self._mcp.wants_stream(request):
            await self._mcp.open_stream(flow)
        elif (
            flow.metadata[_UNPARSED] is None
            and beside is None
            and request.method not in ("POST", "PUT", "PATCH")
        ):
            flow.metadata[MARK] = PASS
            flow.request.stream = not _is_unmeasured(request)

    # --- the request -------------------------------------------------------------------------------

    async def server_connect(self, data: ServerConnectionHookData) -> None:
        """mitmproxy: a connection is opened; under no name does one lead to where people answer."""
        address = data.server.address
        if address is None or not self._is_own_port(address[1]):
            return
        if await leads_here(address[0]):
            data.server.error = "checkrein carries no traffic to itself"
            await self._pipeline.note_error(None, "inbox", "an agent asked for the inbox by a name")

    def server_connected(self, data: ServerConnectionHookData) -> None:
        """mitmproxy: a connection is open; its name may lead elsewhere than when it was looked up."""
        peer, end = data.server.peername, data.server.sockname
        if peer is not None and end is not None and self._is_own_port(peer[1]):
            self._pipeline.carried.opened(end[:2])

    def server_disconnected(self, data: ServerConnectionHookData) -> None:
        """mitmproxy: a connection has ended."""
        end = data.server.sockname
        if end is not None:
            self._pipeline.carried.closed(end[:2], self._pipeline.now_ms())

    @closes
    async def request(self, flow: http.HTTPFlow) -> None:
        """Judges the request side."""
        request = flow.request
        if request.raw_content and _is_unmeasured(request):
            request.headers["content-length"] = str(len(request.raw_content))
        mark = flow.metadata.get(MARK)
        if flow.response is not None or mark == PASS or isinstance(mark, McpExchange):
            return
        protocol: WireProtocol | None = flow.metadata.get(PROTOCOL)
        try:
            body = decode_body(request.raw_content or b"", request.headers.get("content-encoding"))
        except WireError as error:
            flow.response = api_error(protocol, 415, upstream_error_text(error))
            await self._pipeline.note_error(None, "request", str(error))
            return
        routed: str | None = flow.metadata[_ROUTED]
        if protocol is None or routed is not None:  # else the path has told
            sniffed = detect.sniff(body) if request.method == "POST" else None
            is_mcp = (
                protocol is None
                and flow.metadata[_UNPARSED] is None
                and self._mcp.claims(request, body)
            )
            if routed is not None:
                await self._tool_request(flow, body, routed)
                if (sniffed is None and not is_mcp) or _is_refused(flow):
                    return  # a route may look like a model's path
                # A tool's body that was made to look like a model's request passed the rules above.
            if is_mcp and sniffed is not None:
                flow.response = api_error(sniffed, 400, "This is MCP and a model request at once.")
                return
            if is_mcp:
                await self._mcp.request(flow, body)
                return
            protocol = protocol or sniffed
            if protocol is None and routed is None and await self._is_closed(flow, body):
                return
        if protocol is None:
            beside: str | None = flow.metadata[_BESIDE]
            flow.metadata[MARK] = PASS
            if beside is not None:  # it would pass; now what files in shadow make of it
                await self._tool_request(flow, body, beside, in_shadow=True)
            return
        await self._model_request(flow, protocol, body)

    async def _is_closed(self, flow: http.HTTPFlow, body: bytes) -> bool:
        """Whether a request that neither a codec nor a route claims has its answer already."""
        if flow.request.method.upper() == "POST" and self._names_other_method(flow, body):
            flow.response = problem(
                400,
                "The request cannot be read safely",
                "a field '_method' that overrides the method",
                kind="unreadable",
            )
            await self._pipeline.note_error(None, "tool request", "a field '_method'")
            return True
        why = flow.metadata[_UNPARSED] or self._unparsed.in_body(flow, body)
        if why is None:
            return False
        identity = await self._who.identify(flow, key_is_checked=False)
        return not await self._unparsed.judge(flow, identity, body, why)

    async def _model_request(
        self, flow: http.HTTPFlow, protocol: WireProtocol, body: bytes
    ) -> None:
        parsed: ParsedRequest | None = None
        if flow.request.method == "POST" and body:
            try:
                parsed = protocol.parse_request(body)
            except WireError as error:
                flow.response = api_error(protocol, 400, upstream_error_text(error))
                await self._pipeline.note_error(None, "request", str(error))
                return
            if mcp.is_message_object(parsed.document):
                text = "MCP is not read on a model API's path."
                flow.response = api_error(protocol, 400, text)
                return
        identity = await self._who.identify(flow, parsed)
        exchange = Exchange(
            self._pipeline,
            protocol,
            identity,
            parsed,
            ref="cr_" + secrets.token_hex(16),
            profile=self._profile(flow),
        )
        if parsed is not None:
            await self._pipeline.observe(identity, parsed)
            memories = await self._pipeline.memory.recall(protocol.name, parsed.remembered_by)
            if is_signed(flow.request):
                memories = []  # a changed body would break the signature: what was stripped stays so
            if memories and (restored := protocol.restore(parsed, memories)) is not None:
                flow.request.headers.pop("content-encoding", None)
                flow.request.content = restored
                exchange.given_back = frozenset(key for m in memories for key in m.keys)
        if parsed is not None and self._pipeline.rules.wait_tool and not is_signed(flow.request):
            exchange.offers_wait = _offer_wait(flow.request, protocol)
        flow.metadata[MARK] = exchange
        if parsed is not None and self._spending.is_counted:
            await self._reserve(flow, exchange, parsed, body)

    async def _reserve(
        self, flow: http.HTTPFlow, exchange: Exchange, parsed: ParsedRequest, body: bytes
    ) -> None:
        """Reserves what the model will cost, or answers with the budget that stops it."""
        if flow.client_conn.timestamp_end is not None:
            exchange.presence.leave()  # it hung up before there was a mark to tell
        path = flow.request.path.partition("?")[0]
        asked = Asked(
            exchange.identity, parsed, body, flow.request.host, path.lower(), exchange.ref
        )
        made = await self._spending.reserve(asked, exchange.presence, self._profile(flow))
        if exchange.presence.gone and isinstance(made, Decision):
            flow.kill()
        elif isinstance(made, Decision):
            # 403: no SDK sends it again by itself, and the budget would be no larger.
            flow.response = api_error(exchange.protocol, 403, refusal_text(made, None))
        elif made is not None:
            exchange.outlay = (self._spending, made)

    def _profile(self, flow: http.HTTPFlow) -> ClientProfile:
        user_agent = flow.request.headers.get("user-agent", "")
        return self._pipeline.client_profile(user_agent)

    async def _tool_request(
        self, flow: http.HTTPFlow, body: bytes, host: str, *, in_shadow: bool = False
    ) -> None:
        identity = await self._who.identify(flow, key_is_checked=False)
        tool = ToolRequest(self._pipeline, identity, flow, body, host, in_shadow=in_shadow)
        flow.metadata[MARK] = tool
        if flow.client_conn.timestamp_end is not None:
            tool.presence.leave()  # it hung up before there was a mark to tell
        await tool.judge()

    def _routed(self, flow: http.HTTPFlow) -> str | None:
        """Returns the host under which rules name this request as a call, None where none does; what files
        in shadow alone name takes no request away from those who judge it without them.

        Every name counts under which a server may take it (`names_of`), and so does a method that a
        header puts in place of the request's own (`ToolRequest` refuses that).
        """
        request = flow.request
        methods = [request.method, *(request.headers[h] for h in OVERRIDES if h in request.headers)]
        for rules in self._pipeline.rules.enforcing():
            for host in names_of(flow):
                if any(rules.route(m.strip(), host, request.path) for m in methods):
                    return host
        return None

    def _routed_in_shadow(self, flow: http.HTTPFlow) -> str | None:
        request, rules = flow.request, self._pipeline.rules
        named = names_of(flow)
        return next((h for h in named if rules.route(request.method, h, request.path)), None)

    def _names_other_method(self, flow: http.HTTPFlow, body: bytes) -> bool:
        """Whether a POST that no route names would be one under the method its `_method` asks for."""
        path, _, query = flow.request.path.partition("?")
        return any(
            rules.route(method, host, path)
            for rules in self._pipeline.rules.enforcing()
            for host in names_of(flow)
            for method in ("PUT", "PATCH", "DELETE", "GET")
        ) and (names_method_field(query) or names_method_field(body))

    # --- the answer ------------------------------------------------------------------------------------

    @kills
    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Opens the gate for the answer that begins."""
        response = flow.response
        mark = flow.metadata.get(MARK)
        if response is None:
            return
        response.headers.pop(
            "alt-svc", None
        )  # an offer of HTTP/3 is an offer to go round the proxy
        if not isinstance(mark, Exchange | McpExchange):
            if mark == PASS:
                response.stream = True
            return
        content_type = response.headers.get("content-type", "")
        if isinstance(mark, McpExchange) and not mark.is_wanted(content_type):
            response.stream = mark.turn is None  # a GET whose answer is no event stream
            return
        try:
            mark.open(
                content_type=content_type,
                content_encoding=response.headers.get("content-encoding"),
                status=response.status_code,
            )
        except Exception as error:
            known = isinstance(error, CheckreinError)
            text = upstream_error_text(error if known else type(error).__name__)
            mark.refusal = (502, mark.error_body(502, text))
            logger.error("response: %s", error, exc_info=None if known else error)
            return
        if isinstance(mark, Exchange):
            mark.head_usage = usage_of_headers(response.headers)
        if mark.gate is not None and mark.gate.streams:
            # What leaves may be shorter or longer than what came, and is decoded.
            response.headers.pop("content-length", None)
            response.headers.pop("content-encoding", None)
            if not response.is_http2:
                response.headers["transfer-encoding"] = "chunked"
            response.stream = True

    async def gate_step(self, step: GateStep) -> None:
        """A stream waits for a decision (`stream.GateStepHook`)."""
        step.out, step.keepalive = await step.exchange.step()
        if isinstance(step.exchange, McpExchange):
            self._mcp.note_endpoint(step.exchange)
        step.done = True

    async def response(self, flow: http.HTTPFlow) -> None:
        """The answer is complete: settle a tool call by it, keep what the next request needs."""
        try:
            await self._conclude(flow)
        except CheckreinError as error:
            await self._pipeline.note_error(None, "response", str(error))
        except Exception as error:  # what is to be let through is decided elsewhere
            logger.exception("response: not settled")
            await self.note_failure("response", error)

    async def error(self, flow: http.HTTPFlow) -> None:
        """The exchange broke off: what the model did until then is settled."""
        mark = flow.metadata.get(MARK)
        if not isinstance(mark, Exchange):
            return
        try:
            await mark.cut()
        except Exception as error:  # the entry is committed in time
            logger.exception("error: not settled")
            await self.note_failure("error", error)

    async def _conclude(self, flow: http.HTTPFlow) -> None:
        mark = flow.metadata.get(MARK)
        if isinstance(mark, ToolRequest):
            await mark.settle()
        if isinstance(mark, Exchange | McpExchange) and flow.response is not None:
            await mark.step_in_hook()
            await mark.conclude(flow.response.status_code)

    async def note_failure(self, where: str, error: BaseException) -> None:
        """Tells the operator of a hook that was closed."""
        await self._pipeline.note_error(None, where, type(error).__name__)

    async def _refuse_own(self, flow: http.HTTPFlow) -> None:
        flow.response = problem(403, "No way in here", "checkrein carries no traffic to itself.")
        await self._pipeline.note_error(
            None, "own address", f"an agent asked for checkrein itself, port {flow.request.port}"
        )

    def _is_own_port(self, port: int) -> bool:
        return any(port == own for _, own in self._pipeline.own_addresses)

    def _is_own(self, flow: http.HTTPFlow) -> bool:
        host, port = flow.request.host, flow.request.port
        if any(is_own_address(host, port, *own) for own in self._pipeline.own_addresses):
            return True  # the inbox, in any mode
        settings = self._pipeline.settings
        if settings.upstream is not None and flow.client_conn.proxy_mode.type_name == "reverse":
            return False  # the destination is the operator's choice, not the agent's
        # Where this very connection came in: the port may have been chosen by the system.
        here = flow.client_conn.sockname
        return is_own_address(flow.request.host, flow.request.port, here[0], here[1])


def _offer_wait(request: http.Request, protocol: WireProtocol) -> bool:
    """Puts `wait_for_approval` into what a model is offered; returns whether it is there."""
    body = decode_body(request.raw_content or b"", request.headers.get("content-encoding"))
    offered = with_tool(
        protocol.name,
        decode_object(body, "request"),
        wait_tool.NAME,
        wait_tool.DESCRIPTION,
        wait_tool.SCHEMA,
    )
    if offered is None:
        return False
    request.headers.pop("content-encoding", None)
    request.content = encode(offered)
    return True


def _protocol_of(request: http.Request) -> WireProtocol | None:
    """The protocol of a request under its method, or under one that a header puts in its place."""
    methods = [request.method, *(request.headers[h] for h in OVERRIDES if h in request.headers)]
    found = (detect.protocol_for(method.strip(), request.path) for method in methods)
    return next((protocol for protocol in found if protocol is not None), None)


def _is_unmeasured(request: http.Request) -> bool:
    """Whether only frames tell where a body ends: an HTTP/2 request without a length.

    mitmproxy writes its body to an HTTP/1 server with nothing around it, and the server reads it as
    the next request, which nobody has judged.
    """
    named = request.headers
    return (request.is_http2 or request.is_http3) and "content-length" not in named


def _is_refused(flow: http.HTTPFlow) -> bool:
    return flow.response is not None or flow.error is not None

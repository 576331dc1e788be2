"""CONNECT tunnels: which are opened, which go by unread, and what becomes of the rest.

What belongs here: mitmproxy's hooks around a tunnel's first bytes. Everything is opened that can be:
TLS with checkrein's certificate, HTTP without it. What then stays unread is *opaque*, and needs the
operator's word:

- `pass_through: [hosts]` in the rules: TLS to these is handed on unopened, if the name in the CONNECT and
  the one in the handshake agree; if not, the tunnel is opened like any other. Bytes that are neither
  TLS nor HTTP are handed on to them too. A glob passes no host that serves models or that a route
  names; such a host has to be named exactly.
- `opaque: allow`: bytes that are neither TLS nor HTTP are handed on, and a host whose clients do not take
  checkrein's certificate (they pin one) is handed on unopened from the next connection; neither for
  a host that serves models or that a route names.

Each tunnel that is handed on or refused leaves one decision record; `call.kind` is `pass-through` or
`opaque`. Where a record cannot be written, the tunnel is not handed on.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections import OrderedDict
from fnmatch import fnmatchcase
from weakref import WeakKeyDictionary

from mitmproxy import connection, http, tls
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy import layer, layers
from mitmproxy.proxy.layers.http import HTTPMode

from proxy.addon.identification import Identification
from proxy.canonical import digest
from proxy.errors import CheckreinError
from proxy.model import Call, Json, Side, Verdict
from proxy.pipeline.core import Pipeline
from proxy.pipeline.judge import call_key
from proxy.policy.routes import normal_host
from proxy.wire import hosts

logger = logging.getLogger("checkrein")

_LEARNED_HOSTS = 1024
_HTTP = re.compile(
    rb"[\r\n]*(?:[A-Za-z]{1,20}(?: |$)|$)"
)  # servers skip empty lines ahead of a request
_TLS = b"\x16\x03"
_SERVER_NAME = 0  # the extension's number (RFC 6066)


class Tunnels:
    """mitmproxy's hooks on tunnels."""

    def __init__(self, pipeline: Pipeline, who: Identification) -> None:
        self._pipeline = pipeline
        self._who = who
        self._connects: WeakKeyDictionary[connection.Client, http.HTTPFlow] = WeakKeyDictionary()
        self._pinning: OrderedDict[str, None] = OrderedDict()

    def opened(self, flow: http.HTTPFlow) -> None:
        """Notes the CONNECT of a client's connection: whose tunnel it is."""
        self._connects[flow.client_conn] = flow

    async def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        """mitmproxy: a client begins TLS; here alone it can be left unopened."""
        client, address = data.context.client, data.context.server.address
        if address is None or client not in self._connects:
            return
        host, hello = normal_host(address[0]), data.client_hello
        is_named = any(number == _SERVER_NAME for number, _ in hello.extensions)
        if is_named and normal_host(hello.sni or "") != host:
            return  # opened: what is inside is judged by every name it goes by
        if not (self._is_passed(host) or (host in self._pinning and self._may_learn(host))):
            return
        why = "not opened: the rules pass it, or its client does not take checkrein's certificate"
        # Set only once it is on record: without one it is opened.
        if await self._is_allowed(client, "pass-through", address, why):
            data.ignore_connection = True

    async def tls_failed_client(self, data: tls.TlsData) -> None:
        """mitmproxy: a client broke the handshake off: it does not trust our certificate, or pins another."""
        client, address = data.context.client, data.context.server.address
        if address is None or client not in self._connects:
            return
        host = normal_host(address[0])
        why = (
            f"the TLS handshake for {host} failed ({data.conn.error or 'no reason given'}): "
            "let the client trust checkrein's CA, or name the host under 'pass_through'"
        )
        if await self._is_allowed(client, "opaque", address, why) and self._may_learn(host):
            self._pinning[host] = None
            if len(self._pinning) > _LEARNED_HOSTS:
                self._pinning.popitem(last=False)

    async def next_layer(self, data: layer.NextLayer) -> None:
        """mitmproxy: bytes have come and a layer is chosen; only HTTP and TLS are opened."""
        context, chosen = data.context, data.layer
        client, address = context.client, context.server.address
        if chosen is None or address is None or client not in self._connects:
            return
        first = data.data_client()
        is_transparent = (
            isinstance(chosen, layers.HttpLayer) and chosen.mode is HTTPMode.transparent
        )
        if is_transparent and (_HTTP.match(first) or client.alpn in (b"h2", b"http/1.1")):
            return
        if not is_transparent and not isinstance(chosen, layers.TCPLayer | layers.DNSLayer):
            return  # TLS, or the proxy's own HTTP around the tunnel
        if isinstance(chosen, layers.TCPLayer) and chosen.flow is None:
            return  # a tunnel that `tls_clienthello` has handed on
        if (
            not is_transparent
        ):  # DNS by its port, TCP by an option: closed, before anything can fail
            data.layer = self._instead(data, layers.HttpLayer(context, HTTPMode.transparent))
        if starts_like_tls_record(first) or _TLS.startswith(first[:2]):
            return  # too few bytes of a handshake for mitmproxy to open it: HTTP's layer refuses them
        is_passed = self._is_passed(normal_host(address[0])) and not client.tls_established
        why = "bytes in a tunnel that are neither TLS nor HTTP"
        if await self._is_allowed(client, "pass-through" if is_passed else "opaque", address, why):
            data.layer = self._instead(data, layers.TCPLayer(context, ignore=True))

    @staticmethod
    def _instead(data: layer.NextLayer, made: layer.Layer) -> layer.Layer:
        """Takes the layer that was chosen off the stack, on which each new one puts itself."""
        if data.layer in data.context.layers:
            data.context.layers.remove(data.layer)
        return made

    def _is_passed(self, host: str) -> bool:
        named = self._pipeline.rules.pass_through
        return host in named or (
            any(fnmatchcase(host, pattern) for pattern in named) and self._may_learn(host)
        )

    def _may_learn(self, host: str) -> bool:
        """Whether nothing is known of a host that speaks against leaving it unread."""
        rules = self._pipeline.rules
        is_model = hosts.family_of(host) is not None or any(
            host == p or fnmatchcase(host, p) for p in rules.model_hosts
        )
        return not is_model and not rules.names_host(host)

    async def _is_allowed(
        self, client: connection.Client, kind: str, address: tuple[str, int], why: str
    ) -> bool:
        """Puts a tunnel on record; returns whether it may go by unread."""
        flow = self._connects[client]
        host, port = normal_host(address[0]), address[1]
        arguments: Json = {"host": host, "port": port, "why": why}
        if kind == "opaque" and not self._may_learn(host):
            arguments["never"] = "this host serves models, or a route names it"
        call = Call(
            id=None,
            name=f"CONNECT {host}:{port}",
            arguments=arguments,
            provider="http",
            args_sha256=digest(arguments),
            side=Side.HTTP,
            kind=kind,
        )
        try:
            await self._who.of_request(flow)
            identity = await self._who.identify(flow, key_is_checked=False)
            key = call_key(identity, call, secrets.token_hex(16))
            decision = await self._pipeline.decide(call, identity, key)
        except CheckreinError as error:
            logger.error("tunnel to %s: closed: %s", host, error)
            return False
        if decision.verdict is not Verdict.ALLOW:
            logger.warning("tunnel to %s:%d refused: %s", host, port, why)
        return decision.verdict is Verdict.ALLOW

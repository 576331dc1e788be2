"""The credential of a run, as it arrives: Proxy-Authorization, on the tunnel or on each request.

A tunnel's credential counts for every request inside it. The header never goes upstream.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
import socket
from typing import Any
from weakref import WeakKeyDictionary

from mitmproxy import connection, http

from proxy.canonical import sha256_hex
from proxy.pipeline.core import Pipeline
from proxy.policy.routes import normal_host

type Run = tuple[str, str, str | None]
"""(session, agent, human)."""


class Credentials:
    """Verifies credentials, once a connection."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._known: dict[str, Run] = {}
        self._of_connection: WeakKeyDictionary[connection.Client, Run] = WeakKeyDictionary()

    async def of_connection(self, flow: http.HTTPFlow) -> Run | None:
        """Notes the credential a CONNECT brings, for all that comes through the tunnel."""
        run = await self._verify(_take(flow.request.headers))
        if run is not None:
            self._of_connection[flow.client_conn] = run
        return run

    async def of_request(self, flow: http.HTTPFlow) -> Run | None:
        """Returns the run a request belongs to."""
        own = await self._verify(_take(flow.request.headers))
        return own if own is not None else self._of_connection.get(flow.client_conn)

    async def _verify(self, token: str | None) -> Run | None:
        if token is None:
            return None
        digest = sha256_hex(token.encode())
        run = self._known.get(digest)
        if run is None:
            credential = await self._pipeline.credential(digest)
            if credential is None:
                return None
            run = self._known[digest] = (
                credential.session,
                credential.agent,
                credential.human,
            )
        return run


def _take(headers: http.Headers) -> str | None:
    """Removes Proxy-Authorization and returns its password or bearer token."""
    value = headers.pop("proxy-authorization", None)
    if value is None:
        return None
    scheme, _, rest = value.partition(" ")
    if scheme.lower() == "bearer":
        return str(rest).strip()
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(rest.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return decoded.partition(":")[2]


def is_own_address(host: str, port: int, listen_host: str, listen_port: int) -> bool:
    """Whether a destination is the proxy itself, under any of its names."""
    if port != listen_port:
        return False
    name = normal_host(host)  # 127.1 and 0x7f000001 are names of it too
    if name == normal_host(listen_host) or name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool(address.is_loopback or address.is_unspecified or (mapped and mapped.is_loopback))


async def leads_here(host: str) -> bool:
    """Whether any address of a name is one of this machine's."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except OSError:
        return False  # it will not be connected to either
    return any(_is_local(family, where) for family, _, _, _, where in found)


def _is_local(family: int, where: tuple[Any, ...]) -> bool:
    """Only an address of this machine can be bound; a link-local one with its zone."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((where[0], 0, *where[2:]))
        except OSError:
            return False
    return True

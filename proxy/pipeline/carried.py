"""Which connections the proxy itself has opened to a port where people answer.

How it works. A name is looked up before the proxy connects to it, and again by the connection: between the two it may have been turned to this
machine. So whoever connects to a port of ours notes the connection's own end, and the inbox takes no request from there. An end is remembered
for a minute after it was closed: what was sent before may still be read.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict

type End = tuple[str, int]
"""(address, port) of a connection's own end."""

_REMEMBERED_MS = 60_000
_MOST = 10_000
"""Closed ones that are remembered."""


class Carried:
    """Ends of connections that bring an agent's traffic.

    What is open is never forgotten: an agent that opens many would have the first of them unknown.
    """

    def __init__(self) -> None:
        self._open: set[End] = set()  # as many as the system lets the proxy open
        self._closed_at_ms: OrderedDict[End, int] = OrderedDict()

    def opened(self, end: End) -> None:
        self._open.add(_normal(end))

    def closed(self, end: End, now_ms: int) -> None:
        name = _normal(end)
        if name not in self._open:
            return  # it led elsewhere
        self._open.remove(name)
        self._closed_at_ms[name] = now_ms
        self._closed_at_ms.move_to_end(name)
        if len(self._closed_at_ms) > _MOST:
            self._closed_at_ms.popitem(last=False)

    def brings(self, end: End, now_ms: int) -> bool:
        """Whether what comes from this end has come through the proxy."""
        name = _normal(end)
        closed_at_ms = self._closed_at_ms.get(name)
        # Later the system gives its port to others.
        is_fresh = closed_at_ms is not None and now_ms - closed_at_ms <= _REMEMBERED_MS
        return name in self._open or is_fresh


def _normal(end: End) -> End:
    """A listener for both families is told of IPv4 as IPv6."""
    host, _, _zone = end[0].partition("%")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return end
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address), end[1]

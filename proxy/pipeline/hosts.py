"""Which hosts a call speaks to, as far as its request and its effects tell.

What belongs here: host names out of routes and out of effects' targets. Only effects over the network
are looked at; a target there that names no host is a host that cannot be told, which is told as "".
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from proxy.model import Effect, HttpCall

_NETWORK = (
    "data.egress",
    "data.egress.*",
    "data.fetch",
    "data.fetch.*",
    "http.*",
    "net.*",
    "network.*",
    "remote.*",
    "web.*",
)
_MOST_HOSTS = 32
_HOST_CHARS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-._:[]")


def hosts_of(http: HttpCall | None, effects: Iterable[Effect]) -> tuple[str, ...]:
    """Returns the hosts of a call, lower case, without ports; "" stands for one that is unknown."""
    found: dict[str, None] = {}
    if http is not None:
        found[_plain(http.host)] = None
    for effect in effects:
        target = effect.target or ""
        if "://" in target[:64] or any(fnmatchcase(effect.kind, k) for k in _NETWORK):
            found[host_of(target)] = None
        if len(found) >= _MOST_HOSTS:
            found[""] = None
            break
    return tuple(found)


def host_of(target: str) -> str:
    """Returns the host in a URL, `user@host:path`, `host:port/path` or a plain name; else ""."""
    text = target.strip()
    if "://" in text:
        text = text.split("://", 1)[1]
    for end in "/?#\\":
        text = text.split(end, 1)[0]
    return _plain(text.rpartition("@")[2])


def _plain(host: str) -> str:
    name = host.strip().lower()
    if name.startswith("["):
        name = name.partition("]")[0] + "]"
    elif name.count(":") == 1:
        name = name.partition(":")[0]
    name = name.rstrip(".")
    if not name or len(name) > 253 or not set(name) <= _HOST_CHARS:
        try:
            name = name.encode("idna").decode("ascii") if name else ""
        except UnicodeError:
            return ""
        return name if set(name) <= _HOST_CHARS else ""
    return name

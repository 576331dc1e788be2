"""HTTP routes: which requests to a tool API are calls, however they are spelled.

What belongs here: the matching of method, host and path against `http:` entries. An agent that
wants out writes `//`, `/./`, `%2e%2e`, another case, a trailing dot, `;x`, `127.1`. Servers differ
in how they read those, so a path is read in every way a server may: cut at the slashes first and
decoded then, or decoded first; with and without `;parameters`. A route is met when one reading meets
it; when readings meet different routes, or give a path variable different values, the request is
ambiguous and held. Literal parts of a path are compared without regard to case, for some servers do.

A query is read in several ways too, where a route asks for one: `;` may part parameters, names and values
may be compared without regard to case, an encoded `=` may be decoded first. A route with
`graphql` says which root fields of a document it is for; what a request's document asks for is known
once its body is read (`graphql.py`), so that up to then every such route of the path counts as met.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import unquote, unquote_plus

_DECODINGS = 4
"""`%252e` and deeper: more rounds than any chain of proxies does."""
_PART = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Query:
    """One reading of a query; `folded`: by a server to which case is nothing."""

    pairs: frozenset[tuple[str, str]]
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """One compiled `http:` entry."""

    methods: tuple[str, ...]
    hosts: tuple[str, ...]
    template: str
    segments: tuple[str, ...]  # literals case-folded; "{name}" for variables
    query: tuple[tuple[str, frozenset[str]], ...] = ()  # "*": any value
    fields: tuple[str, ...] = ()  # GraphQL root fields or globs; empty: not a GraphQL route
    types: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str | None, ...]:
        return tuple(s[1:-1] if s.startswith("{") else None for s in self.segments)

    @property
    def specificity(self) -> tuple[int, ...]:
        """Literal segments count first, then the query, hosts and methods without a glob, fields."""
        literal = sum(not s.startswith("{") for s in self.segments)
        plain = not any(set(h) & set("*?[") for h in self.hosts)
        exact = sum("*" not in wanted for _, wanted in self.query)
        return (literal, len(self.query), exact, int(plain), int("*" not in self.methods))

    @property
    def suffix(self) -> str:
        """What tells this route from others of its path, for labels and names."""
        query = "&".join(f"{name}={'|'.join(sorted(wanted))}" for name, wanted in self.query)
        return (f"?{query}" if query else "") + (f"#{'|'.join(self.fields)}" if self.fields else "")

    def has_field(self, name: str, kind: str) -> tuple[int, int] | None:
        """Returns how exactly the route names a GraphQL root field, None where it does not."""
        if kind not in self.types:
            return None
        fits = [f for f in self.fields if f == name or fnmatchcase(name, f)]
        if not fits:
            return None
        return max((int(f == name), sum(char not in "*?[]" for char in f)) for f in fits)

    def has_query(self, given: Query) -> bool:
        """Tells whether one reading of a query has every parameter that the route names."""
        spelled = str.casefold if given.folded else str
        for name, wanted in self.query:
            values = {spelled(value) for n, value in given.pairs if spelled(n) == spelled(name)}
            if not values or not ("*" in wanted or values & {spelled(w) for w in wanted}):
                return False
        return True

    def accepts(self, method: str, host: str) -> bool:
        return ("*" in self.methods or method in self.methods) and any(
            host == pattern or fnmatchcase(host, pattern) for pattern in self.hosts
        )

    def variables(self, reading: Sequence[str]) -> dict[str, str] | None:
        """Returns the path variables when a reading fits, else None."""
        if len(reading) != len(self.segments):
            return None
        found: dict[str, str] = {}
        for want, got in zip(self.segments, reading, strict=True):
            if want.startswith("{"):
                found[want[1:-1]] = got
            elif want != got.casefold():
                return None
        return found


@dataclass(frozen=True, slots=True)
class Match:
    """Where a request belongs; `ambiguous` says why it must be held."""

    index: int
    route: Route
    variables: dict[str, str]
    method: str
    host: str
    ambiguous: str | None = None

    @property
    def name(self) -> str:
        """The call's name: the host as asked for, the path as the rule writes it."""
        return f"{self.method} {self.host}{self.route.template}{self.route.suffix}"


class Routes:
    """All routes of a rule set, most specific first."""

    def __init__(self, routes: Iterable[tuple[int, Route]]) -> None:
        self._routes = sorted(routes, key=lambda item: item[1].specificity, reverse=True)
        self._literal_hosts = frozenset(
            host for _, r in self._routes for host in r.hosts if not set(host) & set("*?[")
        )
        self._globs = tuple({h for _, r in self._routes for h in r.hosts if set(h) & set("*?[")})

    def match(self, method: str, host: str, path: str, query: str | None = None) -> Match | None:
        """Finds the route of a request, whatever GraphQL document it brings.

        `path` may be percent-encoded or decoded; `query` is what follows its `?`, where that was cut off.
        """
        matches = self.matches(method, host, path, query)
        return matches[0] if matches else None

    def matches(
        self, method: str, host: str, path: str, query: str | None = None
    ) -> tuple[Match, ...]:
        """Returns the route of a request, or all GraphQL routes of its path, and the one behind them."""
        host = normal_host(host)
        if not self.names(host):
            return ()
        method = method.upper()
        candidates = [item for item in self._routes if item[1].accepts(method, host)]
        if not candidates:
            return ()
        given = (
            queries(path.partition("?")[2] if query is None else query)
            if any(route.query for _, route in candidates)
            else (Query(frozenset()),)
        )
        found: list[list[Match]] = []
        for reading in readings(path):
            fitting = [(i, r, v) for i, r in candidates if (v := r.variables(reading)) is not None]
            for one in given if fitting else ():
                met = []
                for index, route, variables in fitting:
                    if route.has_query(one):
                        met.append(Match(index, route, variables, method, host))
                        if not route.fields:
                            break
                found.append(met)
        found = list(filter(None, found))
        if not found:
            return ()
        first = found[0]
        if all(
            [(m.index, m.variables) for m in met] == [(m.index, m.variables) for m in first]
            for met in found
        ):
            return tuple(first)
        why = "the path or the query has more than one reading; write it in its plain form"
        return tuple(Match(m.index, m.route, m.variables, method, host, why) for m in first)

    def names(self, host: str) -> bool:
        """Tells whether some route is on a host, given in its normal spelling."""
        return host in self._literal_hosts or any(fnmatchcase(host, g) for g in self._globs)


def compile_route(
    methods: Iterable[str],
    hosts: Iterable[str],
    template: str,
    *,
    query: Mapping[str, Iterable[str]] | None = None,
    fields: tuple[str, ...] = (),
    types: tuple[str, ...] = (),
) -> Route:
    segments = _clean(template.split("/"))
    return Route(
        methods=tuple(method.upper() for method in methods),
        hosts=tuple(host_pattern(host) for host in hosts),
        template=template,
        segments=tuple(s if s.startswith("{") else s.casefold() for s in segments),
        query=tuple((name, frozenset(wanted)) for name, wanted in sorted((query or {}).items())),
        fields=fields,
        types=types,
    )


def host_pattern(host: str) -> str:
    """Returns a host or glob of a rule as it is compared with `normal_host`."""
    return host.lower().rstrip(".") if set(host) & set("*?") else normal_host(host)


def queries(query: str) -> tuple[Query, ...]:
    """Returns the ways in which a server may read a query, the usual one first."""
    plain = _pairs(query, "&")
    loose = plain | _pairs(query, "[&;]") | _pairs(_decode(query), "[&;]")
    return (Query(plain), Query(plain, folded=True), Query(loose), Query(loose, folded=True))


def _pairs(query: str, parted_by: str) -> frozenset[tuple[str, str]]:
    made = set()
    for part in filter(None, re.split(parted_by, query)):
        name, _, value = part.partition("=")
        made.add((unquote_plus(name), unquote_plus(value)))
    return frozenset(made)


def overlap(one: Route, other: Route) -> bool:
    """Tells whether two routes are written for the same requests."""
    shape = [tuple("{}" if s.startswith("{") else s for s in r.segments) for r in (one, other)]
    return (
        shape[0] == shape[1]
        and one.query == other.query
        and bool(one.fields) == bool(other.fields)
        and (not one.fields or bool(set(one.fields) & set(other.fields)))
        and (not one.fields or bool(set(one.types) & set(other.types)))
        and bool(set(one.hosts) & set(other.hosts))
        and bool(set(one.methods) & set(other.methods))
    )


def readings(path: str) -> list[tuple[str, ...]]:
    """Returns the ways in which a server may cut a path into segments, most literal first.

    A `?` may begin a query that was left on, or be a decoded part of the path: both are tried.
    """
    cut = path.partition("?")[0]
    ways = _readings(cut) if cut == path else _readings(cut) + _readings(path)
    return list(dict.fromkeys(ways))


def _readings(path: str) -> list[tuple[str, ...]]:
    raw = path.split("/")
    decoded = _decode(path).replace("\\", "/")
    return [
        _clean(_decode(segment) for segment in raw),
        _clean(decoded.split("/")),
        _clean(_decode(segment.partition(";")[0]) for segment in raw),
        _clean(segment.partition(";")[0] for segment in decoded.split("/")),
    ]


def normal_host(host: str) -> str:
    """Returns one spelling of a host: lower case, no trailing dot, addresses in their usual form."""
    text = unicodedata.normalize("NFKC", host).strip().lower()
    text = text.replace("\u3002", ".")  # the ideographic full stop separates labels too (UTS 46)
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    text = text.rstrip(".")
    if ":" in text:
        try:
            six = ipaddress.IPv6Address(text.partition("%")[0])
        except ValueError:
            return text
        return str(six.ipv4_mapped or six)
    return _dotted(text) or text


def _dotted(text: str) -> str | None:
    """Reads an IPv4 address as inet_aton does: 127.1, 2130706433 and 0x7f.0.0.1 are all one."""
    parts = text.split(".")
    if not 1 <= len(parts) <= 4 or not all(_PART.fullmatch(part) for part in parts):
        return None
    numbers: list[int] = []
    for part in parts:
        if len(part) > 16:
            return None
        try:
            base = 16 if part[:2] == "0x" else 8 if part[0] == "0" and len(part) > 1 else 10
            numbers.append(int(part[2:] or "0", 16) if base == 16 else int(part, base))
        except ValueError:
            return None
    *high, low = numbers
    if any(n > 255 for n in high) or low >= 256 ** (4 - len(high)):
        return None
    value = low + sum(n << (24 - 8 * i) for i, n in enumerate(high))
    return str(ipaddress.IPv4Address(value))


def _decode(text: str) -> str:
    for _ in range(_DECODINGS):
        if "%" not in text:
            break
        once = unquote(text)
        if once == text:
            break
        text = once
    return text


def _clean(segments: Iterable[str]) -> tuple[str, ...]:
    """Drops empty and `.` segments and resolves `..` (RFC 3986, section 5.2.4)."""
    made: list[str] = []
    for segment in segments:
        if segment == "..":
            if made:
                made.pop()
        elif segment and segment != ".":
            made.append(segment)
    return tuple(made)

"""Which entries of `tools:` a call falls under.

What belongs here: names, globs, routes and GraphQL fields. An exact name goes before a glob, a longer glob before a
shorter one, the first in the files before the next, and whatever a rule names before a guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import urlencode

from proxy.model import Call, HttpCall
from proxy.policy.graphql import GraphqlFault, RootField, read_graphql
from proxy.policy.load import ToolEntry
from proxy.policy.routes import Match, Routes, normal_host

_MOST_CACHED = 4096
"""Names are the agent's to choose, so the cache has an end."""


@dataclass(frozen=True, slots=True)
class Found:
    """An entry that a call falls under; for GraphQL by one root field among all that are asked for."""

    tool: ToolEntry
    match: Match | None = None
    field: RootField | None = None
    names: tuple[str, ...] = ()


class Entries:
    """All entries of a rule set."""

    def __init__(self, tools: Sequence[ToolEntry]) -> None:
        self._tools = tuple(tools)
        named = [(name, tool) for tool in self._tools for name in tool.names]
        exact = [(n, tool) for n, tool in named if not is_glob(n) and not tool.guesses]
        self._exact = dict(reversed(exact))
        globs = [(n, tool) for n, tool in named if is_glob(n) or tool.guesses]
        self._globs = sorted(globs, key=_specific, reverse=True)
        self._routes = Routes(
            (i, tool.route) for i, tool in enumerate(self._tools) if tool.route is not None
        )
        self._cache: dict[str, ToolEntry | None] = {}

    def route(self, method: str, host: str, path: str) -> bool:
        """Tells whether a request is a call that some rule knows, or may be one: see `is_call`."""
        return self._routes.match(method, host, path) is not None

    def is_call(self, http: HttpCall) -> bool:
        """Tells the same once the body is read: a GraphQL document may ask for nothing that rules name."""
        try:
            return bool(self.of_request(http))
        except GraphqlFault:
            return True

    def names_host(self, host: str) -> bool:
        """Tells whether some route is on a host."""
        return self._routes.names(normal_host(host))

    def route_name(self, method: str, host: str, path: str) -> str | None:
        """Returns the name a request's call has, "POST billing.internal/v1/refunds/{id}"."""
        match = self._routes.match(method, host, path)
        return match.name if match is not None else None

    def of_call(self, call: Call, http: HttpCall | None) -> tuple[Found, ...]:
        """Returns the entries that a call falls under: one, or one a root field of GraphQL."""
        if http is not None:
            return self.of_request(http)
        name = call.name
        if name in self._exact:
            return (Found(self._exact[name]),)
        if name not in self._cache:
            if len(self._cache) >= _MOST_CACHED:
                self._cache.clear()
            fitting = (tool for pattern, tool in self._globs if fnmatchcase(name, pattern))
            self._cache[name] = next(fitting, None)
        tool = self._cache.get(name)
        return (Found(tool),) if tool is not None else ()

    def of_request(self, http: HttpCall) -> tuple[Found, ...]:
        """Raises GraphqlFault: which root fields are asked for cannot be told."""
        query = urlencode(http.query) if http.query else ""
        matches = self._routes.matches(http.method, http.host, http.path, query)
        plain = [Found(self._tools[m.index], m) for m in matches if not m.route.fields]
        if len(plain) == len(matches):
            return tuple(plain[:1])
        asked = read_graphql(http)
        names = tuple(one.name for one in asked)
        found: list[Found] = []
        for one in asked:
            fits = [(fit, m) for m in matches if (fit := m.route.has_field(one.name, one.type))]
            if fits:
                match = max(fits, key=lambda item: item[0])[1]
                found.append(Found(self._tools[match.index], match, one, names))
        return tuple(found) or tuple(plain[:1])

    def of_name(self, name: str) -> ToolEntry | None:
        """Returns the entry of a tool by its name: what its results are worth stands there."""
        found = self.of_call(Call(None, name, None, ""), None)
        return found[0].tool if found else None


def _specific(item: tuple[str, ToolEntry]) -> tuple[bool, int]:
    return not item[1].guesses, literal_length(item[0])


def is_glob(name: str) -> bool:
    return bool(set(name) & set("*?["))


def literal_length(pattern: str) -> int:
    """Returns how much of a glob is fixed: the longer, the more specific."""
    return sum(char not in "*?[]" for char in pattern)

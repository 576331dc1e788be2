"""`undo:` of a tool: the call that makes good what a call of it did, with values from its arguments and its result.

What belongs here: the compiled template, and filling it in. Texts in `args`, `url` and `body` are CEL over `args` and `result`; numbers and the like stand for themselves. Header
values are not evaluated: `env:NAME` is read by whoever runs the call, so that no credential is ever in a rule file, the ledger or the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.model import Json, ToolResult
from proxy.policy import schema
from proxy.policy.cel import RESULT, Expression, ExpressionFault, Scope, result_scope
from proxy.policy.site import Site

_TEXT = frozenset({"STRING"})
_ANY = frozenset({"STRING", "INT", "UINT", "DOUBLE", "BOOL", "LIST", "MAP"})
_DEEPEST = 8


class UndoFault(Exception):
    """A compensating call that cannot be made of this result; the text says why."""


@dataclass(frozen=True, slots=True)
class Undo:
    """One `undo:`; `way` is tool, http or mcp."""

    way: str
    name: str  # the tool's, or the HTTP method
    url: Expression | str | None
    template: Json  # leaves are expressions, or literals
    headers: Mapping[str, str]

    def fill(self, arguments: Json, result: ToolResult) -> dict[str, Json]:
        """Returns the compensating call.

        Raises:
            UndoFault: a value of it is not there.
        """
        scope = result_scope(arguments, result)
        made: dict[str, Json] = {"way": self.way, "name": self.name}
        if self.url is not None:
            url = self.url if isinstance(self.url, str) else _value(self.url, scope)
            if not isinstance(url, str):
                raise UndoFault("url: is no text")
            made["url"] = url
        if self.template is not None:
            made["body" if self.way == "http" else "args"] = _filled(self.template, scope)
        if self.headers:
            made["headers"] = dict(self.headers)
        return made


def compile_undo(part: schema.UndoPart, site: Site) -> Undo | None:
    """Compiles one; mistakes go to the site's list."""
    ways = [w for w in ("tool", "http", "mcp") if getattr(part, w) is not None]
    if len(ways) != 1:
        site.fault("needs exactly one of 'tool', 'http' and 'mcp'")
        return None
    if part.args is not None and part.tool is None:
        site.at("args").fault("'args' goes with 'tool:', not with 'http:' or 'mcp:' beside it")
        return None
    before = len(site.problems)
    if part.tool is not None:
        made = Undo("tool", part.tool, None, _template(part.args, site.at("args"), "args"), {})
    elif part.http is not None:
        at = site.at("http")
        url = at.at("url").expression(part.http.url, RESULT, "url", _TEXT)
        body = _template(part.http.body, at.at("body"), "body")
        made = Undo("http", part.http.method.upper(), url, body, part.http.headers or {})
    else:
        assert part.mcp is not None  # noqa: S101
        at = site.at("mcp")
        template = _template(part.mcp.args, at.at("args"), "args")
        made = Undo("mcp", part.mcp.tool, part.mcp.url, template, part.mcp.headers or {})
    return made if len(site.problems) == before else None


def _template(value: Json, site: Site, what: str, depth: int = 0) -> Json:
    if depth > _DEEPEST:
        site.fault(f"{what}: nested too deeply")
        return None
    if isinstance(value, str):
        return site.expression(value, RESULT, what, _ANY)
    if isinstance(value, dict):
        return {k: _template(v, site.at(k), f"{what}.{k}", depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_template(v, site.at(i), f"{what}[{i}]", depth + 1) for i, v in enumerate(value)]
    return value


def _filled(template: Json, scope: Scope) -> Json:
    if isinstance(template, Expression):
        return _value(template, scope)
    if isinstance(template, dict):
        return {key: _filled(item, scope) for key, item in template.items()}
    if isinstance(template, list):
        return [_filled(item, scope) for item in template]
    return template


def _value(expression: Expression, scope: Scope) -> Json:
    try:
        return expression.value(scope)
    except (ExpressionFault, RecursionError) as error:
        raise UndoFault(f"'{expression.text}': {error}") from error

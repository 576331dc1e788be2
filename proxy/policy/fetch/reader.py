"""The `fetch:` entry of rule files: arguments into a request, the request into effects.

What belongs here: evaluating where a tool has its URL, method, body and headers, and the effects of
the entry with `req.*` beside the call's own variables. Whatever of the request cannot be read holds.
"""

from __future__ import annotations

from dataclasses import dataclass

from proxy.model import Json, Reason, Verdict
from proxy.policy.cel import TOOL, Dialect, Expression, ExpressionFault, Scope, tool_variables
from proxy.policy.effects import CompiledEffect, Produced, compile_effect
from proxy.policy.fetch.request import REQUEST_VARIABLES, read_request
from proxy.policy.schema import EffectPart
from proxy.policy.site import Site

FETCH = Dialect({**tool_variables(), **REQUEST_VARIABLES})
_MOST_URLS = 50
_ANY = frozenset(
    {"BOOL", "STRING", "INT", "UINT", "DOUBLE", "NULL", "LIST", "MAP", "BYTES", "ANY", "DYN"}
)


@dataclass(frozen=True, slots=True)
class FetchReader:
    """Where a tool has the parts of its request; a part nobody names is not there."""

    url: Expression | None
    method: Expression | None
    body: Expression | None
    headers: Expression | None
    effects: tuple[CompiledEffect, ...]
    label: str
    file: str
    line: int

    def produce(self, scope: Scope, reasons: list[Reason]) -> list[Produced]:
        """Returns the effects of a call; what is against it goes to `reasons`.

        Where the URL is a list, each of its items is a request.
        """
        method, body, headers = (
            _value(part, scope) for part in (self.method, self.body, self.headers)
        )
        told = _value(self.url, scope)
        urls = told if isinstance(told, list) and told else [told]
        if len(urls) > _MOST_URLS:
            reasons.append(self._hold(f"more than {_MOST_URLS} URLs in one call"))
        made: list[Produced] = []
        for url in urls[:_MOST_URLS]:
            request = read_request(url, method, body, headers)
            for why in dict.fromkeys(request.why):
                reasons.append(self._hold(f"the request has no single reading: {why}"))
            at = Scope(request.variables(), scope)
            made += [p for effect in self.effects if (p := effect.produce(at, reasons)) is not None]
        return made

    def _hold(self, text: str) -> Reason:
        return Reason(self.label, text, Verdict.HOLD, self.file, self.line)


def _value(expression: Expression | None, scope: Scope) -> Json:
    """Returns an argument's value; None where the call leaves it out."""
    if expression is None:
        return None
    try:
        return expression.value(scope)
    except ExpressionFault:
        return None


def compile_fetch(
    *,
    url: str,
    method: str | None,
    body: str | None,
    headers: str | None,
    effects: tuple[EffectPart, ...],
    site: Site,
    pack: str,
    label: str,
) -> FetchReader:
    """Compiles one entry of `tools:` with `fetch:`; mistakes go to the site's list."""

    def part(name: str, text: str | None) -> Expression | None:
        return None if text is None else site.at(name).expression(text, TOOL, name, _ANY)

    return FetchReader(
        part("url", url),
        part("method", method),
        part("body", body),
        part("headers", headers),
        tuple(
            compile_effect(
                effect, site.at("effects", i), rule=f"{pack}/{label}#{i}", tool=label, dialect=FETCH
            )
            for i, effect in enumerate(effects)
        ),
        f"{pack}/{label}",
        site.file,
        site.line,
    )

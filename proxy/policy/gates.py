"""Gates: a condition on one call, or on one of its effects, that holds or blocks it.

What belongs here: the compiled gate and its answer. A gate that cannot be evaluated holds the call:
a condition that fails on odd arguments would otherwise be a way through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.model import Effect, Reason, Verdict
from proxy.policy import schema
from proxy.policy.budgets import VERDICTS
from proxy.policy.cel import GATE, Expression, ExpressionFault, Scope, Variables
from proxy.policy.modes import in_shadow
from proxy.policy.site import Site

NO_EFFECT: Variables = {
    "effect.kind": "",
    "effect.amount": 0.0,
    "effect.unit": "",
    "effect.target": "",
    "effect.reversibility": "",
    "effect.labels": [],
    "effect.points": 0.0,
    "effect.is_new": False,
}
"""What gates see of a call that has no effect."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One entry of `gates:`."""

    name: str
    when: Expression
    verdict: Verdict
    message: str | None
    site: Site
    file: str
    line: int
    shadow: bool = False

    def judge(self, scopes: Sequence[Scope]) -> Reason | None:
        """Returns the strictest answer over the effects of one call."""
        doubt: str | None = None
        for scope in scopes:
            try:
                if self.when.truth(scope):
                    text = self.message or f"gate '{self.name}': {self.when.text}"
                    return self._reason(text, self.verdict)
            except ExpressionFault as error:
                doubt = doubt or str(error)
        if doubt is None:
            return None
        text = f"gate '{self.name}' could not be evaluated: {doubt}"
        return self._reason(text, Verdict.HOLD)

    def _reason(self, text: str, verdict: Verdict) -> Reason:
        return Reason(self.name, text, verdict, self.file, self.line, self.shadow)


def compile_gate(part: schema.Gate, site: Site) -> Gate | None:
    """Compiles one entry; mistakes go to the site's list."""
    when = site.at("when").expression(part.when, GATE, "when", frozenset({"BOOL"}))
    if when is None:
        return None
    return Gate(
        name=part.name,
        when=when,
        verdict=VERDICTS[part.verdict],
        message=part.message,
        site=site,
        file=site.file,
        line=site.line,
        shadow=in_shadow(part.mode, site),
    )


def effect_variables(effect: Effect, *, amount_known: bool, is_new: bool = True) -> Variables:
    """Returns an effect as gates see it; an amount that could not be read is not there at all."""
    made: Variables = {
        "effect.kind": effect.kind,
        "effect.unit": effect.unit or "",
        "effect.target": effect.target or "",
        "effect.reversibility": str(effect.reversibility),
        "effect.labels": list(effect.labels),
        "effect.points": float(effect.points),
        "effect.is_new": is_new,
    }
    if amount_known:
        made["effect.amount"] = float(effect.amount) if effect.amount is not None else 0.0
    return made

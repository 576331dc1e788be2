"""What entries of `commands:` and `statements:` have in common: a condition, and effects where it holds.

What belongs here: compiling the two, asking the condition so that doubt is a yes, and the effects of one command or
statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.model import Reason, Verdict
from proxy.policy.cel import Dialect, Expression, ExpressionFault, Scope
from proxy.policy.effects import CompiledEffect, Produced, compile_effect
from proxy.policy.schema import EffectPart
from proxy.policy.site import Site


@dataclass(frozen=True, slots=True)
class Conditional:
    """One entry; `label` is its rule in reasons."""

    when: Expression | None
    effects: tuple[CompiledEffect, ...]
    label: str
    file: str
    line: int

    def applies(self, scope: Scope, reasons: list[Reason]) -> bool:
        """Whether the condition holds; one that cannot be evaluated does, and holds the call."""
        if self.when is None:
            return True
        try:
            return self.when.truth(scope)
        except ExpressionFault as error:
            text = f"when '{self.when.text}' could not be evaluated: {error}"
            reasons.append(Reason(self.label, text, Verdict.HOLD, self.file, self.line))
            return True

    def produce(self, scope: Scope, reasons: list[Reason]) -> list[Produced]:
        """Returns the effects, in the order of the entry."""
        return [p for one in self.effects if (p := one.produce(scope, reasons)) is not None]


def compile_parts(
    when: str | None,
    effects: Sequence[EffectPart],
    site: Site,
    *,
    label: str,
    tool: str,
    dialect: Dialect,
) -> tuple[Expression | None, tuple[CompiledEffect, ...]] | None:
    """Compiles an entry's condition and effects; None where the condition is a mistake, which is told."""
    condition: Expression | None = None
    if when is not None:
        condition = site.at("when").expression(when, dialect, "when", frozenset({"BOOL"}))
        if condition is None:
            return None
    compiled = tuple(
        compile_effect(
            effect, site.at("effects", i), rule=f"{label}#{i}", tool=tool, dialect=dialect
        )
        for i, effect in enumerate(effects)
    )
    return condition, compiled

"""Points: what an effect costs in autonomy.

How it works. A price is the product of four factors: the effect's kind (the longest fitting glob wins),
whether it can be undone, the most sensitive data class that it carries, and how far the agent's identity
can be trusted. The tables are in `rules/prices.yaml`, each figure with its reason; a rule file with
`prices:` replaces the tables it states, and `points:` on an effect states its price outright.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import fnmatchcase

from proxy.model import Trust

_ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Prices:
    """The tables in force; keys of `kinds` and `labels` are globs."""

    kinds: Mapping[str, Decimal] = field(default_factory=dict)
    reversibility: Mapping[str, Decimal] = field(default_factory=dict)
    labels: Mapping[str, Decimal] = field(default_factory=dict)
    trust: Mapping[str, Decimal] = field(default_factory=dict)

    def over(self, base: Prices) -> Prices:
        """Returns these tables, with those of `base` where this one states none."""
        return Prices(
            self.kinds or base.kinds,
            self.reversibility or base.reversibility,
            self.labels or base.labels,
            self.trust or base.trust,
        )

    def base(self, kind: str, reversibility: str) -> Decimal:
        """Returns a price before it is known what data the effect carries and who asks for it."""
        fitting = [pattern for pattern in self.kinds if fnmatchcase(kind, pattern)]
        if not fitting:
            return Decimal(0)
        longest = max(fitting, key=lambda pattern: (pattern == kind, len(pattern.rstrip("*"))))
        return self.kinds[longest] * self.reversibility.get(reversibility, _ONE)

    def factor(self, labels: Iterable[str], trust: Trust) -> Decimal:
        """Returns how much more it costs with this data, asked for by such an identity."""
        carried = [
            factor
            for label in labels
            for pattern, factor in self.labels.items()
            if fnmatchcase(label, pattern)
        ]
        return max(carried, default=_ONE) * self.trust.get(trust.label, _ONE)

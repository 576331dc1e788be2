"""`statements:` of rule files: which statement has which effects.

What belongs here: compiling the entries, and evaluating them for every statement of a text and each
of its tables. All entries that name a statement's type and whose `when` holds apply; a `when` that
cannot be evaluated counts as true and holds. A statement that no entry is for holds the call, and so
does an opaque one, whatever entries say.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from proxy.model import Json, Reason, Verdict
from proxy.policy.cel import Dialect, Scope, tool_variables
from proxy.policy.conditional import Conditional, compile_parts
from proxy.policy.effects import CompiledEffect, Produced
from proxy.policy.schema import EffectPart
from proxy.policy.site import Site
from proxy.policy.sql.reader import read_sql
from proxy.policy.sql.statement import STATEMENT_VARIABLES, Statement

STATEMENT = Dialect({**tool_variables(), **STATEMENT_VARIABLES})
_MOST = 300
"""Statements times tables of one text that rules are asked about; one more holds the call."""


class StatementShape(Protocol):
    """An entry of `statements:` as the file writes it."""

    @property
    def statement(self) -> tuple[str, ...]: ...
    @property
    def when(self) -> str | None: ...
    @property
    def effects(self) -> tuple[EffectPart, ...]: ...


@dataclass(frozen=True, slots=True)
class StatementEntry(Conditional):
    """One entry of `statements:`."""

    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StatementTable:
    """All entries of a rule set."""

    entries: tuple[StatementEntry, ...] = ()
    _by_type: dict[str, tuple[StatementEntry, ...]] = field(default_factory=dict)

    @property
    def effects(self) -> tuple[CompiledEffect, ...]:
        """Every effect an entry can produce, so that budgets can be bound to them."""
        return tuple(effect for entry in self.entries for effect in entry.effects)

    def produce(
        self, text: Json, sql_dialect: str, scope: Scope, reasons: list[Reason]
    ) -> list[Produced]:
        """Returns the effects of a SQL text; what is against it goes to `reasons`."""
        statements = read_sql(text, sql_dialect)
        if not statements:
            why = "there is no SQL in the argument that should have it"
            reasons.append(Reason("opaque-sql", why, Verdict.HOLD))
        made: list[Produced] = []
        asked = 0
        for statement in statements:
            if statement.opaque:
                why = f"the SQL cannot be read: {statement.why}; blast radius unclear"
                reasons.append(Reason("opaque-sql", why, Verdict.HOLD))
            fits = self._by_type.get(statement.type, ())
            found = False
            for table in _tables(statement):
                asked += 1
                if asked > _MOST:
                    why = f"the SQL touches more than {_MOST} tables and statements"
                    reasons.append(Reason("opaque-sql", why, Verdict.HOLD))
                    return made
                at = Scope(statement.variables(table, len(statements)), scope)
                for entry in fits:
                    if entry.applies(at, reasons):
                        found = True
                        made += entry.produce(at, reasons)
            if not found and not statement.opaque:
                why = f"no entry of 'statements:' is for this {statement.type} statement"
                reasons.append(Reason("unmapped-sql", why, Verdict.HOLD))
        return made


def _tables(statement: Statement) -> Sequence[str]:
    """Returns what `stmt.table` stands for in turn: tables written to, else read, else none."""
    return statement.tables or statement.reads or ("",)


def compile_statements(parts: Iterable[tuple[StatementShape, Site, str]]) -> StatementTable:
    """Compiles entries given with their places and packs; mistakes go to the sites' lists."""
    entries = tuple(
        entry for part, site, pack in parts if (entry := _compile(part, site, pack)) is not None
    )
    by_type: dict[str, tuple[StatementEntry, ...]] = {}
    for entry in entries:
        for name in entry.types:
            by_type[name] = (*by_type.get(name, ()), entry)
    return StatementTable(entries, by_type)


def _compile(part: StatementShape, site: Site, pack: str) -> StatementEntry | None:
    label = f"{pack}/statements-{site.path[-1]}"
    tool = f"{part.statement[0]} statement"
    made = compile_parts(part.when, part.effects, site, label=label, tool=tool, dialect=STATEMENT)
    if made is None:
        return None
    return StatementEntry(*made, label, site.file, site.line, part.statement)

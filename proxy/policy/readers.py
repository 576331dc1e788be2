"""Tools whose argument says what they do: a shell line, a SQL text.

What belongs here: the bridge from a tool entry (`shell:`, `sql:`) to the reader of its argument; a
request's (`fetch:`) is in `fetch/reader.py`. A reader turns the argument into commands or statements and asks
the entries of *all* files for the effects of each, so the tables are filled when all are read. An argument
that is missing holds the call.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from proxy.model import Json, Reason, Verdict
from proxy.policy.cel import Expression, ExpressionFault, Scope
from proxy.policy.effects import CompiledEffect, Produced
from proxy.policy.shell.commands import CommandTable, compile_commands
from proxy.policy.sql.table import StatementTable


class ArgumentReader(Protocol):
    """What a tool entry with a reader has in place of effects of its own."""

    @property
    def effects(self) -> tuple[CompiledEffect, ...]: ...

    def produce(self, scope: Scope, reasons: list[Reason]) -> list[Produced]:
        """Returns the effects of a call, in the order in which they happen."""


@dataclass(slots=True)
class Tables:
    """What all files of a rule set say of commands and statements."""

    commands: CommandTable = field(default_factory=lambda: compile_commands(()))
    statements: StatementTable = field(default_factory=StatementTable)


@dataclass(frozen=True, slots=True)
class ShellReader:
    """`{shell: NAME, argument: …}`"""

    tables: Tables
    argument: Expression

    @property
    def effects(self) -> tuple[CompiledEffect, ...]:
        return self.tables.commands.effects

    def produce(self, scope: Scope, reasons: list[Reason]) -> list[Produced]:
        return self.tables.commands.produce(_value(self.argument, scope, reasons), scope, reasons)


@dataclass(frozen=True, slots=True)
class SqlReader:
    """`{sql: NAME, argument: …, dialect: …}`"""

    tables: Tables
    argument: Expression
    dialect: str

    @property
    def effects(self) -> tuple[CompiledEffect, ...]:
        return self.tables.statements.effects

    def produce(self, scope: Scope, reasons: list[Reason]) -> list[Produced]:
        text = _value(self.argument, scope, reasons)
        return self.tables.statements.produce(text, self.dialect, scope, reasons)


def _value(expression: Expression, scope: Scope, reasons: list[Reason]) -> Json:
    try:
        return expression.value(scope)
    except ExpressionFault as error:
        text = f"argument '{expression.text}': {error}; what the call does cannot be read"
        reasons.append(Reason("unreadable-argument", text, Verdict.HOLD))
        return None

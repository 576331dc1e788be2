"""One SQL statement as rules see it.

What belongs here: the value that reading SQL gives, its `stmt.*` variables and the dialect of
expressions that may speak of them. Every variable is always there, so that no rule fails for want
of one: "" for text, [] for lists, -1 for a number nobody wrote.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from cel_expr_python import cel

from proxy.model import Json
from proxy.policy.cel import Variables

TYPES = (
    "select",
    "insert",
    "update",
    "delete",
    "merge",
    "truncate",
    "create",
    "alter",
    "drop",
    "grant",
    "revoke",
    "copy",
    "call",
    "set",
    "transaction",
    "explain",
    "show",
    "attach",
    "maintenance",
    "other",
    "opaque",
)
"""What `statement:` in a rule may name. `opaque`: what it does cannot be told from its text."""

_STRING, _BOOL, _INT = cel.Type.STRING, cel.Type.BOOL, cel.Type.INT
_STRINGS = cel.Type.List(_STRING)

STATEMENT_VARIABLES: dict[str, cel.Type] = {
    "stmt.type": _STRING,
    "stmt.table": _STRING,
    "stmt.target": _STRING,
    "stmt.tables": _STRINGS,
    "stmt.table_names": _STRINGS,
    "stmt.reads": _STRINGS,
    "stmt.columns": _STRINGS,
    "stmt.has_where": _BOOL,
    "stmt.has_limit": _BOOL,
    "stmt.rows": _INT,
    "stmt.object": _STRING,
    "stmt.drops": _BOOL,
    "stmt.privileges": _STRINGS,
    "stmt.grantee": _STRING,
    "stmt.to_program": _BOOL,
    "stmt.to_file": _BOOL,
    "stmt.from_file": _BOOL,
    "stmt.to_network": _BOOL,
    "stmt.functions": _STRINGS,
    "stmt.unknown_functions": _STRINGS,
    "stmt.nested": _BOOL,
    "stmt.count": _INT,
    "stmt.opaque": _BOOL,
    "stmt.why": _STRING,
}


@dataclass(frozen=True, slots=True)
class Statement:
    """What one statement does; names are lower case, without the dialect's default schema."""

    type: str
    tables: tuple[str, ...] = ()  # written to, altered, dropped; for `grant` what is granted on
    reads: tuple[str, ...] = ()  # tables it takes rows from, common table expressions excluded
    columns: tuple[str, ...] = ()
    has_where: bool = False
    has_limit: bool = False
    rows: int = -1
    object: str = ""
    drops: bool = False
    privileges: tuple[str, ...] = ()
    grantee: str = ""
    to_program: bool = False
    to_file: bool = False
    from_file: bool = False
    to_network: bool = False
    functions: tuple[str, ...] = ()
    unknown_functions: tuple[str, ...] = ()
    nested: bool = False  # part of another statement: a CTE that writes, what INSERT … SELECT reads
    why: str = ""

    @property
    def opaque(self) -> bool:
        return self.type == "opaque"

    def variables(self, table: str, count: int) -> Variables:
        """Returns the statement's variables, for one of its tables."""
        touched = self.tables + self.reads
        made: dict[str, Json] = {
            "stmt.type": self.type,
            "stmt.table": table,
            "stmt.target": table or self.grantee or self.object or self.type,
            "stmt.tables": list(self.tables),
            "stmt.table_names": list(dict.fromkeys(t.rpartition(".")[2] for t in touched)),
            "stmt.reads": list(self.reads),
            "stmt.columns": list(self.columns),
            "stmt.has_where": self.has_where,
            "stmt.has_limit": self.has_limit,
            "stmt.rows": self.rows,
            "stmt.object": self.object,
            "stmt.drops": self.drops,
            "stmt.privileges": list(self.privileges),
            "stmt.grantee": self.grantee,
            "stmt.to_program": self.to_program,
            "stmt.to_file": self.to_file,
            "stmt.from_file": self.from_file,
            "stmt.to_network": self.to_network,
            "stmt.functions": list(self.functions),
            "stmt.unknown_functions": list(self.unknown_functions),
            "stmt.nested": self.nested,
            "stmt.count": count,
            "stmt.opaque": self.opaque,
            "stmt.why": self.why,
        }
        return made

    def as_nested(self) -> Statement:
        return replace(self, nested=True)


def opaque(why: str) -> Statement:
    """Returns the statement that stands for text nobody can read; `why` repeats none of it."""
    return Statement("opaque", why=why)

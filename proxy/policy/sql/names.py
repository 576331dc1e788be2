"""Names of tables as rules compare them, and which of them are common table expressions.

What belongs here: one spelling for a table (lower case, unquoted, without the default schema), and
the scopes of WITH: `WITH secrets AS (SELECT * FROM secrets)` reads the table `secrets`.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlglot import exp

_DEFAULT_SCHEMAS = frozenset({"public", "dbo", "main", "pg_catalog"})


def listed(words: str) -> frozenset[str]:
    """Returns the words of a text as a set: how this package writes its lists of names."""
    return frozenset(words.split())


def spelled(parts: Iterable[str]) -> str:
    """Returns the parts of a name as one: lower case, without the schema that is there anyhow."""
    made = [part.lower() for part in parts if part]
    if len(made) == 2 and made[0] in _DEFAULT_SCHEMAS:
        made = made[1:]
    return ".".join(made)


def table_name(table: exp.Table) -> str:
    """Returns a table's name, "" where it is none: a function, a variable, a stage."""
    if isinstance(table.this, exp.Func | exp.Parameter | exp.Var | exp.Literal):
        return ""
    return spelled(part.name for part in table.parts)


def is_cte(table: exp.Table) -> bool:
    """Tells whether a table's name stands for a common table expression where it is written."""
    if table.args.get("db") is not None or not isinstance(table.this, exp.Identifier):
        return False
    wanted = _exact(table.this)
    below: exp.Expr = table
    node = table.parent
    inside: exp.CTE | None = None
    while node is not None:
        if isinstance(node, exp.CTE):
            inside = node
        elif isinstance(node, exp.With):
            if _visible(node, inside, wanted):
                return True
            # What is inside a WITH has been asked; its statement must not ask again.
            below, node = node, node.parent
            if node is not None:
                below, node = node, node.parent
            inside = None
            continue
        else:
            own = node.args.get("with_") or node.args.get("with")
            if isinstance(own, exp.With) and own is not below and _visible(own, None, wanted):
                return True
        below, node = node, node.parent
    return False


def _visible(own: exp.With, inside: exp.CTE | None, wanted: str) -> bool:
    for cte in own.expressions:
        if cte is inside and not own.args.get("recursive"):
            return False
        alias = cte.args.get("alias")
        named = alias.this if alias is not None else None
        if isinstance(named, exp.Identifier) and _exact(named) == wanted:
            return True
    return False


def _exact(name: exp.Identifier) -> str:
    return name.name if name.args.get("quoted") else name.name.lower()


def tables_read(root: exp.Expr, written: Iterable[exp.Table]) -> tuple[str, ...]:
    """Returns the tables that a tree takes rows from."""
    skipped = {id(table) for table in written}
    names = (
        table_name(table)
        for table in root.find_all(exp.Table)
        if id(table) not in skipped and not is_cte(table)
    )
    return tuple(dict.fromkeys(name for name in names if name))


def aliases(root: exp.Expr) -> dict[str, exp.Table]:
    """Returns the tables of a DELETE or UPDATE over several, by the names they go by in it."""
    made: dict[str, exp.Table] = {}
    for table in root.find_all(exp.Table):
        alias = table.args.get("alias")
        if alias is not None and alias.name:
            made.setdefault(alias.name.lower(), table)
    return made

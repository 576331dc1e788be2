"""Statements over rows: what is read, what is written, and by which condition.

What belongs here: SELECT, INSERT, UPDATE, DELETE and MERGE from sqlglot's trees, and which tables a
write changes where it names several. What a write reads is a `select` beside it.
"""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from proxy.policy.sql.conditions import bounds
from proxy.policy.sql.names import aliases, table_name, tables_read
from proxy.policy.sql.statement import Statement

_ADVERBS = frozenset({"top", "low_priority", "quick", "ignore"})
"""`DELETE TOP (10) FROM t`, `DELETE QUICK FROM t`: words that the parser takes for tables."""

WRITES = (
    exp.Insert,
    exp.Update,
    exp.Delete,
    exp.Merge,
    exp.TruncateTable,
    exp.Create,
    exp.Drop,
    exp.Alter,
    exp.Copy,
)


def read_select(root: exp.Expr) -> list[Statement]:
    into = [node.this for node in root.find_all(exp.Into) if isinstance(node.this, exp.Table)]
    targets = [t for node in root.find_all(*WRITES) for t in targets_of(node)]
    reads = tables_read(root, [*into, *targets])
    return [_reading(root, reads)]


def _reading(root: exp.Expr, reads: tuple[str, ...]) -> Statement:
    inner = root.unnest() if isinstance(root, exp.Subquery) else root
    columns = dict.fromkeys(column.name.lower() for column in root.find_all(exp.Column))
    if root.find(exp.Star) is not None:
        columns["*"] = None
    return Statement(
        "select",
        reads=reads,
        columns=tuple(columns),
        has_where=bounds(inner.args.get("where")),
        has_limit=_limit(inner) is not None,
        rows=_rows(inner),
    )


def with_reads(statement: Statement, root: exp.Expr, written: list[exp.Table]) -> list[Statement]:
    """Adds what a write reads: the rows go where they can be read again."""
    targets = [t for node in root.find_all(*WRITES) for t in targets_of(node)]
    reads = tuple(
        name for name in tables_read(root, [*written, *targets]) if name not in statement.tables
    )
    made = replace(statement, reads=reads)
    if not reads:
        return [made]
    query = root.find(exp.Select)
    read = _reading(query, reads) if query is not None else Statement("select", reads=reads)
    return [made, read.as_nested()]


def targets_of(root: exp.Expr) -> list[exp.Table]:
    """Returns the tables that a write changes."""
    if isinstance(root, exp.Delete):
        chosen = [t for t in root.args.get("tables") or () if t.name.lower() not in _ADVERBS]
        own = table_of(root.this)
        by_alias = aliases(root) if chosen else {}
        return [by_alias.get(t.name.lower(), t) for t in chosen] or own
    if isinstance(root, exp.Update):
        own = table_of(root.this)
        joins = root.find_all(exp.Join)
        joined = [join.this for join in joins if isinstance(join.this, exp.Table)]
        if isinstance(root.this, exp.Table) and root.this.args.get("alias") is None:
            own = [aliases(root).get(root.this.name.lower(), root.this)]
        if joined and root.args.get("from_") is None:
            named = {
                column.table.lower()
                for item in root.expressions
                for column in [item.this]
                if isinstance(column, exp.Column)
            }
            every = [*own, *joined]
            chosen = [t for t in every if (t.alias or t.name).lower() in named]
            return chosen if chosen and "" not in named else every
        return own
    if isinstance(root, exp.TruncateTable):
        return [t for t in root.expressions if isinstance(t, exp.Table)]
    if isinstance(root, exp.Drop):
        return [t for t in root.args.get("tables") or () if isinstance(t, exp.Table)]
    if isinstance(root, exp.Copy):
        return table_of(root.this) if root.args.get("kind") else []
    if isinstance(root, exp.Create) and isinstance(root.this, exp.Index):
        return table_of(root.this.args.get("table"))
    return table_of(root.this)


def table_of(node: exp.Expr | None) -> list[exp.Table]:
    if isinstance(node, exp.Schema | exp.UserDefinedFunction | exp.StoredProcedure):
        node = node.this
    return [node] if isinstance(node, exp.Table) else []


def names_of(tables: list[exp.Table]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, map(table_name, tables))))


def read_insert(root: exp.Expr) -> list[Statement]:
    written = targets_of(root)
    schema = root.this
    columns = [c.name.lower() for c in schema.expressions] if isinstance(schema, exp.Schema) else []
    values = root.expression
    rows = len(values.expressions) if isinstance(values, exp.Values) else -1
    replaces = str(root.args.get("alternative") or "").lower() == "replace"
    made = Statement(
        "merge" if replaces or root.args.get("overwrite") else "insert",
        names_of(written),
        columns=tuple(columns),
        rows=rows,
        object="table",
        to_file=isinstance(schema, exp.Directory),
    )
    found = with_reads(made, root, written)
    conflict = root.args.get("conflict")
    if conflict is not None and conflict.expressions:
        update = Statement(
            "update", made.tables, columns=_assigned(conflict), has_where=True, object="table"
        )
        found.append(update.as_nested())
    return found


def _assigned(root: exp.Expr) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(
            item.this.name.lower()
            for item in root.expressions
            if isinstance(item, exp.EQ) and isinstance(item.this, exp.Column)
        )
    )


def read_update(root: exp.Expr) -> list[Statement]:
    written = targets_of(root)
    made = Statement(
        "update",
        names_of(written),
        columns=_assigned(root),
        has_where=bounds(root.args.get("where")),
        has_limit=_limit(root) is not None,
        rows=_rows(root),
        object="table",
    )
    return with_reads(made, root, [*written, *table_of(root.this)])


def read_delete(root: exp.Expr) -> list[Statement]:
    written = targets_of(root)
    named = list(root.args.get("tables") or ())
    top = any(t.name.lower() == "top" for t in named)
    made = Statement(
        "delete",
        names_of(written),
        has_where=bounds(root.args.get("where")),
        has_limit=top or _limit(root) is not None,
        rows=_rows(root),
        object="table",
    )
    return with_reads(made, root, [*written, *named])


def read_merge(root: exp.Expr) -> list[Statement]:
    written = targets_of(root)
    bounded = bounds(root.args.get("on"))
    made = Statement("merge", names_of(written), has_where=bounded, object="table")
    found = with_reads(made, root, written)
    for when in root.find_all(exp.When):
        then = when.args.get("then")
        verb = "delete" if isinstance(then, exp.Var) and then.name.upper() == "DELETE" else ""
        verb = "update" if isinstance(then, exp.Update) else verb
        if verb:
            # NOT MATCHED BY SOURCE reaches every row that the source does not name.
            reached = bounded and not when.args.get("source")
            columns = _assigned(then) if isinstance(then, exp.Update) else ()
            inner = Statement(
                verb, made.tables, columns=columns, has_where=reached, object="table", nested=True
            )
            found.append(inner)
    return found


def _limit(root: exp.Expr) -> exp.Expr | None:
    found = root.args.get("limit")
    return found if isinstance(found, exp.Expr) else None


def _rows(root: exp.Expr) -> int:
    """Returns the number that a LIMIT, TOP or FETCH writes out, else -1."""
    limit = _limit(root)
    if limit is None:
        return -1
    told = limit.args.get("count") if isinstance(limit, exp.Fetch) else limit.expression
    digits = told.name if isinstance(told, exp.Literal) and not told.is_string else ""
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 15 else -1

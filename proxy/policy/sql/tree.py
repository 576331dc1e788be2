"""From sqlglot's trees to statements.

What belongs here: which tables, columns and conditions each kind of tree has. A write inside of
another statement (a CTE with DELETE, SELECT … INTO, what a MERGE does) is a statement of its own;
what a write reads is a `select` beside it. A tree of no known kind is opaque.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sqlglot import exp

from proxy.policy.sql import functions
from proxy.policy.sql.conditions import bounds
from proxy.policy.sql.names import aliases, listed, spelled, table_name, tables_read
from proxy.policy.sql.statement import Statement, opaque

_WRITES = (
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
_NOT_TABLES = frozenset(
    {"user", "role", "function", "procedure", "trigger", "database", "schema", "stage", "event"}
)
_READ_PRAGMAS = listed(
    "table_info table_xinfo table_list index_list index_info index_xinfo foreign_key_list "
    "database_list function_list collation_list compile_options integrity_check quick_check "
    "foreign_key_check pragma_list module_list"
)


def read_tree(root: exp.Expr) -> list[Statement]:
    """Returns the statements of one parsed tree, the one that stands in front first."""
    found = _statements(root)
    called = functions.called(root)
    wide = [name for name in called if name in functions.RUNS_TEXT]
    unknown = tuple(name for name in called if not functions.computes(name))
    reaching = set(called)
    paths = _reads_paths(root)
    first = found[0]
    found[0] = replace(
        first,
        functions=tuple(dict.fromkeys((*first.functions, *called))),
        unknown_functions=tuple(dict.fromkeys((*first.unknown_functions, *unknown))),
        to_program=first.to_program or bool(reaching & functions.RUNS_PROGRAM),
        to_file=first.to_file or bool(reaching & functions.WRITES_FILE),
        from_file=first.from_file or paths or bool(reaching & functions.READS_FILE),
        to_network=first.to_network or bool(reaching & functions.USES_NETWORK),
    )
    found += [opaque(f"the function '{name}' runs text as SQL") for name in wide[:1]]
    return found


def _statements(root: exp.Expr) -> list[Statement]:
    kind = next((made for kinds, made in _KINDS if isinstance(root, kinds)), None)
    if kind is None:
        return [opaque(f"no statement that is known ({type(root).__name__.lower()})")]
    found = kind(root)
    if isinstance(root, exp.Describe):
        return found
    for node in root.find_all(*_WRITES):
        if node is root or isinstance(node.parent, exp.When | exp.Alter):
            continue
        inner = next(made for kinds, made in _KINDS if isinstance(node, kinds))(node)
        found += [statement.as_nested() for statement in inner]
    for node in root.find_all(exp.Into):
        if node.parent is not None and isinstance(node.this, exp.Table) and table_name(node.this):
            into = Statement("create", (table_name(node.this),), object="table", nested=True)
            found.append(into)
    return found


def _select(root: exp.Expr) -> list[Statement]:
    into = [node.this for node in root.find_all(exp.Into) if isinstance(node.this, exp.Table)]
    targets = [t for node in root.find_all(*_WRITES) for t in _targets(node)]
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


def _with_reads(statement: Statement, root: exp.Expr, written: list[exp.Table]) -> list[Statement]:
    """Adds what a write reads: the rows go where they can be read again."""
    targets = [t for node in root.find_all(*_WRITES) for t in _targets(node)]
    reads = tuple(
        name for name in tables_read(root, [*written, *targets]) if name not in statement.tables
    )
    made = replace(statement, reads=reads)
    if not reads:
        return [made]
    query = root.find(exp.Select)
    read = _reading(query, reads) if query is not None else Statement("select", reads=reads)
    return [made, read.as_nested()]


def _targets(root: exp.Expr) -> list[exp.Table]:
    """Returns the tables that a write changes."""
    if isinstance(root, exp.Delete):
        chosen = [t for t in root.args.get("tables") or () if t.name.lower() != "top"]
        own = _table_of(root.this)
        by_alias = aliases(root) if chosen else {}
        return [by_alias.get(t.name.lower(), t) for t in chosen] or own
    if isinstance(root, exp.Update):
        own = _table_of(root.this)
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
        return _table_of(root.this) if root.args.get("kind") else []
    if isinstance(root, exp.Create) and isinstance(root.this, exp.Index):
        return _table_of(root.this.args.get("table"))
    return _table_of(root.this)


def _table_of(node: exp.Expr | None) -> list[exp.Table]:
    if isinstance(node, exp.Schema | exp.UserDefinedFunction | exp.StoredProcedure):
        node = node.this
    return [node] if isinstance(node, exp.Table) else []


def _names(tables: list[exp.Table]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, map(table_name, tables))))


def _insert(root: exp.Expr) -> list[Statement]:
    written = _targets(root)
    schema = root.this
    columns = [c.name.lower() for c in schema.expressions] if isinstance(schema, exp.Schema) else []
    values = root.expression
    rows = len(values.expressions) if isinstance(values, exp.Values) else -1
    replaces = str(root.args.get("alternative") or "").lower() == "replace"
    made = Statement(
        "merge" if replaces or root.args.get("overwrite") else "insert",
        _names(written),
        columns=tuple(columns),
        rows=rows,
        object="table",
        to_file=isinstance(schema, exp.Directory),
    )
    found = _with_reads(made, root, written)
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


def _update(root: exp.Expr) -> list[Statement]:
    written = _targets(root)
    made = Statement(
        "update",
        _names(written),
        columns=_assigned(root),
        has_where=bounds(root.args.get("where")),
        has_limit=_limit(root) is not None,
        rows=_rows(root),
        object="table",
    )
    return _with_reads(made, root, [*written, *_table_of(root.this)])


def _delete(root: exp.Expr) -> list[Statement]:
    written = _targets(root)
    named = list(root.args.get("tables") or ())
    top = any(t.name.lower() == "top" for t in named)
    made = Statement(
        "delete",
        _names(written),
        has_where=bounds(root.args.get("where")),
        has_limit=top or _limit(root) is not None,
        rows=_rows(root),
        object="table",
    )
    return _with_reads(made, root, [*written, *named])


def _merge(root: exp.Expr) -> list[Statement]:
    written = _targets(root)
    bounded = bounds(root.args.get("on"))
    made = Statement("merge", _names(written), has_where=bounded, object="table")
    found = _with_reads(made, root, written)
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


def _truncate(root: exp.Expr) -> list[Statement]:
    return [Statement("truncate", _names(_targets(root)), object="table", drops=True)]


def _create(root: exp.Expr) -> list[Statement]:
    kind = str(root.args.get("kind") or "").lower()
    written = _targets(root)
    made = Statement(
        "create",
        _names(written),
        object=kind,
        drops=bool(root.args.get("replace")),
        has_limit=False,
    )
    return _with_reads(made, root, written) if kind not in _NOT_TABLES else [made]


def _alter(root: exp.Expr) -> list[Statement]:
    columns: list[str] = []
    drops = False
    for action in root.args.get("actions") or ():
        if isinstance(action, exp.Drop | exp.DropPartition | exp.Delete | exp.AlterRename):
            drops = drops or not isinstance(action, exp.AlterRename)
        columns += [c.name.lower() for c in action.find_all(exp.Column, exp.ColumnDef)]
    kind = str(root.args.get("kind") or "table").lower()
    tables = _names(_targets(root))
    made = Statement(
        "alter", tables, columns=tuple(dict.fromkeys(columns)), object=kind, drops=drops
    )
    found = [made]
    for action in root.args.get("actions") or ():  # ClickHouse deletes and updates this way
        if isinstance(action, exp.Delete | exp.Update):
            verb = "delete" if isinstance(action, exp.Delete) else "update"
            reached = bounds(action.args.get("where"))
            found.append(Statement(verb, tables, has_where=reached, object="table", nested=True))
    return found


def _drop(root: exp.Expr) -> list[Statement]:
    kind = str(root.args.get("kind") or "").lower()
    return [Statement("drop", _names(_targets(root)), object=kind, drops=True)]


def _grant(root: exp.Expr) -> list[Statement]:
    securable = root.args.get("securable")
    on = _table_of(securable)
    privileges = [p.this.name.lower() for p in root.args.get("privileges") or () if p.this]
    columns = [c.name.lower() for p in root.args.get("privileges") or () for c in p.expressions]
    principals = [p.this.name.lower() for p in root.args.get("principals") or () if p.this]
    return [
        Statement(
            "revoke" if isinstance(root, exp.Revoke) else "grant",
            _names(on),
            columns=tuple(columns),
            object=str(root.args.get("kind") or "table").lower(),
            privileges=tuple(privileges),
            grantee=", ".join(principals),
        )
    ]


def _copy(root: exp.Expr) -> list[Statement]:
    """COPY out (kind false) and in (true); Snowflake's COPY INTO a stage goes out as well."""
    inwards = bool(root.args.get("kind"))
    files = root.args.get("files") or []
    names = [f.name for f in files if isinstance(f, exp.Identifier | exp.Literal | exp.Var)]
    words = [name.lower() for name in names]
    target = root.this
    stage = isinstance(target, exp.Table) and isinstance(target.this, exp.Var | exp.Literal)
    program = "program" in words
    if stage:
        reads = tables_read(root, [target])
        place = str(target.this.name)
        return [
            Statement("copy", reads=reads, object="stage", to_file=True, to_network="://" in place)
        ]
    network = any("://" in name for name in names)
    local = all(word in ("stdin", "stdout") for word in words)
    if inwards:
        written = _targets(root)
        sources = [f for f in files if isinstance(f, exp.Table | exp.Subquery)]
        return [
            Statement(
                "copy",
                _names(written),
                object="table",
                to_program=program,
                from_file=not local or bool(sources),
                to_network=network,
            )
        ]
    return [
        Statement(
            "copy",
            reads=tables_read(root, []),
            object="table",
            to_program=program,
            to_file=not local and not program,
            to_network=network,
        )
    ]


def _call(root: exp.Expr) -> list[Statement]:
    """EXEC of SQL Server: a procedure by its name, or text as SQL."""
    target = root.this
    if not isinstance(target, exp.Table) or isinstance(root, exp.ExecuteSql):
        return [opaque("it runs text as SQL")]
    name = target.name.lower()
    full = spelled(part.name for part in target.parts)
    made = Statement("call", (full,), object="procedure", functions=(name,))
    made = replace(
        made,
        unknown_functions=(name,),
        to_program=name in functions.RUNS_PROGRAM,
        to_file=name in functions.WRITES_FILE,
        from_file=name in functions.READS_FILE,
        to_network=name in functions.USES_NETWORK,
    )
    if name in functions.RUNS_TEXT or not name or name.startswith("@"):
        return [made, opaque("the procedure runs text as SQL")]
    return [made]


def _set(root: exp.Expr) -> list[Statement]:
    names = [i.this.this.name.lower() for i in root.expressions if isinstance(i.this, exp.Binary)]
    made = Statement("set", object=", ".join(filter(None, names)))
    query = root.find(exp.Select)
    return [made] if query is None else [made, *(s.as_nested() for s in _select(query))]


def _pragma(root: exp.Expr) -> list[Statement]:
    told = root.this
    name = told.name.lower() if told is not None else ""
    if isinstance(told, exp.Func):
        name = (told.name if isinstance(told, exp.Anonymous) else told.sql_name()).lower()
    if isinstance(told, exp.EQ) and told.this.name.lower() in _READ_PRAGMAS:
        return [Statement("show", object=told.this.name.lower())]
    if isinstance(told, exp.EQ):
        return [Statement("set", object=told.this.name.lower())]
    plain = isinstance(told, exp.Var | exp.Column)
    return [Statement("show" if plain or name in _READ_PRAGMAS else "set", object=name)]


def _describe(root: exp.Expr) -> list[Statement]:
    """EXPLAIN and DESCRIBE; EXPLAIN ANALYZE does what it explains."""
    explain = Statement("explain", reads=tables_read(root, []))
    if isinstance(root.this, exp.Table):
        return [replace(explain, type="show")]
    if "ANALYZE" in str(root.args.get("style") or "").upper() and root.this is not None:
        return [explain, *(statement.as_nested() for statement in _statements(root.this))]
    return [explain]


def _use(root: exp.Expr) -> list[Statement]:
    thing = root.args.get("kind")
    return [Statement("set", object=thing.name.lower() if thing is not None else "database")]


def _attach(root: exp.Expr) -> list[Statement]:
    return [Statement("attach", object="database", from_file=True, to_file=True)]


def _export(root: exp.Expr) -> list[Statement]:
    return [Statement("copy", reads=tables_read(root, []), to_file=True, to_network=True)]


def _load(root: exp.Expr) -> list[Statement]:
    return [Statement("copy", _names(_targets(root)), object="table", from_file=True)]


def _stage(root: exp.Expr) -> list[Statement]:
    return [Statement("copy", object="stage", from_file=True, to_file=True, to_network=True)]


def _plain(kind: str, thing: str = "") -> Callable[[exp.Expr], list[Statement]]:
    def read(root: exp.Expr) -> list[Statement]:
        query = root.find(exp.Select)
        named = _names(list(root.find_all(exp.Table))) if query is None else ()
        made = Statement(kind, named, object=thing)
        return [made] if query is None else [made, *(s.as_nested() for s in _select(query))]

    return read


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


def _reads_paths(root: exp.Expr) -> bool:
    """DuckDB, Spark and others take a quoted path for a table."""
    return any(
        isinstance(t.this, exp.Identifier) and t.this.args.get("quoted") and "/" in t.this.name
        for t in root.find_all(exp.Table)
    )


_KINDS: tuple[tuple[tuple[type[exp.Expr], ...], Callable[[exp.Expr], list[Statement]]], ...] = (
    ((exp.Select, exp.SetOperation, exp.Subquery, exp.Values), _select),
    ((exp.Insert,), _insert),
    ((exp.Update,), _update),
    ((exp.Delete,), _delete),
    ((exp.Merge,), _merge),
    ((exp.TruncateTable,), _truncate),
    ((exp.Create,), _create),
    ((exp.Alter,), _alter),
    ((exp.Drop,), _drop),
    ((exp.Grant, exp.Revoke), _grant),
    ((exp.Copy,), _copy),
    ((exp.Execute, exp.ExecuteSql), _call),
    ((exp.Set,), _set),
    ((exp.Transaction, exp.Commit, exp.Rollback), _plain("transaction")),
    ((exp.Pragma,), _pragma),
    ((exp.Describe,), _describe),
    ((exp.Show, exp.ListStage), _plain("show")),
    ((exp.Attach,), _attach),
    ((exp.Detach,), _plain("set", "database")),
    ((exp.Use,), _use),
    ((exp.Analyze, exp.Refresh), _plain("maintenance")),
    ((exp.Comment,), _plain("alter", "comment")),
    ((exp.Undrop,), _plain("create")),
    ((exp.Kill,), _plain("other", "session")),
    ((exp.Declare,), _plain("set", "variable")),
    ((exp.Export,), _export),
    ((exp.LoadData,), _load),
    ((exp.Put, exp.Get), _stage),
)

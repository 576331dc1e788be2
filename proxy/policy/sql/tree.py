"""From sqlglot's trees to statements.

What belongs here: which kind of statement a tree is, and what the kinds that are not about rows
(`rows.py`) do. A write inside of another statement (a CTE with DELETE, SELECT … INTO) is a statement
of its own. A tree of no known kind is opaque.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sqlglot import exp

from proxy.policy.sql import functions
from proxy.policy.sql.conditions import bounds
from proxy.policy.sql.names import listed, spelled, table_name, tables_read
from proxy.policy.sql.rows import (
    WRITES,
    names_of,
    read_delete,
    read_insert,
    read_merge,
    read_select,
    read_update,
    table_of,
    targets_of,
    with_reads,
)
from proxy.policy.sql.statement import Statement, opaque

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
    for node in root.find_all(*WRITES):
        if node is root or isinstance(node.parent, exp.When | exp.Alter):
            continue
        inner = next(made for kinds, made in _KINDS if isinstance(node, kinds))(node)
        found += [statement.as_nested() for statement in inner]
    for node in root.find_all(exp.Into):
        if node.parent is not None and isinstance(node.this, exp.Table) and table_name(node.this):
            into = Statement("create", (table_name(node.this),), object="table", nested=True)
            found.append(into)
    return found


def _truncate(root: exp.Expr) -> list[Statement]:
    return [Statement("truncate", names_of(targets_of(root)), object="table", drops=True)]


def _create(root: exp.Expr) -> list[Statement]:
    kind = str(root.args.get("kind") or "").lower()
    written = targets_of(root)
    place = root.find(exp.LocationProperty, exp.Clone)
    made = Statement(
        "create",
        names_of(written),
        object=kind,
        drops=bool(root.args.get("replace")),
        to_file=isinstance(place, exp.LocationProperty),
        from_file=isinstance(place, exp.LocationProperty),
    )
    if kind == "table" and root.find(exp.ExecuteAsProperty, exp.Command) is not None:
        return [made, opaque("it is filled by what was prepared before")]
    return with_reads(made, root, written) if kind not in _NOT_TABLES else [made]


def _alter(root: exp.Expr) -> list[Statement]:
    columns: list[str] = []
    drops = False
    for action in root.args.get("actions") or ():
        if isinstance(action, exp.Drop | exp.DropPartition | exp.Delete | exp.AlterRename):
            drops = drops or not isinstance(action, exp.AlterRename)
        columns += [c.name.lower() for c in action.find_all(exp.Column, exp.ColumnDef)]
    kind = str(root.args.get("kind") or "table").lower()
    tables = names_of(targets_of(root))
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
    return [Statement("drop", names_of(targets_of(root)), object=kind, drops=True)]


def _grant(root: exp.Expr) -> list[Statement]:
    securable = root.args.get("securable")
    on = table_of(securable)
    privileges = [p.this.name.lower() for p in root.args.get("privileges") or () if p.this]
    columns = [c.name.lower() for p in root.args.get("privileges") or () for c in p.expressions]
    principals = [p.this.name.lower() for p in root.args.get("principals") or () if p.this]
    return [
        Statement(
            "revoke" if isinstance(root, exp.Revoke) else "grant",
            names_of(on),
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
        written = targets_of(root)
        sources = [f for f in files if isinstance(f, exp.Table | exp.Subquery)]
        return [
            Statement(
                "copy",
                names_of(written),
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
    names = []
    for item in root.expressions:
        if isinstance(item.this, exp.Binary):
            whole = str(item.args.get("kind") or "").upper() in (
                "GLOBAL",
                "PERSIST",
                "PERSIST_ONLY",
            )
            whole = whole or "global" in item.this.this.sql().lower()
            names.append(("global " if whole else "") + item.this.this.name.lower())
    made = Statement("set", object=", ".join(filter(None, names)))
    query = root.find(exp.Select)
    return [made] if query is None else [made, *(s.as_nested() for s in read_select(query))]


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
    return [Statement("copy", names_of(targets_of(root)), object="table", from_file=True)]


def _stage(root: exp.Expr) -> list[Statement]:
    return [Statement("copy", object="stage", from_file=True, to_file=True, to_network=True)]


def _plain(kind: str, thing: str = "") -> Callable[[exp.Expr], list[Statement]]:
    def read(root: exp.Expr) -> list[Statement]:
        query = root.find(exp.Select)
        named = names_of(list(root.find_all(exp.Table))) if query is None else ()
        made = Statement(kind, named, object=thing)
        return [made] if query is None else [made, *(s.as_nested() for s in read_select(query))]

    return read


def _reads_paths(root: exp.Expr) -> bool:
    """DuckDB, Spark and others take a quoted path for a table."""
    return any(
        isinstance(t.this, exp.Identifier) and t.this.args.get("quoted") and "/" in t.this.name
        for t in root.find_all(exp.Table)
    )


_KINDS: tuple[tuple[tuple[type[exp.Expr], ...], Callable[[exp.Expr], list[Statement]]], ...] = (
    ((exp.Select, exp.SetOperation, exp.Subquery, exp.Values), read_select),
    ((exp.Insert,), read_insert),
    ((exp.Update,), read_update),
    ((exp.Delete,), read_delete),
    ((exp.Merge,), read_merge),
    ((exp.TruncateTable,), _truncate),
    ((exp.Create,), _create),
    ((exp.Alter,), _alter),
    ((exp.Drop,), _drop),
    ((exp.Grant, exp.Revoke), _grant),
    ((exp.Copy,), _copy),
    ((exp.Execute, exp.ExecuteSql), _call),
    ((exp.Set,), _set),
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

"""Statements that sqlglot has no tree for, read by their leading words.

What belongs here: roles, maintenance, EXPLAIN, PREPARE, COPY's cousins, commands of a database's
own shell. Only the words that name what is done and to what are read; a statement that runs text as
SQL, or that no entry here knows, is opaque. The code given has no comments, and its strings no
quotes inside (`lexing.code_of`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from proxy.policy.sql import functions
from proxy.policy.sql.names import listed, spelled
from proxy.policy.sql.statement import Statement, opaque

type Reader = Callable[[str], list[Statement]]
"""Reads the rest of a statement, such as what EXPLAIN explains."""

_WORD = re.compile(r"[A-Za-z_@#\u0080-\uffff][\w$#@]*|'[^']*'|\"[^\"]*\"|`[^`]*`|\[[^\]]*\]|\d+|\S")
_NAME = re.compile(r"[\w$#@]+|\"[^\"]*\"|`[^`]*`|\[[^\]]*\]|'[^']*'")
_VERB = re.compile(
    r"(?<![\w.])(?:SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|CREATE|VALUES|TABLE|EXECUTE|DECLARE|REFRESH"
    r"|REPLACE|CALL|DROP|ALTER|TRUNCATE)(?!\w)",
    re.IGNORECASE,
)
_MODIFIERS = listed(
    "OR REPLACE TEMP TEMPORARY UNIQUE MATERIALIZED EXTERNAL TRANSIENT VOLATILE UNLOGGED GLOBAL LOCAL "
    "PUBLIC PRIVATE SECURE FORCE EDITIONABLE NONEDITIONABLE TRUSTED PROCEDURAL CLUSTERED NONCLUSTERED "
    "FULLTEXT SPATIAL RECURSIVE CONSTRAINT HYBRID DYNAMIC ICEBERG"
)
_SKIP = listed(
    "IF NOT EXISTS CONCURRENTLY ONLY FOR TABLE TABLES MATERIALIZED VIEW FULL FREEZE VERBOSE"
)
_ROLES = frozenset({"user", "role", "login", "group", "principal", "profile"})
_POWERS = listed(
    "SUPERUSER CREATEDB CREATEROLE REPLICATION BYPASSRLS LOGIN PASSWORD IDENTIFIED ADMIN ADD SYSADMIN "
    "MEMBER OWNER"
)
_GUARDS = frozenset({"OWNER", "SECURITY", "DISABLE", "ENABLE", "AUTHORIZATION"})
"""ALTER TABLE … OWNER TO, … DISABLE ROW LEVEL SECURITY, … DISABLE TRIGGER: who may, not what is."""
_DEFINED = frozenset({"PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "VIEW"})
_TRANSACTION = listed(
    "BEGIN START COMMIT ROLLBACK SAVEPOINT RELEASE END ABORT TRANSACTION TRAN WORK TO AND CHAIN NO "
    "READ WRITE ONLY ISOLATION LEVEL SERIALIZABLE REPEATABLE COMMITTED UNCOMMITTED IMMEDIATE DEFERRED "
    "EXCLUSIVE DEFERRABLE NOT WITH CONSISTENT SNAPSHOT PREPARED CONCURRENT"
)
_NAMES_TRANSACTION = listed("SAVEPOINT RELEASE TO TRAN TRANSACTION PREPARED")
_MAINTENANCE = listed(
    "VACUUM ANALYZE ANALYSE REINDEX CLUSTER CHECKPOINT LOCK UNLOCK OPTIMIZE FLUSH REFRESH CHECK REPAIR "
    "CHECKSUM DISCARD MSCK CACHE UNCACHE"
)
_SHELL_FILES = re.compile(
    r"\\(?:o|copy|g|w|i|ir|lo_\w+)\b|\.(?:output|once|dump|backup|save|clone|log|"
    r"import|read|open|excel|restore|archive)\b",
    re.IGNORECASE,
)
_SHELL_PROGRAMS = re.compile(
    r"\\(?:!|copy\b.*program|g\s*\||o\s*\|)|\.(?:shell|system|sh|load)\b", re.I
)
_OUTFILE = re.compile(
    r"\bINTO\s+(?:OUTFILE|DUMPFILE)\s+'[^']*'"
    r"(?:\s+(?:CHARACTER\s+SET\s+\w+|FIELDS|COLUMNS|LINES|(?:TERMINATED|(?:OPTIONALLY\s+)?ENCLOSED"
    r"|ESCAPED|STARTING)\s+BY\s+'[^']*'))*",
    re.IGNORECASE,
)


def read_words(code: str, read: Reader) -> list[Statement] | None:
    """Returns the statements that one statement's code stands for; None: no word here knows it."""
    text = code.strip().lstrip("(").strip()
    if text[:1] in ("\\", "."):
        return [
            replace(
                opaque("a command of the database's own shell"),
                to_program=_SHELL_PROGRAMS.match(text) is not None,
                to_file=_SHELL_FILES.match(text) is not None,
                from_file=_SHELL_FILES.match(text) is not None,
            )
        ]
    words = _WORD.findall(text)
    verb = words[0].upper() if words else ""
    if verb in ("SELECT", "WITH") and _OUTFILE.search(text):
        found = read(_OUTFILE.sub(" ", text, count=1))
        return [replace(found[0], to_file=True), *found[1:]] if found else None
    if verb in _READERS:
        return _READERS[verb](text, words, read)
    if verb in _MAINTENANCE:
        named = tuple(name for name in _named(words, 1) if name != "into")
        made = Statement("maintenance", named, object=verb.lower())
        return [replace(made, to_file=True) if _has(words, "INTO") else made]
    if verb in ("BEGIN", "START", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "END", "ABORT"):
        return [Statement("transaction")] if _is_transaction(words) else None
    return None


def _is_transaction(words: list[str]) -> bool:
    """A name may follow SAVEPOINT, TO and the like; START SLAVE and BEGIN NOT ATOMIC are no transaction."""
    upper = [word.upper() for word in words]
    if upper[0] == "START" and upper[1:2] != ["TRANSACTION"]:
        return False
    return all(
        word in _TRANSACTION or word == "," or before in _NAMES_TRANSACTION
        for before, word in zip(["", *upper], upper, strict=False)
    )


def _explain(text: str, words: list[str], read: Reader) -> list[Statement]:
    """EXPLAIN does nothing, EXPLAIN ANALYZE all that it explains; an option set to off is not read."""
    at = _VERB.search(text)
    made = Statement("explain")
    if at is None:
        return [replace(made, type="show")]
    ahead = text[: at.start()].upper()
    found = read(text[at.start() :])
    if "ANALY" in ahead or "EXECUTE" in ahead:
        return [made, *(statement.as_nested() for statement in found)]
    seen = [statement for statement in found if statement.opaque]
    return [replace(made, reads=found[0].reads if found else ()), *seen]


def _prepare(text: str, words: list[str], read: Reader) -> list[Statement]:
    at = re.search(r"\bAS\b", text, re.IGNORECASE)
    if at is None:
        return [opaque("it prepares text as SQL")]
    return read(text[at.end() :]) or [opaque("it prepares what nobody can read")]


def _declare(text: str, words: list[str], read: Reader) -> list[Statement]:
    cursor = re.search(r"\bCURSOR\b", text, re.IGNORECASE)
    at = re.compile(r"\bFOR\b", re.IGNORECASE).search(text, cursor.end()) if cursor else None
    if at is None:
        return [opaque("a block of code")]
    return read(text[at.end() :]) or [opaque("a cursor over what nobody can read")]


def _replace(text: str, words: list[str], read: Reader) -> list[Statement]:
    found = read(re.sub(r"^REPLACE(?:\s+(?:LOW_PRIORITY|DELAYED))?", "INSERT", text, flags=re.I))
    return [replace(s, type="merge") if s.type == "insert" else s for s in found]


def _call(text: str, words: list[str], read: Reader) -> list[Statement]:
    named = _named(words, 1)
    name = named[0] if named else ""
    short = name.rpartition(".")[2]
    reaching = {name, short}
    made = Statement(
        "call",
        named,
        object="procedure",
        functions=(short,),
        unknown_functions=(short,),
        to_program=bool(reaching & functions.RUNS_PROGRAM),
        to_file=bool(reaching & functions.WRITES_FILE),
        from_file=bool(reaching & functions.READS_FILE),
        to_network=bool(reaching & functions.USES_NETWORK),
    )
    if reaching & functions.RUNS_TEXT:
        return [made, opaque("the procedure runs text as SQL")]
    return [made]


def _set(text: str, words: list[str], read: Reader) -> list[Statement]:
    named = [w.lower() for w in words[1:4] if re.fullmatch(r"[\w@.]+", w)]
    if named[:2] == ["session", "authorization"]:
        return [Statement("set", object="session authorization")]
    if words[0].upper() == "RESET" and named[:1] and named[0] in _SERVERS_OWN:
        return [Statement("other", object="server")]
    if named[:1] and named[0] in ("global", "persist", "persist_only"):
        return [Statement("set", object=" ".join(["global", *named[1:2]]))]
    if named[:1] and named[0] in ("session", "local"):
        named = named[1:]
    return [Statement("set", object=named[0] if named else "")]


_SERVERS_OWN = frozenset({"master", "slave", "replica", "binary"})


def _define(text: str, words: list[str], read: Reader) -> list[Statement]:
    """CREATE, ALTER and DROP of what sqlglot leaves to its reader."""
    verb = words[0].lower()
    at = 1
    while at < len(words) and words[at].upper() in _MODIFIERS:
        at += 1
    if at < len(words) and words[at].upper() == "DEFINER":  # MySQL: DEFINER = `root`@`%` PROCEDURE
        at = next((i for i, w in enumerate(words) if i > at and w.upper() in _DEFINED), at)
    if _has(words[at : at + 1], "EVENT") and _has(words[at + 1 : at + 2], "TRIGGER"):
        at += 1
    thing = words[at].lower() if at < len(words) else ""
    if thing == "default" and _has(words, "PRIVILEGES"):
        given = "grant" if _has(words, "GRANT") else "revoke"
        return [Statement(given, object="default privileges", grantee=_after(words, "TO"))]
    if thing == "system" or thing == "session":
        return [Statement("set", object=thing)]
    names = _named(words, at + 1)
    known = _POWERS if thing in _ROLES else _GUARDS
    powers = tuple(word.lower() for word in map(str.upper, words[at + 1 :]) if word in known)
    made = Statement(
        verb,
        names,
        object=thing,
        drops=verb == "drop" or any(_has(words, w) for w in ("DROP", "PURGE")),
        privileges=tuple(dict.fromkeys(powers)),
        grantee=", ".join(names) if thing in _ROLES else "",
    )
    if verb == "create" and thing in ("table", "view"):
        return [made, opaque("its definition cannot be parsed")]
    return [made]


def _give(text: str, words: list[str], read: Reader) -> list[Statement]:
    verb = words[0].upper()
    upper = [word.upper() for word in words]
    to = "TO" if verb in ("GRANT", "DENY") and "TO" in upper else "FROM"
    end = upper.index(to) if to in upper else len(upper)
    on = upper.index("ON") if "ON" in upper[:end] else end
    privileges = [w.strip(",") for w in " ".join(words[1:on]).lower().split(" , ")]
    thing, names = ("role", ()) if on == end else ("table", _named(words, on + 1))
    if on < end and upper[on + 1 : on + 2] and upper[on + 1] in _SECURABLES:
        whole = "SCHEMA" in upper[:end] and upper[on + 1] == "ALL"
        at = upper.index("SCHEMA") if whole else on + 1
        thing, names = upper[at].lower(), _named(words, at + 1)
    return [
        Statement(
            "grant" if verb == "GRANT" else "revoke",
            names,
            object=thing,
            privileges=tuple(filter(None, privileges)),
            grantee=_after(words, to),
        )
    ]


_SECURABLES = listed(
    "TABLE ALL SCHEMA DATABASE FUNCTION PROCEDURE SEQUENCE WAREHOUSE ROLE STAGE VIEW LANGUAGE LOGIN "
    "SERVER TABLESPACE FOREIGN ROUTINE TYPE USER"
)


def _load(text: str, words: list[str], read: Reader) -> list[Statement]:
    if words[1:2] and words[1].upper() in ("DATA", "XML"):
        upper = [word.upper() for word in words]
        at = upper.index("TABLE") + 1 if "TABLE" in upper else len(words)
        return [Statement("copy", _named(words, at), object="table", from_file=True)]
    return [Statement("call", object="library", to_program=True, from_file=True)]


def _bulk(text: str, words: list[str], read: Reader) -> list[Statement]:
    return [Statement("copy", _named(words, 2), object="table", from_file=True)]


def _backup(text: str, words: list[str], read: Reader) -> list[Statement]:
    back = words[0].upper() == "RESTORE"
    return [
        Statement(
            "copy",
            _named(words, 2),
            object="database",
            to_file=not back,
            from_file=back,
            drops=back,
        )
    ]


def _rename(text: str, words: list[str], read: Reader) -> list[Statement]:
    return [Statement("alter", _named(words, 2), object=words[1].lower() if words[1:] else "")]


def _import(text: str, words: list[str], read: Reader) -> list[Statement]:
    return [Statement("create", object="foreign schema", to_network=True)]


def _stage(text: str, words: list[str], read: Reader) -> list[Statement]:
    verb = words[0].upper()
    made = Statement("copy", object="stage", to_file=True, from_file=True, to_network=True)
    return [replace(made, drops=verb in ("REMOVE", "RM"))]


def _unload(text: str, words: list[str], read: Reader) -> list[Statement]:
    """Redshift's UNLOAD has its query in a string."""
    made = Statement("copy", object="stage", to_file=True, to_network=True)
    return [made, opaque("the query is written as text")]


def _told(kind: str, thing: str = "") -> Callable[[str, list[str], Reader], list[Statement]]:
    def read_told(text: str, words: list[str], read: Reader) -> list[Statement]:
        return [Statement(kind, object=thing or words[0].lower())]

    return read_told


def _hidden(why: str) -> Callable[[str, list[str], Reader], list[Statement]]:
    def read_hidden(text: str, words: list[str], read: Reader) -> list[Statement]:
        return [opaque(why)]

    return read_hidden


_TEXT_AS_SQL = "it runs text, or what was prepared before, as SQL"
_READERS: dict[str, Callable[[str, list[str], Reader], list[Statement]]] = {
    "EXPLAIN": _explain,
    "PREPARE": _prepare,
    "DECLARE": _declare,
    "REPLACE": _replace,
    "CALL": _call,
    "SET": _set,
    "RESET": _set,
    "CREATE": _define,
    "ALTER": _define,
    "DROP": _define,
    "GRANT": _give,
    "REVOKE": _give,
    "DENY": _give,
    "LOAD": _load,
    "INSTALL": _told("call", "library"),
    "BULK": _bulk,
    "BACKUP": _backup,
    "RESTORE": _backup,
    "RENAME": _rename,
    "IMPORT": _import,
    "PUT": _stage,
    "GET": _stage,
    "REMOVE": _stage,
    "RM": _stage,
    "UNLOAD": _unload,
    "SHOW": _told("show"),
    "DESC": _told("show"),
    "DESCRIBE": _told("show"),
    "LIST": _told("show"),
    "LS": _told("show"),
    "HELP": _told("show"),
    "USE": _told("set", "database"),
    "COMMENT": _told("alter", "comment"),
    "SECURITY": _told("alter", "security label"),
    "REASSIGN": _told("alter", "role"),
    "KILL": _told("other", "session"),
    "SHUTDOWN": _told("other", "server"),
    "LISTEN": _told("other"),
    "UNLISTEN": _told("other"),
    "NOTIFY": _told("other"),
    "FETCH": _told("other", "cursor"),
    "MOVE": _told("other", "cursor"),
    "CLOSE": _told("other", "cursor"),
    "DEALLOCATE": _told("other", "cursor"),
    "DO": _hidden("a block of code"),
    "EXECUTE": _hidden(_TEXT_AS_SQL),
    "EXEC": _hidden(_TEXT_AS_SQL),
    "DELIMITER": _hidden("it changes where statements end"),
    "SOURCE": _hidden("it runs a file"),
    "SYSTEM": _hidden("it may run a program"),
    "IF": _hidden("a block of code"),
    "WHILE": _hidden("a block of code"),
}


def _has(words: list[str], word: str) -> bool:
    return any(w.upper() == word for w in words)


def _named(words: list[str], at: int) -> tuple[str, ...]:
    """Returns the names in a list of words from a place on: `a.b, "c"`."""
    names: list[str] = []
    parts: list[str] = []
    dotted = True
    while at < len(words) and words[at].upper() in _SKIP:
        at += 1
    for word in words[at:]:
        if word == ".":
            dotted = True
        elif word == "," and parts:
            names.append(spelled(parts))
            parts, dotted = [], True
        elif dotted and _NAME.fullmatch(word):
            parts.append(word.strip("\"'`[]"))
            dotted = False
        else:
            break
    if parts:
        names.append(spelled(parts))
    return tuple(dict.fromkeys(names))


def _after(words: list[str], word: str) -> str:
    upper = [w.upper() for w in words]
    at = upper.index(word) + 1 if word in upper else len(words)
    if upper[at : at + 1] and upper[at] in ("USER", "ROLE", "GROUP", "SHARE"):
        at += 1
    return ", ".join(_named(words, at))

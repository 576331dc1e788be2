"""rules/sql.yaml: what an agent with a SQL tool does alone, and where it stops."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.model import Call, Identity, Json, Trust, Verdict
from proxy.policy.ruleset import Assessment, RuleSet

WHO = Identity("s", "a", Trust.CREDENTIAL, Trust.CREDENTIAL)
RULES = RuleSet.load([Path(__file__).resolve().parents[3] / "rules" / "sql.yaml"])


def assess(tool: str, arguments: Json) -> Assessment:
    return RULES.assess(Call("c1", tool, arguments, "openai.chat"), WHO)


def verdict(found: Assessment) -> str:
    return max((reason.verdict for reason in found.reasons), default=Verdict.ALLOW).label


def effects(found: Assessment) -> list[str]:
    return [
        " ".join([c.effect.kind, c.effect.target or "-", *c.effect.labels]) for c in found.effects
    ]


CASES = [
    ("SELECT * FROM orders WHERE id = 7", "allow", ["data.query orders"]),
    ("SELECT now()", "allow", []),
    ("EXPLAIN SELECT * FROM orders", "allow", []),
    ("BEGIN; SELECT 1; COMMIT", "allow", []),
    ("INSERT INTO notes (a) VALUES (1)", "allow", ["record.create notes"]),
    ("UPDATE orders SET note = 'x' WHERE id = 7", "allow", ["record.update orders"]),
    ("DELETE FROM carts WHERE id = 7", "allow", ["record.delete carts"]),
    (
        "INSERT INTO notes SELECT * FROM orders WHERE id = 7",
        "allow",
        ["record.create notes", "data.query orders"],
    ),
    ("UPDATE orders SET note = 'x'", "hold", ["record.update orders sql unbounded"]),
    ("DELETE FROM orders WHERE 1=1", "hold", ["record.delete orders sql unbounded"]),
    (
        "TRUNCATE a, b",
        "hold",
        ["record.delete a sql unbounded", "record.delete b sql unbounded"],
    ),
    ("DROP TABLE a, b", "hold", ["schema.drop a sql", "schema.drop b sql"]),
    ("CREATE TABLE t (id int)", "allow", ["schema.change t"]),
    ("CREATE OR REPLACE TABLE t AS SELECT 1", "hold", ["schema.drop t sql"]),
    ("ALTER TABLE t ADD COLUMN a int", "allow", ["schema.change t"]),
    ("ALTER TABLE t DROP COLUMN a", "hold", ["schema.drop t sql"]),
    ("GRANT SELECT ON t TO bob", "hold", ["identity.grant t sql"]),
    ("GRANT admin TO bob", "hold", ["identity.grant bob sql"]),
    ("CREATE USER bob SUPERUSER", "hold", ["identity.grant bob sql"]),
    ("DROP ROLE bob", "hold", ["identity.revoke bob sql"]),
    ("SET ROLE admin", "hold", ["identity.grant role sql"]),
    ("COPY t TO PROGRAM 'x'", "block", ["data.query t", "code.exec t sql program"]),
    ("COPY t TO '/tmp/x'", "hold", ["data.query t", "data.export t sql"]),
    ("COPY t TO STDOUT", "allow", ["data.query t"]),
    ("SELECT * FROM pg_read_file('/x')", "hold", None),
    ("SELECT * FROM dblink('a', 'b') AS t(a int)", "hold", None),
    ("SELECT close_account(7)", "hold", ["code.exec close_account sql stored-code"]),
    ("CALL close_account(7)", "hold", ["code.exec close_account sql stored-code"]),
    ("DO $$ BEGIN END $$", "hold", ["code.exec opaque sql opaque"]),
    ("SELECT 1; DROP TABLE x", "hold", ["schema.drop x sql"]),
    ("WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d", "hold", None),
    ("NOTIFY a, 'b'", "hold", []),
    ("ALTER TABLE t OWNER TO bob", "hold", ["identity.grant t sql"]),
    ("ALTER TABLE t DISABLE ROW LEVEL SECURITY", "hold", ["identity.grant t sql"]),
    ("DROP POLICY p ON t", "hold", ["identity.revoke p sql"]),
    ("CREATE TRIGGER a AFTER INSERT ON t EXECUTE FUNCTION f()", "hold", None),
    ("CREATE SERVER s FOREIGN DATA WRAPPER x", "hold", ["code.exec s sql stored-code"]),
    ("CREATE FOREIGN TABLE f (a int) SERVER s OPTIONS (program 'x')", "hold", None),
    ("ALTER SYSTEM SET archive_command = 'x'", "hold", ["identity.grant system sql"]),
    ("SET search_path TO a", "allow", ["config.change search_path sql"]),
    ("UPDATE pg_catalog.pg_authid SET rolsuper = true WHERE rolname = 'x'", "hold", None),
    ("SELECT * FROM pg_shadow", "hold", ["data.query pg_shadow", "data.read.secret pg_shadow sql"]),
    ("CREATE TABLE t AS EXECUTE p", "hold", None),
    ("VACUUM orders", "allow", []),
    ("EXPLAIN ANALYZE SELECT lo_export(1, '/x')", "hold", None),
    ("", "hold", []),
    ("-- SELECT 1", "hold", []),
]


@pytest.mark.parametrize(("sql", "said", "made"), CASES, ids=[sql[:50] for sql, _, _ in CASES])
def test_what_the_pack_says(sql: str, said: str, made: list[str] | None) -> None:
    found = assess("pg_query", {"query": sql})
    assert verdict(found) == said, found.reasons
    if made is not None:
        assert effects(found) == made


@pytest.mark.parametrize(
    ("tool", "sql", "said"),
    [
        ("mysql_query", "SET GLOBAL general_log_file = '/x'", "hold"),
        ("mysql_query", "SET @@global.general_log = 1", "hold"),
        ("mysql_query", "SELECT * FROM mysql.user", "hold"),
        ("mysql_query", "START SLAVE", "hold"),
        ("mysql_query", "CREATE DEFINER=root PROCEDURE p() SELECT 1", "hold"),
        ("mysql_query", "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM t", "hold"),
        ("mysql_query", "SELECT 1 /*!50000 ; DROP TABLE x */", "hold"),
        ("mysql_query", "SELECT * FROM orders WHERE id = 7", "allow"),
        ("write_query", "UPDATE sqlite_master SET sql = 'x' WHERE name = 't'", "hold"),
        ("write_query", "VACUUM INTO '/x'", "hold"),
        ("write_query", "INSERT INTO t (a) VALUES (1)", "allow"),
        ("read_query", "PRAGMA table_info(t)", "allow"),
        ("read_query", "ATTACH DATABASE '/x' AS y", "hold"),
        ("execute_sql", "SELECT name FROM t WHERE a = 'it''s' LIMIT 3", "allow"),
        ("execute_sql", "EXEC xp_cmdshell 'dir'", "block"),
        ("execute_sql", "SELECT 1 DROP TABLE x", "hold"),
        ("run_bigquery", "SELECT * FROM `p.d.t` WHERE a = 1", "allow"),
        ("snowflake_query", "COPY INTO 's3://x' FROM t", "hold"),
    ],
)
def test_what_the_pack_says_of_other_databases(tool: str, sql: str, said: str) -> None:
    assert verdict(assess(tool, {"query": sql})) == said


@pytest.mark.parametrize(
    "arguments",
    [
        {"query": "SELECT 1", "sql": "DROP TABLE x"},
        {"query": "DROP TABLE x", "sql": None},
        {"sql": ["DROP TABLE x"]},
        {"query": {"text": "SELECT 1"}},
        {"queries": "SELECT 1"},
        {},
        "SELECT 1",
    ],
    ids=["second", "null", "list", "object", "other-name", "none", "free-text"],
)
def test_sql_in_whichever_argument_is_found(arguments: Json) -> None:
    """A tool may ignore an argument that it does not know, so each one counts."""
    assert verdict(assess("execute_sql", arguments)) == "hold"


def test_a_reason_says_why_and_repeats_no_value() -> None:
    found = assess("pg_query", {"query": "FROB 'hunter2'"})
    (reason,) = [r for r in found.reasons if r.rule == "opaque-sql"]
    assert reason.text == "the SQL cannot be read: it cannot be parsed; blast radius unclear"


def test_a_statement_that_no_entry_is_for_is_held() -> None:
    rules = RuleSet.load_text(
        "r.yaml",
        """
version: 1
tools: [{sql: q, argument: args.q, dialect: postgres}]
statements: [{statement: select, effects: []}]
""",
    )
    found = rules.assess(Call("c", "q", {"q": "DROP TABLE t"}, "openai.chat"), WHO)
    (reason,) = found.reasons
    assert (reason.rule, reason.verdict) == ("unmapped-sql", Verdict.HOLD)
    assert reason.text == "no entry of 'statements:' is for this drop statement"


def test_a_condition_that_cannot_be_evaluated_counts_and_holds() -> None:
    rules = RuleSet.load_text(
        "r.yaml",
        """
version: 1
tools: [{sql: q, argument: args.q, dialect: postgres}]
statements:
  - {statement: select, when: args.missing == 1, effects: [{kind: data.query, target: stmt.target}]}
""",
    )
    found = rules.assess(Call("c", "q", {"q": "SELECT * FROM t"}, "openai.chat"), WHO)
    assert effects(found) == ["data.query t"]
    assert verdict(found) == "hold"


def test_a_text_of_very_many_statements_is_held() -> None:
    many = "; ".join([f"DROP TABLE {', '.join(f't{i}' for i in range(100))}"] * 4)
    found = assess("pg_query", {"query": many})
    assert any("more than 300" in reason.text for reason in found.reasons)

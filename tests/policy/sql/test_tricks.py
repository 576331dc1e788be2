"""SQL by an agent that wants out: each trick is seen through, or the text is opaque.

`said` is the least that must be found, by the type of statement and its table; `opaque` means that
the call is held because nobody can tell.
"""

from __future__ import annotations

import pytest

from proxy.policy.sql.reader import read_sql

TRICKS = [
    ("postgres", "DE/**/LETE FROM t", "opaque"),
    ("postgres", "DELETE/**/FROM/**/t", "delete t unbounded"),
    ("postgres", "/* safe */ DELETE FROM t -- WHERE id=1", "delete t unbounded"),
    ("postgres", "delete\n\tfrom\r\nt", "delete t unbounded"),
    ("postgres", "SELECT 1; DROP TABLE x", "drop x"),
    ("postgres", "SELECT 1;DROP TABLE x;--", "drop x"),
    ("mysql", "SELECT 1 /*!50000 ; DROP TABLE x */", "drop x"),
    ("mysql", "/*!DROP TABLE x*/", "drop x"),
    ("mysql", "/*M!100000 DROP TABLE x */", "drop x"),
    ("mysql", "SELECT /*!99999 1 */ 2; /*!DROP TABLE x*/", "drop x"),
    ("mysql", "SELECT /*!99999 no sql at all */ 2 /*!50000 ; DROP TABLE x */", "drop x"),
    ("any", "SELECT /*!99999 no sql at all */ 2 /*!50000 ; DROP TABLE x */", "drop x"),
    ("any", "SELECT 1 /*!50000 ; DROP TABLE x; no sql at all */", "drop x"),
    ("mysql", "SELECT 1--1; DROP TABLE x", "drop x"),
    ("mysql", "DELETE FROM t /*!WHERE 1=1*/", "delete t unbounded"),
    ("mysql", "DELETE FROM t WHERE id=1 /*! OR 1=1 */", "delete t bounded + delete t unbounded"),
    ("mysql", "SELECT /*! '*/' ; DROP TABLE x; -- */ 1", "opaque"),
    ("mysql", "SELECT '\\'; DROP TABLE x; -- '", "drop x"),
    ("postgres", "SELECT '\\'; DROP TABLE x; --'", "drop x"),
    ("postgres", "SELECT E'\\'; DROP TABLE x; --'", ""),
    ("postgres", "SELECT $a$ $b$ $a$; DROP TABLE x; -- $b$", "drop x"),
    ("postgres", "SELECT $$'$$; DROP TABLE x; --'", "drop x"),
    ("postgres", 'SELECT "a""; DROP TABLE x; --"', ""),
    ("tsql", "SELECT [a]]; DROP TABLE x; --]", "opaque"),
    ("mysql", "SELECT `a``; DROP TABLE x; -- `", ""),
    ("postgres", "SELECT 1 # 2; DROP TABLE x", "drop x"),
    ("mysql", "SELECT 1 # 2; DROP TABLE x", ""),
    ("mysql", "SELECT 1 # 2\n; DROP TABLE x", "drop x"),
    ("sqlite", "SELECT 1 -- \r; DROP TABLE x", "opaque"),
    ("postgres", "SELECT 1 \u2028; DROP TABLE x", "opaque"),
    ("postgres", "SELECT \u2018x\u2019; DROP TABLE x", "opaque"),
    ("postgres", "DELETE FROM t WHERE name = \u2018x\u2019", "opaque"),
    ("postgres", "\uff24\uff32\uff2f\uff30 TABLE x", "opaque"),
    ("postgres", "DROP\u200b TABLE x", "opaque"),
    ("postgres", "DROP\u00a0TABLE x", "opaque"),
    ("postgres", "SELECT 1\u0000; DROP TABLE x", "opaque"),
    ("postgres", "{# #} DROP TABLE x", "opaque"),
    ("postgres", "SELECT 1 {# ; DROP TABLE x; -- #}", "opaque"),
    ("postgres", "{{ x }}", "opaque"),
    ("postgres", 'U&"\\0044ROP" TABLE x', "opaque"),
    ("postgres", 'DELETE FROM U&"\\0075sers"', "opaque"),
    ("postgres", 'DELETE FROM "public"."USERS"', "delete users unbounded"),
    ("postgres", "DELETE FROM PUBLIC.Users", "delete users unbounded"),
    ("postgres", "WITH x AS (SELECT 1) DELETE FROM t", "delete t unbounded"),
    (
        "postgres",
        "WITH x AS (UPDATE t SET a=1 RETURNING *), y AS (DELETE FROM u RETURNING *) SELECT 1",
        "update t unbounded + delete u unbounded",
    ),
    (
        "postgres",
        "SELECT * FROM (SELECT 1) x WHERE EXISTS (SELECT pg_read_file('/x'))",
        "select from_file",
    ),
    ("tsql", "SELECT 1 DROP TABLE x", "opaque"),
    ("tsql", "SELECT 1\nDELETE FROM t", "opaque"),
    ("tsql", "SET NOCOUNT ON DELETE FROM t", "opaque"),
    ("tsql", "USE db DROP TABLE x", "opaque"),
    ("tsql", "BEGIN TRAN DELETE FROM t COMMIT", "opaque"),
    ("tsql", "SELECT a FROM t EXEC xp_cmdshell 'x'", "opaque"),
    ("tsql", "DECLARE @a varchar(9) = 'x' EXEC(@a)", "opaque"),
    ("tsql", "PRINT 'a' DROP TABLE x", "opaque"),
    ("tsql", "SELECT (1) DELETE FROM t", "opaque"),
    ("tsql", "WITH x AS (SELECT 1 a) SELECT (1) DELETE FROM t", "opaque"),
    ("tsql", "EXEC('DR'+'OP TABLE x')", "opaque"),
    ("tsql", "sp_executesql N'drop'", "opaque"),
    ("tsql", "xp_cmdshell 'dir'", "opaque"),
    ("tsql", "EXEC [xp_cmdshell] 'dir'", "call xp_cmdshell to_program"),
    ("tsql", "EXEC \"master\"..[xp_cmdshell] 'dir'", "call master.xp_cmdshell to_program"),
    ("tsql", "INSERT INTO t EXEC xp_cmdshell 'dir'", "opaque"),
    ("tsql", "SELECT 1 SHUTDOWN", "opaque"),
    ("postgres", "COPY t TO/**/PROGRAM 'x'", "copy to_program"),
    ("postgres", "copy t from program 'x'", "copy t to_program from_file"),
    ("postgres", "SELECT \"pg_read_file\"('/x')", "select from_file"),
    ("postgres", "SELECT pg_catalog . pg_read_file ('/x')", "select from_file"),
    ("postgres", 'SELECT "pg_catalog"."lo_export"(1,\'x\')', "select to_file"),
    ("postgres", "SELECT * FROM pg_catalog.pg_ls_dir('/')", "select from_file"),
    ("postgres", "\\copy t to program 'x'", "opaque to_program to_file from_file"),
    ("postgres", "SELECT 1;\n\\! rm -rf /", "opaque to_program"),
    ("postgres", "SELECT 1 \\g |sh", "opaque"),
    ("postgres", "SELECT 'drop table x' \\gexec", "opaque"),
    ("sqlite", ".shell rm", "opaque to_program"),
    ("sqlite", "SELECT 1;\n.system ls", "opaque to_program"),
    ("mysql", "\\! ls", "opaque to_program"),
    ("mysql", "system ls", "opaque"),
    ("mysql", "source /x", "opaque"),
    ("mysql", "DELIMITER //\nDROP TABLE x//", "opaque"),
    ("mysql", "SET @s = 'drop table x'; PREPARE p FROM @s; EXECUTE p", "opaque + opaque"),
    ("mysql", "HANDLER t READ FIRST", "opaque"),
    ("mysql", "DO SLEEP(5)", "opaque"),
    (
        "mysql",
        "CALL sys.execute_prepared_stmt('drop table x')",
        "call sys.execute_prepared_stmt + opaque",
    ),
    ("oracle", "DECLARE x INT; BEGIN EXECUTE IMMEDIATE 'drop table x'; END;", "opaque + opaque"),
    ("postgres", "EXPLAIN (ANALYZE) DELETE FROM t", "delete t unbounded"),
    ("postgres", "EXPLAIN ANALYSE DELETE FROM t", "delete t unbounded"),
    ("postgres", "explain/**/analyze/**/delete from t", "delete t unbounded"),
    ("postgres", "EXPLAIN EXECUTE p", "opaque"),
    ("postgres", "EXPLAIN ANALYZE EXECUTE p", "opaque"),
    ("postgres", "SELECT database_to_xml(true,true,'')", "opaque"),
    ("postgres", "ALTER TABLE t ALTER COLUMN a TYPE int USING close(7)", "alter t"),
    ("postgres", "CREATE RULE r AS ON SELECT TO t DO INSTEAD DELETE FROM t", "create r"),
    ("postgres", "CREATE TRIGGER t AFTER INSERT ON x EXECUTE FUNCTION f()", "create"),
    (
        "postgres",
        "SELECT f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(1))))))))))))))))))))))))))))))))))))))",
        "",
    ),
    ("postgres", "SELECT \ud800", "opaque"),
]


@pytest.mark.parametrize(
    ("dialect", "sql", "said"), TRICKS, ids=[f"{d}-{ascii(s)[1:50]}" for d, s, _ in TRICKS]
)
def test_trick(dialect: str, sql: str, said: str) -> None:
    """Nothing that a database would run is missed."""
    found: list[str] = []
    for statement in read_sql(sql, dialect):
        flags = [f for f in ("to_program", "to_file", "from_file") if getattr(statement, f)]
        words = [statement.type, ",".join(statement.tables)]
        if statement.type in ("delete", "update"):
            words.append("bounded" if statement.has_where else "unbounded")
        if statement.type not in ("select", "transaction", "explain", "set") or flags:
            found.append(" ".join(filter(None, [*words, *flags])))
    assert " + ".join(found) == said

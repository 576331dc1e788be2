"""The operations platform's tool API: hosts, snapshots, services, and credentials with who uses them."""

from __future__ import annotations

from typing import Any

from tests.e2e.scenarios.agent import Do, Tool, request
from tests.e2e.scenarios.database import Database
from tests.e2e.scenarios.toolapi import Said, ToolApi, one

_SCHEMA = """
CREATE TABLE hosts (name TEXT, isolated INTEGER);
CREATE TABLE snapshots (host TEXT);
CREATE TABLE services (name TEXT, replicas INTEGER);
CREATE TABLE credentials (id TEXT, state TEXT);
CREATE TABLE dependants (credential TEXT, job TEXT);
INSERT INTO services VALUES ('web', 3);
INSERT INTO credentials VALUES ('cred-web', 'active');
INSERT INTO credentials VALUES ('cred-old', 'active');
INSERT INTO dependants VALUES ('cred-web', 'nightly-billing');
"""


def _host(database: Database, said: Said) -> Any:
    return one(database, "SELECT name, isolated FROM hosts WHERE name = :name", name=said["host"])


def _isolate(database: Database, said: Said) -> Any:
    database.run("UPDATE hosts SET isolated = 1 WHERE name = :name", name=said["host"])
    return {"isolated": said["host"]}


def _snapshot(database: Database, said: Said) -> Any:
    database.run("INSERT INTO snapshots VALUES (:host)", host=said["host"])
    return {"snapshot": f"snap-{said['host']}"}


def _delete(database: Database, said: Said) -> Any:
    database.run("DELETE FROM hosts WHERE name = :name", name=said["host"])
    return {"deleted": said["host"]}


def _scale(database: Database, said: Said) -> Any:
    database.run(
        "UPDATE services SET replicas = :replicas WHERE name = :name",
        replicas=said["replicas"],
        name=said["service"],
    )
    return {"replicas": said["replicas"]}


def _dependants(database: Database, said: Said) -> Any:
    using = "SELECT job FROM dependants WHERE credential = :id ORDER BY job"
    return {"dependants": [row["job"] for row in database.rows(using, id=said["id"])]}


def _revoke(database: Database, said: Said) -> Any:
    database.run("UPDATE credentials SET state = 'revoked' WHERE id = :id", id=said["id"])
    return {"revoked": said["id"]}


def operations_api(database: Database, hosts: int) -> ToolApi:
    """A platform with hosts web-1, web-2 …"""
    made = ToolApi(
        database,
        _SCHEMA,
        {
            "GET /v1/hosts/{host}": _host,
            "POST /v1/hosts/{host}/isolate": _isolate,
            "POST /v1/hosts/{host}/snapshot": _snapshot,
            "DELETE /v1/hosts/{host}": _delete,
            "POST /v1/services/{service}/scale": _scale,
            "GET /v1/credentials/{id}/dependants": _dependants,
            "POST /v1/credentials/{id}/revoke": _revoke,
        },
    )
    for n in range(1, hosts + 1):
        database.run("INSERT INTO hosts VALUES (:name, 0)", name=f"web-{n}")
    return made


def _says(text: str) -> Do:
    return lambda http, arguments: text


def tools(logs: str = "curl to 203.0.113.9 every 60 s") -> tuple[Tool, ...]:
    """The platform's tools; `logs` is what the hosts' logs say."""
    return (
        Tool("query_logs", _says(logs), ("host",)),
        Tool("describe_host", request("GET", "/v1/hosts/{host}"), ("host",)),
        Tool("snapshot_host", request("POST", "/v1/hosts/{host}/snapshot"), ("host",)),
        Tool("isolate_host", request("POST", "/v1/hosts/{host}/isolate"), ("host",)),
        Tool("terminate_instance", request("DELETE", "/v1/hosts/{host}"), ("host",)),
        Tool(
            "scale_service",
            request("POST", "/v1/services/{service}/scale", send=("replicas",)),
            ("service", "replicas"),
        ),
        Tool(
            "list_dependants",
            request("GET", "/v1/credentials/{credential_id}/dependants"),
            ("credential_id",),
        ),
        Tool(
            "revoke_key",
            request("POST", "/v1/credentials/{credential_id}/revoke"),
            ("credential_id",),
        ),
    )

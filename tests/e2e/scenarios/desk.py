"""The support desk's tool API: tickets, orders, customers, and what was given back to them."""

from __future__ import annotations

from typing import Any

from tests.e2e.scenarios.agent import Tool, request
from tests.e2e.scenarios.database import Database
from tests.e2e.scenarios.toolapi import Said, ToolApi, one

_SCHEMA = """
CREATE TABLE tickets (id TEXT, customer TEXT, body TEXT, tag TEXT, draft TEXT);
CREATE TABLE customers (id TEXT, email TEXT, plan TEXT);
CREATE TABLE orders (id TEXT, customer TEXT, total NUMERIC);
CREATE TABLE refunds (nr INTEGER PRIMARY KEY, order_id TEXT, amount NUMERIC);
CREATE TABLE entitlements (customer TEXT, feature TEXT, days INTEGER);
CREATE TABLE replies (ticket TEXT, text TEXT);
INSERT INTO tickets VALUES ('T-1', 'C-1', 'My three lamps came broken: A-1, A-2 and A-3.', NULL, NULL);
INSERT INTO customers VALUES ('C-1', 'ida.voss@kunden.example', 'basic');
"""


def _ticket(database: Database, said: Said) -> Any:
    return one(
        database, "SELECT id, customer, body, tag FROM tickets WHERE id = :id", id=said["id"]
    )


def _tag(database: Database, said: Said) -> Any:
    database.run("UPDATE tickets SET tag = :tag WHERE id = :id", tag=said["tag"], id=said["id"])
    return {"tagged": said["tag"]}


def _draft(database: Database, said: Said) -> Any:
    database.run(
        "UPDATE tickets SET draft = :text WHERE id = :id", text=said["text"], id=said["id"]
    )
    return {"saved": True}


def _reply(database: Database, said: Said) -> Any:
    database.run("INSERT INTO replies VALUES (:id, :text)", id=said["id"], text=said["text"])
    return {"sent": True}


def _order(database: Database, said: Said) -> Any:
    return one(database, "SELECT id, customer, total FROM orders WHERE id = :id", id=said["id"])


def _customer(database: Database, said: Said) -> Any:
    return one(database, "SELECT id, email, plan FROM customers WHERE id = :id", id=said["id"])


def _refund(database: Database, said: Said) -> Any:
    database.run(
        "INSERT INTO refunds (order_id, amount) VALUES (:id, :amount)",
        id=said["id"],
        amount=said["amount"],
    )
    return {"refunded": said["amount"], "order_id": said["id"]}


def _entitle(database: Database, said: Said) -> Any:
    database.run(
        "INSERT INTO entitlements VALUES (:id, :feature, :days)",
        id=said["id"],
        feature=said["feature"],
        days=said["days"],
    )
    return {"granted": said["feature"]}


def desk_api(database: Database, orders: int) -> ToolApi:
    """A desk with orders A-1, A-2 … of 45 EUR each."""
    made = ToolApi(
        database,
        _SCHEMA,
        {
            "GET /v1/tickets/{id}": _ticket,
            "POST /v1/tickets/{id}/tags": _tag,
            "POST /v1/tickets/{id}/draft": _draft,
            "POST /v1/tickets/{id}/replies": _reply,
            "GET /v1/orders/{id}": _order,
            "GET /v1/customers/{id}": _customer,
            "POST /v1/refunds/{id}": _refund,
            "POST /v1/customers/{id}/entitlements": _entitle,
        },
    )
    for n in range(1, orders + 1):
        database.run("INSERT INTO orders VALUES (:id, 'C-1', 45)", id=f"A-{n}")
    return made


TOOLS = (
    Tool("get_ticket", request("GET", "/v1/tickets/{ticket_id}"), ("ticket_id",)),
    Tool("get_order", request("GET", "/v1/orders/{order_id}"), ("order_id",)),
    Tool("get_customer", request("GET", "/v1/customers/{customer_id}"), ("customer_id",)),
    Tool(
        "add_tag",
        request("POST", "/v1/tickets/{ticket_id}/tags", send=("tag",)),
        ("ticket_id", "tag"),
    ),
    Tool(
        "draft_reply",
        request("POST", "/v1/tickets/{ticket_id}/draft", send=("text",)),
        ("ticket_id", "text"),
    ),
    Tool(
        "reply_to_ticket",
        request("POST", "/v1/tickets/{ticket_id}/replies", send=("text",)),
        ("ticket_id", "text"),
    ),
    Tool(
        "refund_order",
        request("POST", "/v1/refunds/{order_id}", send=("amount",)),
        ("order_id", "amount"),
    ),
    Tool(
        "grant_entitlement",
        request("POST", "/v1/customers/{customer_id}/entitlements", send=("feature", "days")),
        ("customer_id", "feature", "days"),
    ),
)

"""The demo's billing API: refunds in a SQLite table of its own.

It knows nothing of budgets and does what it is told; its table is the proof of what happened.
"""

from __future__ import annotations

import sqlite3
import threading
from decimal import Decimal, InvalidOperation
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from proxy.canonical import json_number
from proxy.cli.demo.loopback import Loopback

_TABLE = """CREATE TABLE IF NOT EXISTS refunds (
    id INTEGER PRIMARY KEY, order_id TEXT NOT NULL, amount TEXT NOT NULL, currency TEXT NOT NULL)"""


class Billing(Loopback):
    """POST /v1/refunds/{order_id} {"amount": 45} refunds; GET /v1/refunds lists.

    Args:
        path: the SQLite file; made when missing.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, check_same_thread=False, autocommit=True)
        self._database.execute(_TABLE)
        self._lock = threading.Lock()
        routes = [
            Route("/v1/refunds/{order_id}", self._refund, methods=["POST"]),
            Route("/v1/refunds", self._list, methods=["GET"]),
        ]
        super().__init__(Starlette(routes=routes))

    def refunds(self) -> list[tuple[str, Decimal]]:
        """Returns (order, EUR) of every refund made, oldest first."""
        with self._lock:
            rows = self._database.execute("SELECT order_id, amount FROM refunds ORDER BY id")
            return [(order_id, Decimal(amount)) for order_id, amount in rows]

    def total(self) -> Decimal:
        return sum((amount for _, amount in self.refunds()), Decimal(0))

    def stop(self) -> None:
        super().stop()
        self._database.close()

    async def _refund(self, request: Request) -> Response:
        order_id = request.path_params["order_id"]
        try:
            amount = Decimal(str((await request.json())["amount"]))
        except (ValueError, KeyError, TypeError, InvalidOperation):
            amount = Decimal(0)
        if not amount.is_finite() or amount <= 0:
            return JSONResponse({"error": "amount: expected a positive number"}, 422)
        with self._lock:
            self._database.execute(
                "INSERT INTO refunds (order_id, amount, currency) VALUES (?, ?, 'EUR')",
                (order_id, str(amount)),
            )
        return JSONResponse(
            {"refunded": json_number(amount), "currency": "EUR", "order_id": order_id}, 201
        )

    async def _list(self, request: Request) -> Response:
        rows = self.refunds()
        refunds = [{"order_id": order, "amount": json_number(amount)} for order, amount in rows]
        return JSONResponse({"refunds": refunds, "count": len(refunds)})

"""A tool API as the scenarios need it: HTTP on a loopback port, over a database of its own.

It knows nothing of checkrein and does what it is told. What its tables hold afterwards is the proof of
what happened. An API is a schema, and a table of routes; each answers with rows or says 404.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from proxy.cli.demo.loopback import Loopback
from tests.e2e.scenarios.database import Database, Row

type Said = dict[str, Any]
"""What a request says: the path's parts, the query, and the body's members."""
type Handler = Callable[[Database, Said], Any]


class NotFound(Exception):
    """There is no such thing."""


class ToolApi(Loopback):
    """Serves `routes` ("POST /v1/refunds/{id}": handler) over a database."""

    def __init__(self, database: Database, schema: str, routes: Mapping[str, Handler]) -> None:
        database.run(schema)
        self._database = database
        made = [self._route(way, handler) for way, handler in routes.items()]
        super().__init__(Starlette(routes=made))

    def rows(self, statement: str, **values: object) -> list[Row]:
        """What the API's own tables hold."""
        return self._database.rows(statement, **values)

    def column(self, statement: str, **values: object) -> list[Any]:
        """The first column of a query."""
        return [next(iter(row.values())) for row in self.rows(statement, **values)]

    def stop(self) -> None:
        super().stop()
        self._database.close()

    def _route(self, way: str, handler: Handler) -> Route:
        async def respond(request: Request) -> Response:
            text = await request.body()
            body = json.loads(text) if text else {}
            said = {**body, **request.query_params, **request.path_params}
            try:
                return JSONResponse(await run_in_threadpool(handler, self._database, said))
            except NotFound as missing:
                return JSONResponse({"error": str(missing)}, 404)

        method, path = way.split(" ")
        return Route(path, respond, methods=[method])


def one(database: Database, statement: str, **values: object) -> Row:
    """Returns the one row of a query.

    Raises:
        NotFound: there is none.
    """
    found = database.rows(statement, **values)
    if not found:
        raise NotFound("no such " + ", ".join(f"{k} {v}" for k, v in values.items()))
    return found[0]

"""The rules in force, with how often each has spoken of late; the decision log with a search."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.inbox.web.desk_pages import Render
from proxy.inbox.web.log_search import Wanted, search
from proxy.inbox.web.presenting import clock, place, plain, short
from proxy.inbox.web.session_pages import told
from proxy.pipeline.core import Pipeline
from proxy.settings import Settings

_LOOKED_BYTES = 4 << 20
_PAGE = 50
_FIELDS = ("text", "session", "agent", "tool", "rule", "verdict", "type")


class _Rule(Protocol):
    name: str
    file: str
    line: int
    shadow: bool


class RulesPages:
    """Rules and the log."""

    def __init__(self, pipeline: Pipeline, settings: Settings, render: Render) -> None:
        self._pipeline = pipeline
        self._settings = settings
        self._render = render

    def routes(self) -> list[Route]:
        return [Route("/rules", self._rules), Route("/log", self._log)]

    async def _rules(self, request: Request) -> Response:
        loaded = self._pipeline.rules.compiled
        hits, looked = await to_thread.run_sync(_hits, self._settings.log)
        kinds: tuple[tuple[str, Iterable[Any]], ...] = (
            ("gate", loaded.gates),
            ("budget", loaded.budgets),
            ("chain", loaded.chains),
            ("requirement", loaded.requires),
            ("signal", loaded.signals),
            ("approval", loaded.approvals),
        )
        rows = [
            {
                "kind": kind,
                "name": plain(rule.name),
                "place": place(rule.file, rule.line),
                "shadow": rule.shadow,
                "held": hits[rule.name, "hold"],
                "blocked": hits[rule.name, "block"],
                "told": hits[rule.name, "allow"],
            }
            for kind, rules in kinds
            for rule in rules
        ]
        status = dict(self._pipeline.rulebook.status())
        context = {
            "rows": rows,
            "looked": looked,
            "since": clock(status["since_ms"]),
            "digest": status["rules"],
            "files": [place(path) for path in status["files"]],
        }
        return await self._render(request, "rules.html", context, here="rules")

    async def _log(self, request: Request) -> Response:
        asked = {name: request.query_params.get(name, "").strip()[:200] for name in _FIELDS}
        stated = request.query_params.get("before", "")
        before = int(stated) if stated.isdigit() and len(stated) < 16 else None
        context: dict[str, Any] = {"asked": asked, "problem": "", "rows": [], "before": None}
        try:
            found = await to_thread.run_sync(
                lambda: search(self._settings.log, Wanted(**asked), most=_PAGE, before=before)
            )
        except OSError as error:
            context["problem"] = f"The decision log cannot be read: {error.strerror}."
        else:
            context["rows"] = [
                (told(r), _whole(r), short(r.get("session") or "", 60)) for r in found.records
            ]
            context["before"] = found.before
        return await self._render(request, "log.html", context, here="log")


def _whole(record: dict[str, Any]) -> str:
    text = json.dumps(record, ensure_ascii=False, indent=1)
    return "\n".join(map(plain, text.split("\n")))[:20_000]


def _hits(log: Path) -> tuple[Counter[tuple[str, str]], int]:
    """Counts what rules said, in the newest part of the log."""
    counted: Counter[tuple[str, str]] = Counter()
    try:
        found = search(log, Wanted(type="decision"), most=1_000_000, most_bytes=_LOOKED_BYTES)
    except OSError:
        return counted, 0
    for record in found.records:
        counted.update({(r["rule"], r["verdict"]) for r in record.get("reasons") or ()})
    return counted, len(found.records)

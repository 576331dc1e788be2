"""`checkrein sessions undo`: a session's compensating calls, backwards, and with --run made one after the other.

How it works. The list is the proxy's. The calls are made here, by whoever types the command and has the credentials (`env:NAME` in a header), straight to the API. Each is noted as begun ahead of it and
with its outcome behind it; the first that fails ends the run. One that was begun and never noted further is not made again by itself: nobody knows whether it ran.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import httpx

from proxy.cli import hold_words
from proxy.cli.admin import AdminClient, answers_as, echo_json, plain, quoted
from proxy.errors import CheckreinError
from proxy.wire.sse import SseReader

_TIMEOUT_S = 30.0
_REVISION = "2025-06-18"


class Failed(CheckreinError):
    """A compensating call that did not succeed; `status` is HTTP's, where there was one."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


def undo(
    session: str, *, run: bool, again: tuple[str, ...], as_json: bool, admin: Path | None
) -> None:
    """Lists what can be undone, and with `run` does it."""
    client = AdminClient(admin)
    calls = client.get(f"/v1/sessions/{quoted(session)}/undo")["calls"]
    left = [c for c in calls if c["runs"] or (c["state"] == "begun" and _named(c["id"], again))]
    if not run:
        _list(calls, as_json)
        return
    for done, call in enumerate(left):
        note = {"by": answers_as(), "again": call["state"] == "begun"}
        client.post(f"/v1/undo/{call['id']}", {**note, "event": "begun"})
        try:
            status = _make(call["undo"])
        except Failed as failure:
            outcome = {**note, "event": "failed", "status": failure.status, "error": str(failure)}
            client.post(f"/v1/undo/{call['id']}", outcome)
            click.echo(plain(f"failed: {_line(call)}: {failure}"), err=True)
            click.echo(f"{len(left) - done} calls are left as they are", err=True)
            sys.exit(1)
        client.post(f"/v1/undo/{call['id']}", {**note, "event": "done", "status": status})
        if as_json:
            echo_json({"id": call["id"], "done": True, "status": status})
        else:
            click.echo(plain(f"undone: {_line(call)}"))
    by_hand = [c for c in calls if c not in left and c["state"] != "done"]
    if not as_json:
        click.echo(f"{len(left)} undone; {len(by_hand)} are for a human")


def _named(call_id: str, again: tuple[str, ...]) -> bool:
    return any(len(one) >= 8 and call_id.startswith(one) for one in again)


def _list(calls: list[dict[str, Any]], as_json: bool) -> None:
    for call in calls:
        if as_json:
            echo_json(call)
            continue
        click.echo(plain(f"{call['id'][:12]}  {call['time']}  {call['tool']}"))
        for effect in call["effects"]:
            click.echo(plain(f"    did   {hold_words.deed(effect)}"))
        if call["undo"] is not None:
            click.echo(plain(f"    undo  {_line(call)}"))
        if call["why"]:
            click.echo(plain(f"    note  {call['why']}"))
    if not calls and not as_json:
        click.echo("Nothing of this session had an effect.")


def _line(call: Mapping[str, Any]) -> str:
    undo_call = call["undo"]
    rest = json.dumps(undo_call.get("body", undo_call.get("args")), ensure_ascii=False)
    if undo_call["way"] == "tool":
        return f"{undo_call['name']} {rest}"
    said = "" if rest == "null" else f" {rest}"
    return f"{undo_call['name']} {undo_call['url']}{said}"


# --- the calls -------------------------------------------------------------------------------------------
def _make(call: Mapping[str, Any]) -> int:
    """Makes a compensating call; returns its HTTP status."""
    headers = dict(_resolved(call.get("headers") or {}))
    with httpx.Client(timeout=_TIMEOUT_S, follow_redirects=False) as client:
        try:
            if call["way"] == "mcp":
                return _over_mcp(client, call, headers)
            body = call.get("body")
            answer = client.request(
                call["name"],
                call["url"],
                headers=headers,
                **({} if body is None else {"json": body}),
            )
        except httpx.HTTPError as error:
            raise Failed(type(error).__name__) from error
    if not answer.is_success:
        raise Failed(f"HTTP {answer.status_code}", answer.status_code)
    return answer.status_code


def _resolved(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in headers.items():
        if value.startswith("env:"):
            found = os.environ.get(value.removeprefix("env:"))
            if not found:
                raise Failed(f"header {name}: {value.removeprefix('env:')} is not set")
            value = found
        yield name, value


def _over_mcp(client: httpx.Client, call: Mapping[str, Any], headers: dict[str, str]) -> int:
    """One session: initialize, the call, and its result."""
    headers |= {"accept": "application/json, text/event-stream"}
    about = {"protocolVersion": _REVISION, "capabilities": {}}
    about["clientInfo"] = {"name": "checkrein undo", "version": "1"}
    answer, _ = _ask(client, call["url"], headers, 1, "initialize", about)
    if session := answer.headers.get("mcp-session-id"):
        headers["mcp-session-id"] = session
    headers["mcp-protocol-version"] = _REVISION
    note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    client.post(call["url"], json=note, headers=headers)
    params = {"name": call["name"], "arguments": call.get("args") or {}}
    answer, result = _ask(client, call["url"], headers, 2, "tools/call", params)
    if result.get("isError"):
        parts = [p.get("text", "") for p in result.get("content", ()) if isinstance(p, dict)]
        raise Failed(" ".join(parts)[:300] or "the tool failed", answer.status_code)
    return answer.status_code


def _ask(
    client: httpx.Client, url: str, headers: dict[str, str], id_: int, method: str, params: Any
) -> tuple[httpx.Response, dict[str, Any]]:
    body = {"jsonrpc": "2.0", "id": id_, "method": method, "params": params}
    answer = client.post(url, json=body, headers=headers)
    if not answer.is_success:
        raise Failed(f"HTTP {answer.status_code}", answer.status_code)
    for document in _documents(answer):
        if document.get("id") == id_:
            if "error" in document:
                raise Failed(str(document["error"].get("message"))[:300], answer.status_code)
            return answer, document.get("result") or {}
    raise Failed("no answer came", answer.status_code)


def _documents(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    try:
        if "event-stream" not in answer.headers.get("content-type", ""):
            yield answer.json()
            return
        for frame in SseReader().feed(answer.content):
            if frame.data:
                yield json.loads(frame.data)
    except ValueError as error:
        raise Failed("the answer is not JSON", answer.status_code) from error

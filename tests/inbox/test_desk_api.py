"""The admin API of the desk as a whole, and the commands over it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from click.testing import CliRunner

from proxy.cli import cli
from proxy.inbox.api import application
from proxy.inbox.desk_api import Try
from proxy.ledger.store import OutboxRow
from tests.conftest import START_MS
from tests.notices.receiving import receiver

if TYPE_CHECKING:
    from tests.conftest import Bench

SECRET_BODY = b'{"id": "body"}'
ROW = OutboxRow("d1", "webhook:siem", "held", START_MS, START_MS, "h1", SECRET_BODY)


async def ask(
    bench: Bench, method: str, path: str, try_notices: Try | None = None
) -> httpx.Response:
    app = application(bench.pipeline, dict, try_notices=try_notices)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://checkrein") as client:
        return await client.request(method, path)


async def test_figures(bench: Bench) -> None:
    await bench.decide(bench.call(text='{"order": "o1", "amount": 145}'))
    desk = (await ask(bench, "GET", "/v1/desk")).json()
    assert (desk["pending"], desk["oldest_pending_s"]) == (1, 0.0)
    first = desk["figures"][0]
    assert next(iter(first)) == "id"
    assert (first["id"], first["calls"], first["holds"], first["holds_per_100_calls"]) == (
        "24h",
        1,
        1,
        100,
    )
    assert first["since"].endswith(":00:00.000Z")


async def test_the_outbox_is_listed_without_what_is_sent(bench: Bench) -> None:
    def put(tx: Any, _emit: object) -> None:
        tx.put_outbox(ROW)
        tx.mark_outbox("d1", "waiting", START_MS + 1000, "it answered 500")

    await bench.pipeline.in_transaction(put)
    answer = await ask(bench, "GET", "/v1/outbox")
    (row,) = answer.json()["outbox"]
    assert row == {
        "id": "d1",
        "to": "webhook:siem",
        "event": "held",
        "hold": "h1",
        "state": "waiting",
        "attempts": 1,
        "error": "it answered 500",
        "created_at": "2027-01-15T08:00:00.000Z",
        "next_at": "2027-01-15T08:00:01.000Z",
        "done_at": None,
    }
    assert (await ask(bench, "GET", "/v1/outbox?state=sent")).json() == {"outbox": []}
    assert (
        "'lost' is not one of" in (await ask(bench, "GET", "/v1/outbox?state=lost")).json()["error"]
    )


async def test_trying(bench: Bench) -> None:
    async def tried() -> list[tuple[str, str | None]]:
        return [("notice:chat", None), ("webhook:siem", "it answered 500")]

    answer = await ask(bench, "POST", "/v1/notices/test", tried)
    assert answer.json()["tried"][1] == {"id": "webhook:siem", "error": "it answered 500"}
    assert (await ask(bench, "POST", "/v1/notices/test")).status_code == 404


@pytest.mark.parametrize("answers", [[], [500]], ids=["taken", "not-taken"])
def test_a_people_file_is_tried_without_a_proxy(tmp_path: Path, answers: list[int]) -> None:
    with receiver(answers) as there:
        people = tmp_path / "people.yaml"
        people.write_text(
            f"webhooks:\n  - {{name: siem, url: '{there.url}', secret: 'env:TRIED_SECRET'}}\n"
        )
        words = ["notices", "test", "--people", str(people)]
        done = CliRunner().invoke(cli, words, env={"TRIED_SECRET": "0123456789abcdef"})
        assert done.output == f"webhook:siem: {'it answered 500' if answers else 'sent'}\n"
        assert done.exit_code == len(answers)
        done = CliRunner().invoke(cli, [*words, "--json"], env={"TRIED_SECRET": "0123456789abcdef"})
        assert json.loads(done.output) == {"id": "webhook:siem", "error": None}
        done = CliRunner().invoke(cli, words)
        assert "the environment variable TRIED_SECRET is not set" in str(done.exception)

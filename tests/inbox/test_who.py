"""The admin socket of a proxy that knows its people: what needs a token, whose it must be, and what needs none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.inbox.api import application
from proxy.people.current import CurrentPeople
from proxy.people.people import new_token
from tests.conftest import Bench

BIG = '{"order": "o1", "amount": 145}'
ADA, ADA_DIGEST = new_token()
CY, CY_DIGEST = new_token()
FILE = f"""version: 1
people:
  - {{name: ada, token: "{ADA_DIGEST}"}}
  - {{name: cy, token: "{CY_DIGEST}", may: [rules]}}
"""
type Ask = Callable[..., Any]


@pytest.fixture
def ask(bench: Bench, tmp_path: Path) -> Ask:
    file = tmp_path / "people.yaml"
    file.write_text(FILE)
    file.chmod(0o600)

    async def look() -> str:
        return "same"

    app = application(bench.pipeline, dict, look, CurrentPeople(file))

    async def ask_(path: str, token: str | None = None, **body: Any) -> int:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://checkrein") as client:
            return (await client.post(path, json=body, headers=headers)).status_code

    return ask_


@pytest.mark.parametrize(
    ("token", "by", "status"),
    [
        pytest.param(None, None, 401, id="no-token"),
        pytest.param(None, "ada", 401, id="a-name-alone"),
        pytest.param("crt_guess", None, 401, id="nobodys"),
        pytest.param(ADA, "cy", 401, id="in-anothers-name"),
        pytest.param(CY, None, 409, id="without-the-right"),
        pytest.param(ADA, None, 200, id="hers"),
        pytest.param(ADA, "ada", 200, id="hers-and-named"),
    ],
)
@pytest.mark.parametrize("verb", ["approve", "deny"])
async def test_an_answer(
    bench: Bench, ask: Ask, verb: str, token: str | None, by: str | None, status: int
) -> None:
    hold = (await bench.decide(bench.call(text=BIG))).hold
    assert hold is not None
    assert await ask(f"/v1/holds/{hold.id}/{verb}", token, by=by) == status
    after = await bench.pipeline.desk.get(hold.id)
    assert (after.decided_by == "ada") is (status == 200)


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [
        ("/v1/rules/reload", None, 401),
        ("/v1/rules/reload", ADA, 409),
        ("/v1/rules/reload", CY, 200),
        ("/v1/grants/none/revoke", None, 401),
        ("/v1/grants/none/revoke", CY, 409),
        ("/v1/signals/freeze", None, 200),
        ("/v1/signals/lift", None, 401),
        ("/v1/signals/lift", CY, 409),
        ("/v1/signals/lift", ADA, 404),
        ("/v1/sessions/none/thaw", None, 401),
        ("/v1/sessions/none/thaw", CY, 409),
        ("/v1/sessions/none/thaw", ADA, 404),
    ],
    ids=[
        *("reload", "reload-of-ada", "reload-of-cy", "revoke", "revoke-of-cy", "freeze"),
        *("lift", "lift-of-cy", "lift-of-ada", "thaw", "thaw-of-cy", "thaw-of-ada"),
    ],
)
async def test_what_else_is_a_right(ask: Ask, path: str, token: str | None, status: int) -> None:
    """Freezing needs no token: it is the kill switch. To end a freeze is a person's."""
    assert await ask(path, token, scope="fleet") == status

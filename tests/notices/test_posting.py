"""Webhooks on a real wire: the signature as a receiver computes it, what counts as taken, and retries."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import re
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from proxy.notices import chat
from proxy.notices.message import Message, trial
from proxy.notices.posting import Poster
from proxy.notices.reading import notices_from
from proxy.notices.schema import EVENTS
from proxy.notices.targets import Notice, Notices, Webhook
from proxy.notices.trying import try_all
from proxy.policy.yamlnodes import read_yaml
from tests.notices.conftest import SECRET, Scene
from tests.notices.made import NOW_MS
from tests.notices.receiving import Receiver, Request, receiver

BODY = '{"event":"held","text":"é"}'.encode()
TOKEN = "T0K3N"


def signed_as(request: Request, secret: str) -> str:
    """What docs/notices.md tells a receiver to compute, with nothing of ours."""
    key, stamp = secret.encode("ascii"), request.headers["x-checkrein-timestamp"].encode("ascii")
    outer, inner = (
        bytes(b ^ 0x5C for b in key.ljust(64, b"\0")),
        bytes(b ^ 0x36 for b in key.ljust(64, b"\0")),
    )
    digest = hashlib.sha256(inner + stamp + b"." + request.body).digest()
    return "v1=" + hashlib.sha256(outer + digest).hexdigest()


async def post(url: str, *, now_ms: int = NOW_MS, timeout_s: float = 10) -> str | None:
    poster = Poster(timeout_s=timeout_s)
    try:
        hook = Webhook("siem", f"{url}/{TOKEN}", SECRET)
        return await poster.post(hook, "delivery-1", "held", BODY, now_ms)
    finally:
        await poster.close()


async def test_a_delivery_is_signed_over_its_time_and_body() -> None:
    with receiver() as there:
        assert await post(there.url) is None
        assert await post(there.url, now_ms=NOW_MS + 60_000) is None
    first, second = there.got
    assert first.body == second.body == BODY
    assert first.headers["content-type"] == "application/json"
    assert (
        first.headers["x-checkrein-delivery"]
        == second.headers["x-checkrein-delivery"]
        == "delivery-1"
    )
    assert first.headers["x-checkrein-timestamp"] == str(NOW_MS // 1000)
    for request in there.got:
        assert hmac.compare_digest(
            request.headers["x-checkrein-signature"], signed_as(request, SECRET.decode())
        )
    assert first.headers["x-checkrein-signature"] != second.headers["x-checkrein-signature"]


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (200, None),
        (204, None),
        (299, None),
        (301, "it answered 301"),
        (307, "it answered 307"),
        (400, "it answered 400"),
        (410, "it answered 410"),
        (503, "it answered 503"),
    ],
)
async def test_only_a_2xx_is_taken_and_no_redirect_is_followed(
    code: int, fault: str | None
) -> None:
    with receiver() as elsewhere, receiver([code], location=elsewhere.url) as there:
        assert await post(there.url) == fault
        assert (len(there.got), elsewhere.got) == (1, [])


async def test_nobody_there() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert (
            await post(f"http://127.0.0.1:{closed.getsockname()[1]}") == "no answer (ConnectError)"
        )


async def test_somebody_who_does_not_answer() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert await post(url, timeout_s=0.2) == "no answer in 0.2 s"


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """It could be this very proxy."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with receiver() as there:
        assert await post(there.url) is None


# --- messages by apprise --------------------------------------------------------------------------------
def chat_url(there: Receiver) -> str:
    return there.url.replace("http://", "json://") + f"/{TOKEN}"


@pytest.mark.parametrize(
    ("options", "body"),
    [
        pytest.param("", "`*marked*`", id="markdown-where-it-can"),
        pytest.param("?format=text", "plain & *so*\n  on", id="text-as-it-is"),
        pytest.param("?format=html", "<p><code>*marked*</code></p>", id="html-of-markdown"),
    ],
)
async def test_a_message_arrives_as_its_service_shows_it(options: str, body: str) -> None:
    message = Message("a title", "plain & *so*\n  on", "`*marked*`")
    with receiver() as there:
        assert await chat.send(chat_url(there) + options, message) is None
    (request,) = there.got
    assert (request.json["title"], request.json["message"].strip()) == ("a title", body)


async def test_a_message_that_is_not_taken_says_nothing_of_where(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nor is anything logged that names the URL, at any level."""
    caplog.set_level(logging.DEBUG)
    with receiver([500]) as there:
        assert await chat.send(chat_url(there), trial("leads")) == "the service did not take it"
        assert await post(there.url) is None
    out, err = capfd.readouterr()
    assert TOKEN not in caplog.text + out + err


async def test_a_service_that_hangs_is_not_waited_for() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"json://127.0.0.1:{silent.getsockname()[1]}/?cto=0.3&rto=0.3"
        assert await chat.send(url, trial("x"), timeout_s=0.1) == "no answer in 0.1 s"
        await asyncio.get_running_loop().shutdown_default_executor()


async def test_everybody_is_tried() -> None:
    with receiver() as there, receiver([500]) as broken:
        chats = Notice("chat", (chat_url(there), chat_url(there)))
        hooks = tuple(Webhook(w.url[-5:].strip(":/"), w.url, SECRET) for w in (there, broken))
        tried = await try_all(Notices((chats,), None, hooks), NOW_MS)
    assert [fault for _who, fault in tried] == [None, None, None, "it answered 500"]
    assert [who for who, _fault in tried][:2] == ["notice:chat#1", "notice:chat#2"]
    assert there.got[2].json["event"] == "test"


# --- docs/notices.md ------------------------------------------------------------------------------------
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "notices.md").read_text()


async def test_the_page_s_lines_verify_a_delivery_and_nothing_else() -> None:
    (lines,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    known: dict[str, Any] = {}
    exec(lines, known)  # noqa: S102 - what a reader pastes
    verified = known["verified"]
    known["time"] = SimpleNamespace(time=lambda: NOW_MS / 1000 + 299)
    with receiver() as there:
        await post(there.url)
    (request,) = there.got
    headers = {name.title(): value for name, value in request.headers.items()}
    assert verified(headers, request.body, SECRET.decode()) == {"event": "held", "text": "é"}
    later = {**headers, "X-Checkrein-Timestamp": str(NOW_MS // 1000 + 1)}
    for changed in (
        (headers, request.body + b" ", SECRET.decode()),
        (later, request.body, SECRET.decode()),
        (headers, request.body, "another secret"),
    ):
        with pytest.raises(ValueError, match="not from checkrein"):
            verified(*changed)
    known["time"] = SimpleNamespace(time=lambda: NOW_MS / 1000 + 301)
    with pytest.raises(ValueError, match="too old"):
        verified(headers, request.body, SECRET.decode())


def test_the_page_has_every_event_and_the_settings_that_it_shows() -> None:
    rows = re.findall(r"^\| (`[a-z`, ]+`) \|", PAGE, re.MULTILINE)
    told = set(re.findall(r"`(\w+)`", " ".join(rows)))
    assert told == {*EVENTS, "test"}
    shown = next(
        block for block in re.findall(r"```\n(.*?)```", PAGE, re.DOTALL) if "notices:" in block
    )
    document = read_yaml("people.yaml", shown)
    environment = {
        "SLACK_URL": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/",
        "HOOK_SECRET": SECRET.decode(),
    }
    made = notices_from(document.value, environment)
    assert ([one.name for one in made.notices], len(made.webhooks)) == (
        ["oncall-slack", "everything"],
        1,
    )


async def test_the_page_shows_what_is_sent(scene: Scene) -> None:
    """The keys of its example are those of a delivery."""
    await scene.held()
    await scene.send()
    ((_delivery, _event, body),) = scene.posts
    (example,) = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
    assert list(example) == list(body)
    assert list(example["hold"]) == list(body["hold"])
    assert list(example["hold"]["call"]) == list(body["hold"]["call"])

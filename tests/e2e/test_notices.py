"""Notices and webhooks through a running proxy: an SDK agent's call is held, told of, answered, and told of again; over a kill too."""

from __future__ import annotations

import hashlib
import hmac
import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from proxy.cli.demo.model import ScriptedModel
from proxy.cli.demo.speech import History, Turn, ask
from tests.e2e.conftest import Proxy
from tests.e2e.test_grants import Agent, Scene
from tests.notices.receiving import Receiver, Request, receiver

pytestmark = pytest.mark.e2e

SECRET = "0123456789abcdef0123456789abcdef"
RULES = """
version: 1
tools:
  - name: refund
    effects: [{kind: money.refund, amount: args.amount, unit: EUR, target: args.id}]
gates:
  - {name: vip, when: 'effect.kind == "money.refund" && effect.target.startsWith("VIP")'}
"""


def script(history: History) -> Turn:
    if history.fresh:
        return Turn("Noted.")
    target, amount = history.user.split()
    return Turn("Let me see.", (ask("refund", id=target, amount=int(amount)),))


@pytest.fixture
def there() -> Iterator[Receiver]:
    """Takes the webhook at /hook and messages at /chat."""
    with receiver() as made:
        yield made


@pytest.fixture
def scene(start_proxy: Any, there: Receiver, tmp_path: Path) -> Iterator[Scene]:
    people = tmp_path / "people.yaml"
    chat = there.url.replace("http://", "json://") + "/chat?format=text"
    people.write_text(
        "version: 1\n"
        "people: []\n"
        f"notices:\n  - {{name: leads, to: '{chat}'}}\n"
        f"webhooks:\n  - {{name: siem, url: '{there.url}/hook', secret: '{SECRET}'}}\n"
        "url: https://desk.internal:8081\n"
    )
    with ScriptedModel(script) as model:
        proxy: Proxy = start_proxy("--upstream", model.url, "--people", str(people), rules=RULES)
        with openai.OpenAI(
            api_key="sk-none",
            max_retries=0,
            base_url=f"{proxy.url}/v1",
            default_headers={"X-Checkrein-Session": "s"},
            http_client=openai.DefaultHttpxClient(trust_env=False, timeout=60),
        ) as client:
            yield Scene(proxy, Agent(client))


def verified(request: Request) -> dict[str, Any]:
    """Returns a webhook's document, its signature checked as docs/notices.md says."""
    signed = request.headers["x-checkrein-timestamp"].encode() + b"." + request.body
    expected = "v1=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(expected, request.headers["x-checkrein-signature"])
    made: dict[str, Any] = json.loads(request.body)
    assert made["id"] == request.headers["x-checkrein-delivery"]
    return made


def hooks(there: Receiver) -> list[dict[str, Any]]:
    return [verified(request) for request in there.got if request.path == "/hook"]


def test_a_held_call_is_told_of_and_its_answer_too(scene: Scene, there: Receiver) -> None:
    came: list[bool] = []
    waiting = threading.Thread(target=lambda: came.append(scene.agent.refund("VIP-1", 45)))
    waiting.start()
    there.wait_for(2)
    hold = scene.proxy.wait_for_hold()
    (told,) = hooks(there)
    assert (told["event"], told["hold"]["id"], told["hold"]["state"]) == (
        "held",
        hold["id"],
        "pending",
    )
    assert told["hold"]["call"]["args"] == {"id": "VIP-1", "amount": 45}
    (message,) = [request.json for request in there.got if request.path == "/chat"]
    assert message["title"] == "1 call waits for an answer: refund"
    assert "refund, 45 EUR" in message["message"]
    assert "look and answer: https://desk.internal:8081/l/" in message["message"]
    scene.operator("holds", "approve", hold["id"], "--by", "eve")
    waiting.join(60)
    assert came == [True]
    there.wait_for(4)
    assert [(one["event"], one["hold"]["state"]) for one in hooks(there)[1:]] == [
        ("answered", "approved"),
        ("used", "used"),
    ]
    assert scene.operator("notices", "outbox") == "Nothing waits to be sent.\n"
    assert scene.operator("notices", "test") == "notice:leads: sent\nwebhook:siem: sent\n"
    lines = [json.loads(line) for line in scene.operator("holds", "figures", "--json").splitlines()]
    assert [line["id"] for line in lines[:4]] == ["now", "24h", "24h:rule:vip", lines[3]["id"]]
    assert (lines[1]["calls"], lines[1]["holds"], lines[1]["answered"]) == (1, 1, 1)
    assert "per 100 calls" in scene.operator("holds", "figures")


def test_what_could_not_be_sent_is_sent_after_a_kill(scene: Scene, there: Receiver) -> None:
    """The receiver fails; the proxy is killed, and tells the one that it starts as."""
    there.answers[:] = [503, 503]
    waiting = threading.Thread(target=lambda: _ends(scene, "VIP-1"))
    waiting.start()
    there.wait_for(2)
    scene.proxy.stop(signal.SIGKILL)
    waiting.join(60)
    scene.proxy.start()
    there.wait_for(4)
    first, *_, last = hooks(there)
    assert (first["event"], first["id"]) == (last["event"], last["id"])
    assert sum(request.path == "/chat" for request in there.got) >= 2


def _ends(scene: Scene, target: str) -> None:
    with pytest.raises(openai.APIConnectionError):
        scene.agent.refund(target, 45)


def test_a_people_file_that_cannot_be_used_starts_no_proxy(
    start_proxy: Any, tmp_path: Path
) -> None:
    people = tmp_path / "people.yaml"
    people.write_text("version: 1\nnotices:\n  - {name: leads, to: 'env:NOT_SET_ANYWHERE'}\n")
    with pytest.raises(RuntimeError, match="the environment variable NOT_SET_ANYWHERE is not set"):
        start_proxy("--people", str(people), rules=RULES)

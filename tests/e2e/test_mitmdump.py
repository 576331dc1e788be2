"""`mitmdump -s scripts/addon.py`: the same gate inside somebody's own mitmproxy, without any code of ours."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.cli.demo.model import ScriptedModel
from proxy.cli.demo.speech import History, Turn, ask
from proxy.logtail import verify
from tests.e2e.conftest import RULES, Proxy, free_port

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
CALLS = {
    "ALLOW": ask("refund_order", order_id="A-1", amount=1),
    "BLOCK": ask("forbidden", order_id="A-1"),
    "HOLD": ask("refund_order", order_id="A-1", amount=150),
}


def script(history: History) -> Turn:
    """The user's word says which call the model asks for."""
    return Turn("Let me see.", (CALLS[history.user],))


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel(script) as model:
        yield model


@pytest.fixture(scope="module", params=["reverse", "regular"])
def proxy(
    request: pytest.FixtureRequest, model: ScriptedModel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A mitmdump with the script, in one of the two modes."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "rules.yaml").write_text(RULES)
    port = free_port()
    mode = f"reverse:{model.url}" if request.param == "reverse" else "regular"
    argv = [str(Path(sys.executable).with_name("mitmdump")), "-q", "-s"]
    argv += [str(ROOT / "scripts" / "addon.py"), "--mode", mode]
    argv += ["--set", f"confdir={folder / 'ca'}"]
    argv += ["--listen-host", "127.0.0.1", "--listen-port", str(port)]
    environment = {
        "CHECKREIN_RULES": str(folder / "rules.yaml"),
        "CHECKREIN_STATE": str(folder / "state.sqlite"),
        "CHECKREIN_LOG": str(folder / "log.jsonl"),
        "CHECKREIN_ADMIN": str(folder / "a.sock"),
        "CHECKREIN_HOLD_WAIT_S": "20",
    }
    proxy = Proxy(folder, argv, port, environment)
    yield proxy.start()
    assert proxy.stop() == 0
    assert verify([proxy.log]).ok


def say(proxy: Proxy, model: ScriptedModel, word: str, *, stream: bool) -> str:
    """Asks the model for a call and returns the answer's body."""
    reverse = any(a.startswith("reverse:") for a in proxy.argv)
    base = proxy.url if reverse else model.url
    body: dict[str, Any] = {"model": "gpt-5-mini", "stream": stream}
    body["messages"] = [{"role": "user", "content": word}]
    with httpx.Client(trust_env=False, timeout=60, proxy=None if reverse else proxy.url) as client:
        answer = client.post(
            base + "/v1/chat/completions",
            json=body,
            headers={"x-checkrein-session": f"{word}-{stream}"},
        )
    assert answer.status_code == 200, answer.text
    return answer.text


BOTH = pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])


@BOTH
@pytest.mark.parametrize(("word", "passes"), [("ALLOW", True), ("BLOCK", False)])
def test_verdict(word: str, passes: bool, stream: bool, proxy: Proxy, model: ScriptedModel) -> None:
    """A call that is allowed comes through, a blocked one is replaced by a text that says so."""
    answer = say(proxy, model, word, stream=stream)
    assert ("tool_calls" in answer, "was refused" in answer) == (passes, not passes)
    verdicts = {r["session"]: r["verdict"] for r in proxy.records("decision")}
    assert verdicts[f"{word}-{stream}"] == word.lower()


@BOTH
def test_hold_is_answered_through_the_admin_socket(
    stream: bool, proxy: Proxy, model: ScriptedModel
) -> None:
    """A held call waits, and leaves when it is approved."""
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(say(proxy, model, "HOLD", stream=stream)))
    thread.start()
    hold = proxy.wait_for_hold()
    assert (hold["call"]["name"], said) == ("refund_order", [])
    proxy.answer("approve")
    thread.join(20)
    assert "tool_calls" in said[0]
    if not stream:
        made = json.loads(said[0])["choices"][0]["message"]["tool_calls"][0]["function"]
        assert json.loads(made["arguments"])["amount"] == 150

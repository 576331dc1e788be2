"""Ways round the gate, tried from outside with raw requests against a running proxy."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import Proxy, StartProxy

pytestmark = pytest.mark.e2e

RULES = """
version: 1
pack: round
tools:
  - name: refund_order
    effects: [{kind: money.refund, amount: args.amount, unit: EUR, target: args.order_id, reversibility: irreversible}]
  - {name: forbidden, effects: [{kind: record.delete, target: args.order_id, reversibility: irreversible}]}
  - http: {method: POST, host: [localhost, 127.0.0.1], path: "/v1/payouts/{id}"}
    effects: [{kind: money.payout, amount: body.amount, unit: EUR, target: path.id, reversibility: irreversible}]
gates:
  - {name: no-deletion, when: effect.kind == "record.delete", verdict: block, message: Nothing is deleted here.}
  - {name: payouts, when: effect.kind == "money.payout", verdict: hold, message: A payout needs a person.}
budgets:
  - {name: refunds, of: money.refund, sum: EUR, limit: 100, per: session, on_exceed: hold}
  - {name: refunds-by-agent, of: money.refund, sum: EUR, limit: 200, per: agent, on_exceed: hold}
unmapped: hold
"""


class Upstream:
    """Answers model requests with the call the request's `x-call` header describes; records heads."""

    def __init__(self) -> None:
        self.heads: list[tuple[str, dict[str, str]]] = []
        self.number = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                return

            def _serve(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                heads = {k.lower(): v for k, v in self.headers.items()}
                outer.heads.append((f"{self.command} {self.path}", heads))
                outer.number += 1
                body = json.dumps(outer.answer(self.path, heads)).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.send_header("alt-svc", 'h3=":443"')
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = _serve

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def answer(self, path: str, heads: dict[str, str]) -> dict[str, Any]:
        name, _, arguments = heads.get("x-call", "").partition(" ")
        if not name:
            return {"done": True}
        call_id = heads.get("x-call-id", f"call_{self.number}")
        if "/responses" in path:
            item = {"type": "function_call", "id": "fc_1", "call_id": call_id, "name": name}
            item |= {"arguments": arguments, "status": "completed"}
            return {
                "id": f"resp_{self.number}",
                "object": "response",
                "status": "completed",
                "output": [item],
            }
        function = {"name": name, "arguments": arguments}
        message = {"role": "assistant", "content": None}
        calls = [{"id": call_id, "type": "function", "function": function}]
        choice = {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {**message, "tool_calls": calls},
        }
        return {"id": f"chatcmpl-{self.number}", "object": "chat.completion", "choices": [choice]}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    made = Upstream()
    yield made
    made.close()


@pytest.fixture
def forward(start_proxy: StartProxy) -> Proxy:
    return start_proxy(rules=RULES, hold_wait="0s")


def through(proxy: Proxy, url: str | None = None) -> httpx.Client:
    return httpx.Client(proxy=url or proxy.url, trust_env=False, timeout=20)


def ask(
    client: httpx.Client,
    base: str,
    call: str,
    *,
    session: str = "s",
    path: str = "/v1/chat/completions",
    **more: str,
) -> dict[str, Any]:
    """Sends a model request; `call` is what the model will ask for."""
    headers = {
        "x-checkrein-session": session,
        "x-call": call,
        "authorization": "Bearer key-1",
    } | more
    body = {"model": "m", "messages": [{"role": "user", "content": "go"}]}
    answer = client.post(base + path, json=body, headers=headers)
    made: dict[str, Any] = answer.json()
    return made


def calls_in(answer: dict[str, Any]) -> list[str]:
    return [c["function"]["name"] for c in answer["choices"][0]["message"].get("tool_calls") or ()]


REFUND = 'refund_order {"order_id":"A-1","amount":45}'


def test_no_way_to_itself_and_no_traces_upstream(forward: Proxy, upstream: Upstream) -> None:
    """The proxy carries nothing to itself, tells the upstream no credential, the client no HTTP/3."""
    with through(forward) as client:
        for name in ("127.0.0.1", "localhost", "127.1", "LOCALHOST."):
            assert client.get(f"http://{name}:{forward.port}/v1/holds").status_code == 403, name
    for name in ("127.0.0.1", "localhost"):
        with socket.create_connection(("127.0.0.1", forward.port), 5) as raw:
            raw.sendall(f"CONNECT {name}:{forward.port} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            assert b" 403 " in raw.recv(4096).split(b"\r\n")[0]
    with through(forward, forward.credential("run-1", "agent-1")) as client:
        answer = client.get(f"http://127.0.0.1:{upstream.port}/hello")
    assert answer.json() == {"done": True}
    assert "alt-svc" not in answer.headers
    assert "proxy-authorization" not in upstream.heads[-1][1]


def test_bytes_that_are_no_http_are_not_carried(forward: Proxy) -> None:
    """A tunnel is for TLS or HTTP; anything else reaches nobody."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(2)
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", forward.port), 5) as raw:
            raw.sendall(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            assert b" 200 " in raw.recv(4096).split(b"\r\n")[0]
            raw.sendall(b"\x00\x01\x02SECRET\xff\xfe" * 20)
            try:
                connection, _ = server.accept()
            except TimeoutError:
                return
            with connection:
                connection.settimeout(2)
                try:
                    assert b"SECRET" not in connection.recv(4096)
                except TimeoutError:
                    return


def test_sockets_and_batches_are_refused(forward: Proxy, upstream: Upstream) -> None:
    """What no gate can read is not let through on a model's paths."""
    upgrade = {"upgrade": "websocket", "connection": "upgrade", "sec-websocket-version": "13"}
    base = f"http://127.0.0.1:{upstream.port}"
    with through(forward) as client:
        for path in ("/v1/responses", "/v1/realtime?model=m"):
            assert client.get(base + path, headers=upgrade).status_code == 426, path
        for path in ("/v1/batches", "/v1/messages/batches"):
            assert client.post(base + path, json={"requests": []}).status_code == 403, path
    assert upstream.heads == []


def test_other_doors_to_the_same_answer_are_gated(forward: Proxy, upstream: Upstream) -> None:
    """A stored answer, a dodged path and an unknown path with a model's body give no blocked call."""
    blocked = 'forbidden {"order_id":"A-1"}'
    base = f"http://127.0.0.1:{upstream.port}"
    with through(forward) as client:
        stored = client.get(base + "/v1/responses/resp_7", headers={"x-call": blocked}).json()
        assert [item["type"] for item in stored["output"]] == ["message"]
        for path in (
            "/v1//chat/completions",
            "/v1/%63hat/completions",
            "/v1/chat/completions/",
            "/gateway",
        ):
            assert calls_in(ask(client, base, blocked, path=path)) == [], path


def test_http_route_waits_for_a_human_and_passes_once(forward: Proxy, upstream: Upstream) -> None:
    """A tool request named in rules: 403 with a problem document, once through after approval."""
    url = f"http://127.0.0.1:{upstream.port}/v1/payouts/P-1"
    headers = {"x-checkrein-session": "pay"}
    with through(forward) as client:
        first = client.post(url, json={"amount": 10}, headers=headers)
        assert first.status_code == 403
        assert first.headers["content-type"] == "application/problem+json"
        hold = first.json()["checkrein"]["hold"]
        assert upstream.heads == []
        forward.ask(f"/v1/holds/{hold}/approve", {"by": "tester"})
        assert client.post(url, json={"amount": 11}, headers=headers).status_code == 403
        assert client.post(url, json={"amount": 10}, headers=headers).status_code == 200
        assert client.post(url, json={"amount": 10}, headers=headers).status_code == 403
    assert len(upstream.heads) == 1


def test_a_repeated_call_id_saves_nothing(forward: Proxy, upstream: Upstream) -> None:
    """Equal refunds under one id in new answers are so many refunds."""
    base = f"http://127.0.0.1:{upstream.port}"
    with through(forward) as client:
        given = [calls_in(ask(client, base, REFUND, **{"x-call-id": "call_0"})) for _ in range(5)]
    assert given == [["refund_order"], ["refund_order"], [], [], []]


def test_one_of_many_gets_the_last_of_a_budget(forward: Proxy, upstream: Upstream) -> None:
    """Eight clients race for a budget with room for two."""
    base = f"http://127.0.0.1:{upstream.port}"

    def race(number: int) -> list[str]:
        with through(forward) as client:
            return calls_in(
                ask(client, base, f'refund_order {{"order_id":"B-{number}","amount":50}}')
            )

    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(race, range(8)))
    assert sum(len(calls) for calls in given) == 2


def test_a_new_session_name_resets_no_agents_budget(forward: Proxy, upstream: Upstream) -> None:
    """The session's budget starts anew, the agent's (its API key) does not."""
    base = f"http://127.0.0.1:{upstream.port}"
    with through(forward) as client:
        given = [calls_in(ask(client, base, REFUND, session=f"s{n}")) for n in range(6)]
    assert [len(calls) for calls in given] == [1, 1, 1, 1, 0, 0]


def test_what_was_spent_survives_a_kill(start_proxy: StartProxy, upstream: Upstream) -> None:
    """90 EUR spent before `kill -9` are spent after it."""
    proxy = start_proxy(rules=RULES, hold_wait="0s")
    base = f"http://127.0.0.1:{upstream.port}"
    with through(proxy) as client:
        assert [len(calls_in(ask(client, base, REFUND))) for _ in range(2)] == [1, 1]
    proxy.kill()
    proxy.start()
    with through(proxy) as client:
        assert calls_in(ask(client, base, REFUND)) == []
    budgets = proxy.records("decision")[-1]["budgets"]
    assert [b["before"] for b in budgets if b["name"] == "refunds"] == [90]


def test_a_chain_of_responses_is_one_session(forward: Proxy, upstream: Upstream) -> None:
    """A client that names no session stays in one by `previous_response_id`."""
    headers = {"x-call": REFUND, "authorization": "Bearer key-1"}
    given: list[list[str]] = []
    previous: str | None = None
    with through(forward) as client:
        for turn in range(3):
            body = {"model": "m", "input": f"turn {turn}", "previous_response_id": previous}
            url = f"http://127.0.0.1:{upstream.port}/v1/responses"
            answer = client.post(url, json=body, headers=headers).json()
            previous = answer["id"]
            given.append([item["type"] for item in answer["output"]])
    assert given == [["function_call"], ["function_call"], ["message"]]
    assert len({r["session"] for r in forward.records("decision")}) == 1

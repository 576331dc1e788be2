"""The agent tries to reach the inbox through the proxy, and to answer its own holds: every way is refused, and the operator reads of it."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.cli.demo.model import ScriptedModel
from tests.e2e.conftest import Proxy
from tests.e2e.inbox.conftest import PASSWORD, PEOPLE, RULES, TOKEN, Agent, Waiting, script

pytestmark = pytest.mark.e2e

SPELLINGS = [
    "127.0.0.1",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "a.localhost",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "127.0.0.2",
    "0.0.0.0",  # noqa: S104
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::]",
]


class Place:
    """A forward proxy with an inbox, and a model that is reached through it."""

    def __init__(self, proxy: Proxy, model: str) -> None:
        self.proxy = proxy
        self.model = model
        self.port = int(proxy.ask("/v1/status")["inbox"].rpartition(":")[2])

    def say(self, request: bytes) -> bytes:
        """Sends bytes to the proxy; returns what comes back."""
        with socket.create_connection(("127.0.0.1", self.proxy.port), 10) as line:
            line.sendall(request)
            answer = b""
            line.settimeout(5)
            try:
                while part := line.recv(65536):
                    answer += part
                    if b"\r\n\r\n" in answer and b"Sign in" in answer:
                        break
            except TimeoutError:
                pass
        return answer


@pytest.fixture
def place(start_proxy: Any, tmp_path: Path) -> Iterator[Place]:
    file = tmp_path / "people.yaml"
    file.write_text(PEOPLE)
    file.chmod(0o600)
    with ScriptedModel(script) as model:
        proxy = start_proxy("--people", str(file), "--inbox", "127.0.0.1:0", rules=RULES)
        yield Place(proxy, model.url)


def test_the_inbox_is_there(place: Place) -> None:
    """What the others are refused: it answers to who asks directly."""
    answer = httpx.get(f"http://127.0.0.1:{place.port}/login", trust_env=False)
    assert "Sign in" in answer.text


@pytest.mark.parametrize("how", ["absolute", "connect"])
def test_no_spelling_of_its_address_leads_there(place: Place, how: str) -> None:
    came = {}
    for name in SPELLINGS:
        where = f"{name}:{place.port}"
        if how == "absolute":
            request = (
                f"GET http://{where}/login HTTP/1.1\r\nHost: {where}\r\nConnection: close\r\n\r\n"
            )
        else:
            request = f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\n"
            request += (
                f"GET /login HTTP/1.1\r\nHost: 127.0.0.1:{place.port}\r\nConnection: close\r\n\r\n"
            )
        answer = place.say(request.encode())
        if b"Sign in" in answer or b"checkrein-form" in answer:
            came[name] = answer
    assert came == {}
    tries = 1 if how == "absolute" else 2  # behind the tunnel that was refused comes a request
    assert len(place.proxy.records("error")) == tries * len(SPELLINGS)


def test_no_name_that_leads_to_this_machine_leads_there(place: Place) -> None:
    """The machine's own name, where it has one that resolves."""
    name = socket.gethostname()
    try:
        socket.getaddrinfo(name, None)
    except OSError:
        pytest.skip(f"{name!r} resolves to nothing here")
    answer = place.say(
        f"GET http://{name}:{place.port}/login HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode()
    )
    assert b"Sign in" not in answer


TURNED = """
import socket

_real, _asked = socket.getaddrinfo, []

def _turned(host, *more, **named):
    if host in ("turned.example", b"turned.example"):
        _asked.append(host)
        host = "203.0.113.7" if len(_asked) == 1 else "127.0.0.1"
    return _real(host, *more, **named)

socket.getaddrinfo = _turned
"""
"""What a name's owner does: another answer at the second question. All else of the proxy is as it is shipped."""


@pytest.mark.parametrize("how", ["absolute", "connect"])
def test_a_name_that_is_turned_here_after_it_was_looked_up(
    start_proxy: Any, tmp_path: Path, how: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(TURNED)
    file = tmp_path / "people.yaml"
    file.write_text(PEOPLE)
    file.chmod(0o600)
    proxy = start_proxy(
        *("--people", str(file), "--inbox", "127.0.0.1:0"),
        rules=RULES,
        environment={"PYTHONPATH": str(tmp_path)},
    )
    place = Place(proxy, "")
    name = f"turned.example:{place.port}"
    ask = f"/login HTTP/1.1\r\nHost: 127.0.0.1:{place.port}\r\nConnection: close\r\n\r\n"
    if how == "absolute":
        answer = place.say(f"GET http://{name}{ask}".encode())
    else:
        tunnel = f"CONNECT {name} HTTP/1.1\r\nHost: {name}\r\n\r\n"
        answer = place.say(f"{tunnel}GET {ask}".encode())
    assert b"No way in here" in answer
    assert b"Sign in" not in answer
    told = [one["error"] for one in proxy.records("error")]
    assert "a request to the inbox came through the proxy" in told


@pytest.mark.parametrize(
    "header",
    [
        "Host: 127.0.0.1:{port}",
        "Host: other.example\r\nX-Forwarded-Host: 127.0.0.1:{port}",
        "Host: other.example\r\nForwarded: host=127.0.0.1:{port}",
    ],
)
def test_no_header_leads_there(place: Place, header: str) -> None:
    """The request goes where its first line says, whatever else names the inbox."""
    request = f"GET http://other.example:1/login HTTP/1.1\r\n{header}\r\nConnection: close\r\n\r\n"
    assert b"Sign in" not in place.say(request.replace("{port}", str(place.port)).encode())


def test_a_refusal_is_one(place: Place) -> None:
    answer = place.say(
        f"GET http://127.0.0.1:{place.port}/ HTTP/1.1\r\nHost: 127.0.0.1:{place.port}\r\n"
        "Connection: close\r\n\r\n".encode()
    )
    assert answer.startswith(b"HTTP/1.1 403")
    assert b"checkrein carries no traffic to itself" in answer
    assert [one["where"] for one in place.proxy.records("error")] == ["own address"]


@pytest.mark.parametrize(
    "request_line", ["GET http://127.0.0.1:{port}/login", "CONNECT 127.0.0.1:{port}", "GET /login"]
)
def test_the_inbox_is_no_proxy_and_behind_none(place: Place, request_line: str) -> None:
    """A request line as proxies get it, or one that says a proxy has handed it on."""
    says = "Via: 1.1 other\r\n" if request_line == "GET /login" else ""
    with socket.create_connection(("127.0.0.1", place.port), 10) as line:
        line.sendall(
            f"{request_line.replace('{port}', str(place.port))} HTTP/1.1\r\n"
            f"Host: 127.0.0.1:{place.port}\r\n{says}Connection: close\r\n\r\n".encode()
        )
        answer = line.makefile("rb").read()
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 403"))
    assert b"Sign in" not in answer


# --- an agent that knows where people answer -----------------------------------------------------------
@pytest.fixture
def waiting(place: Place) -> Iterator[tuple[Place, Waiting, str]]:
    agent = Agent(f"{place.model}/v1", "s-1")
    call = Waiting(_through(agent, place.proxy.url), "refund_order order=o-1 amount=145")
    hold = str(place.proxy.wait_for_hold()["id"])
    yield place, call, hold
    place.proxy.ask("/v1/signals/freeze", {"scope": "fleet", "by": "test"})
    assert not call.came()


def _through(agent: Agent, proxy: str) -> Agent:
    agent.proxy = proxy
    return agent


def test_it_cannot_answer_itself(waiting: tuple[Place, Waiting, str]) -> None:
    """Without a session, with a made-up one, with another's form, by a GET, by a token that is nobody's."""
    place, _, hold = waiting
    base = f"http://127.0.0.1:{place.port}"
    with httpx.Client(base_url=base, trust_env=False) as client:
        page = client.get("/login").text
        form = re.search(r'name="form" value="([^"]+)"', page)
        assert form is not None
        tries = [
            client.post(f"/holds/{hold}/answer", data={"answer": "approve"}),
            client.post(
                f"/holds/{hold}/answer",
                data={"answer": "approve"},
                headers={"cookie": f"checkrein={'a' * 43}"},
            ),
            client.get(f"/holds/{hold}/answer?answer=approve"),
            client.post("/login", data={"name": "ada", "password": "guess", "form": form[1]}),
            client.post("/login", data={"name": "ada", "password": PASSWORD}),
        ]
    assert [answer.status_code for answer in tries] == [401, 401, 303, 401, 403]
    for token in (None, "crt_" + "a" * 43, TOKEN[:-1]):
        with pytest.raises(httpx.HTTPStatusError, match="401"):
            place.proxy.ask(f"/v1/holds/{hold}/approve", {"by": "ada"}, token=token)
    assert place.proxy.ask(f"/v1/holds/{hold}")["state"] == "pending"


def test_guessed_ids_are_nobodys(waiting: tuple[Place, Waiting, str]) -> None:
    """Even with a person's token an id has to be known whole or nearly so: none is found by its beginning alone where several have it."""
    place, _, hold = waiting
    for guess in ("0", "00000000-0000-7000-8000-000000000000", hold[:3], "%2e%2e", "x' OR '1'='1"):
        with pytest.raises(httpx.HTTPStatusError, match=r"40[49]"):
            place.proxy.ask(f"/v1/holds/{guess}/approve", {}, token=TOKEN)
    assert place.proxy.ask(f"/v1/holds/{hold}")["state"] == "pending"

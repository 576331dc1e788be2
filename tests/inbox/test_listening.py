"""Where the web inbox listens: what is refused before anything starts, and the names under which it is known."""

from __future__ import annotations

import asyncio
import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.errors import ConfigurationError
from proxy.people.people import hashed, new_token
from proxy.settings import Settings
from tests.conftest import BENCH_RULES

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # mitmproxy's, of pyparsing
    from proxy.service import Service

PERSON = f'version: 1\npeople:\n  - {{name: ada, password: "{hashed("pw")}"}}\n'
TOKEN_ONLY = f'version: 1\npeople:\n  - {{name: pager, token: "{new_token()[1]}"}}\n'


def settings(
    folder: Path,
    people: str | None = PERSON,
    host: str = "127.0.0.1",
    tls: tuple[Path, Path] | None = None,
) -> Settings:
    rules, file = folder / "r.yaml", folder / "p.yaml"
    rules.write_text(BENCH_RULES)
    if people is not None:
        file.write_text(people)
        file.chmod(0o600)
    return Settings(
        state=folder / "s.sqlite",
        log=folder / "l.jsonl",
        admin=folder / "a.sock",
        rules=(rules,),
        people=file if people is not None else None,
        inbox=(host, 0),
        inbox_tls=tls,
    )


@pytest.mark.parametrize(
    ("people", "host", "tls", "says"),
    [
        pytest.param(None, "127.0.0.1", False, "checkrein people init", id="no-people"),
        pytest.param("version: 1\n", "127.0.0.1", False, "can sign in", id="nobody"),
        pytest.param(TOKEN_ONLY, "127.0.0.1", False, "can sign in", id="tokens-alone"),
        pytest.param(PERSON, "0.0.0.0", False, "--inbox-tls CERT KEY", id="in-the-clear"),  # noqa: S104
        pytest.param(PERSON, "127.0.0.1", True, "PEM certificate", id="no-certificate"),
    ],
)
def test_what_does_not_start(
    tmp_path: Path, people: str | None, host: str, tls: bool, says: str
) -> None:
    """An agent must find no proxy that no human can reach, and no password goes by in the clear."""
    pem = tmp_path / "cert.pem"
    pem.write_text("-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n")
    with pytest.raises(ConfigurationError, match=says):
        Service.build(settings(tmp_path, people, host, (pem, pem) if tls else None))


@pytest.fixture
def served(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Service]:
    made = Service.build(settings(tmp_path, getattr(request, "param", PERSON)))
    yield made
    asyncio.run(made.stop())


@pytest.mark.parametrize(
    ("served", "name"),
    [
        (f"url: https://desk.example:443\n{PERSON}", "desk.example"),
        (f"url: https://Desk.example\n{PERSON}", "desk.example"),
        (f"url: http://desk.example:80\n{PERSON}", "desk.example"),
        (f"url: https://desk.example:8081\n{PERSON}", "desk.example:8081"),
    ],
    indirect=["served"],
    ids=["https", "capitals", "http", "another-port"],
)
def test_a_browser_leaves_out_the_usual_port(served: Service, name: str) -> None:
    assert name in served.inbox_names()


def test_the_names_of_this_machine(served: Service) -> None:
    assert served.web is not None
    port = served.web.address[1]
    hosts = ("127.0.0.1", "localhost", "[::1]", "checkrein.localhost")
    assert served.inbox_names() == {f"{host}:{port}" for host in hosts}


def test_a_broken_edit_is_a_record(served: Service, tmp_path: Path) -> None:
    """The people from before stay, and the log says what is wrong, once."""
    file = tmp_path / "p.yaml"
    file.write_text("version: 1\npeple: []\n")
    os.utime(file, ns=(1, 1))
    assert served._people is not None
    for _ in range(2):
        assert served._people.people.approver("ada") is not None
    served.pipeline._writer.submit(lambda _tx, _emit: None).result()
    records = [json.loads(line) for line in (tmp_path / "l.jsonl").read_text().splitlines()]
    told = [one for one in records if one["type"] == "error"]
    assert [(one["where"], "unknown key 'peple'" in one["error"]) for one in told] == [
        ("people", True)
    ]

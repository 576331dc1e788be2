"""The parts of `checkrein mcp`: lines, names, the run's credential, judges that fail."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from click.testing import CliRunner

from proxy.cli.mcp.command import command, server_name
from proxy.cli.mcp.judges import ClosedOnError, RemoteJudge, Unreachable
from proxy.cli.mcp.lines import Inlet, Outlet, TooLong, lines_of
from proxy.cli.mcp.run_credential import credential_of_run, token_in
from proxy.errors import ConfigurationError
from proxy.inbox.mcp_steps import From, Step, To

CALL = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}'


async def read_all(chunks: list[bytes], longest: int) -> list[bytes | None]:
    left = [*chunks, b""]

    async def read() -> bytes:
        return left.pop(0)

    lines = lines_of(read, longest)
    return [None if isinstance(line, TooLong) else line async for line in lines]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"", [], id="nothing"),
        pytest.param(b"a\nbc\n", [b"a", b"bc"], id="two lines"),
        pytest.param(b"a\n\nb\r\n", [b"a", b"", b"b\r"], id="an empty line, CRLF"),
        pytest.param(b"a\nb", [b"a"], id="a last line without its end is no message"),
        pytest.param(b"12345678\n", [b"12345678"], id="just as long as allowed"),
        pytest.param(b"a\n123456789\nb\n", [b"a", None, b"b"], id="too long, told once"),
        pytest.param(b"a\n" + b"1" * 30 + b"\nb\n", [b"a", None, b"b"], id="much too long"),
        pytest.param(b"1" * 30, [None], id="too long without an end"),
    ],
)
async def test_lines(data: bytes, expected: list[bytes | None]) -> None:
    """Whole, byte by byte, and in random pieces."""
    assert await read_all([data] if data else [], 8) == expected
    assert await read_all([data[at : at + 1] for at in range(len(data))], 8) == expected
    for _ in range(20):
        cuts = sorted(random.choices(range(len(data) + 1), k=4))  # noqa: S311  # not a secret
        pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if a < b]
        assert await read_all(pieces, 8) == expected


async def test_our_own_ends_are_read_and_written_in_order(tmp_path: Path) -> None:
    """A file and a pipe do as well as what a client gives; a reader that left is an error."""
    (tmp_path / "in").write_bytes(b"a" * 200_000)
    fd = os.open(tmp_path / "in", os.O_RDONLY)
    inlet, got = Inlet(fd), b""
    while data := await inlet.read():
        got += data
    os.close(fd)
    assert len(got) == 200_000
    reader, writer = os.pipe()
    outlet = Outlet(writer)
    await outlet.write(b"1")
    await outlet.write(b"2")
    assert os.read(reader, 10) == b"12"
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        await outlet.write(b"3")
    os.close(writer)


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (("/opt/billing-server", "--x"), "billing-server"),
        (("npx", "-y", "@acme/billing@1.2.0"), "billing"),
        (("uvx", "mcp-server-git"), "mcp-server-git"),
        (("uv", "run", "server.py"), "server.py"),
        (("python3", "-c", "import x; x.run()"), "python3"),
        (("docker", "run", "-i", "ghcr.io/acme/billing"), "billing"),
    ],
)
def test_a_server_is_named_after_what_is_run(argv: tuple[str, ...], name: str) -> None:
    assert server_name(argv) == name


@pytest.mark.parametrize(
    ("environment", "token"),
    [
        ({"HTTPS_PROXY": "http://checkrein:abc@127.0.0.1:8080"}, "abc"),
        ({"http_proxy": "http://checkrein:a%2Fc@127.0.0.1:8080"}, "a/c"),
        ({"HTTPS_PROXY": "http://someone:abc@10.0.0.1:3128"}, None),
        ({"HTTPS_PROXY": "http://127.0.0.1:8080"}, None),
        ({"HTTPS_PROXY": "http://[::1"}, None),
        ({}, None),
    ],
    ids=["upper case", "lower case, quoted", "another proxy", "no user", "no URL", "none"],
)
def test_the_runs_credential_is_read_from_proxy_variables(
    environment: dict[str, str], token: str | None
) -> None:
    assert token_in(environment) == token


def test_the_runs_credential_is_looked_for_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that passes no variables on is asked for its own; a made-up /proc stands in."""
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    parent = tmp_path / str(os.getppid())
    parent.mkdir()
    (parent / "environ").write_bytes(b"PATH=/bin\0")
    (parent / "stat").write_text(f"{os.getppid()} (an (odd) name) S 4242 1 1")
    above = tmp_path / "4242"
    above.mkdir()
    (above / "environ").write_bytes(b"A=1\0HTTPS_PROXY=http://checkrein:abc@127.0.0.1:1\0")
    (above / "stat").write_text("4242 (sh) S 1 1 1")
    assert credential_of_run(tmp_path) == "abc"
    assert credential_of_run(tmp_path / "none") is None


class Scripted:
    """A judge that gives some steps and then fails."""

    def __init__(self, *steps: Step) -> None:
        self._steps = steps

    async def judge(self, origin: From, line: bytes) -> AsyncGenerator[Step]:
        for step in self._steps:
            yield step
        raise ValueError("broken")


@pytest.mark.parametrize(
    ("before", "is_answered"),
    [
        pytest.param([], True, id="at once"),
        pytest.param([Step(To.NOBODY)], True, id="while it waits"),
        pytest.param([Step(To.CLIENT, b"{}", passing=True)], True, id="after progress"),
        pytest.param([Step(To.CLIENT, b"{}")], False, id="after the answer"),
        pytest.param([Step(To.SERVER)], False, id="after it was passed on"),
    ],
)
async def test_a_judge_that_fails_closes_the_line(before: list[Step], is_answered: bool) -> None:
    """The client hears once what became of its call, and the line passes at most by the judge's word."""
    judge = ClosedOnError(Scripted(*before))
    made = [step async for step in judge.judge(From.CLIENT, CALL)][len(before) :]
    assert bool(made) is is_answered
    assert all(step.data is not None for step in made if step.to is not To.NOBODY)
    assert not any(step.to is To.SERVER for step in made)


async def test_nobody_on_the_socket_is_told_apart(tmp_path: Path) -> None:
    judge = RemoteJudge(tmp_path / "none.sock", {"server": "x"})
    with pytest.raises(Unreachable):
        await judge.open()
    await judge.close()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--admin", "{}/none.sock", "--", "true"], "no running proxy answers"),
        (["--", "no-such-command-at-all"], "no such command"),
        (["--server", "a\nb", "--embedded", "--", "true"], "--server"),
        (["--keepalive", "0s", "--", "true"], "--keepalive"),
    ],
)
def test_wrong_usage_says_what_to_change(tmp_path: Path, arguments: list[str], says: str) -> None:
    """A named proxy that is not there ends it: judging elsewhere is not what was asked for."""
    made = CliRunner().invoke(command, [a.format(tmp_path) for a in arguments])
    assert isinstance(made.exception, ConfigurationError)
    assert says in str(made.exception)

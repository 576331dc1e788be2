"""The command line: exit codes, one JSON object a line, and texts that an agent cannot forge."""

from __future__ import annotations

import json
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from proxy.cli import main
from proxy.cli.admin import plain
from proxy.cli.exec import agent_environment
from proxy.inbox.api import application

if TYPE_CHECKING:
    from tests.conftest import Bench

ODD = '{"order": "o1\\u001b[2K\\nbudget  refunds: 0 -> 7", "amount": 145.5}'


class Outcome:
    """What one command said and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs a command as the entry point does, in an environment without a running proxy."""
    for name in ("CHECKREIN_ADMIN", "CHECKREIN_STATE", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "300")

    def command(*args: str) -> Outcome:
        capsys.readouterr()
        try:
            main(list(args))
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        said = capsys.readouterr()
        return Outcome(code, said.out, said.err)

    return command


@pytest.fixture
def admin(bench: Bench) -> Iterator[str]:
    """The bench's admin API on a unix socket, in a thread."""
    with tempfile.TemporaryDirectory(prefix="cr-") as folder:
        path = f"{folder}/a.sock"
        status = {"log": str(bench.settings.log)}
        config = uvicorn.Config(
            application(bench.pipeline, lambda: status), uds=path, lifespan="off", log_config=None
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started and thread.is_alive():
            thread.join(0.01)
        yield path
        server.should_exit = True
        thread.join(10)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # mitmproxy is imported: it warns
@pytest.mark.parametrize(
    ("args", "says"),
    [
        pytest.param(["nonsense"], "No such command", id="unknown-command"),
        pytest.param(["holds", "list"], "no running proxy", id="no-proxy"),
        pytest.param(["holds", "watch"], "`checkrein holds list` prints", id="no-terminal"),
        pytest.param(["holds", "watch", "--interval", "0s"], "at least 0.1s", id="no-interval"),
        pytest.param(["sessions", "show", "s"], "no running proxy", id="no-proxy-for-sessions"),
        pytest.param(["tail", "--no-follow"], "--log FILE", id="no-log"),
        pytest.param(["log", "verify", "/nowhere/x"], "does not exist", id="no-such-log"),
        pytest.param(["holds", "list", "--state", "odd"], "Invalid value", id="no-such-state"),
        pytest.param(["run", "--listen", "nowhere"], "HOST:PORT", id="listen"),
        pytest.param(["run", "--listen", "h:99999"], "HOST:PORT", id="port"),
        pytest.param(["run", "--hold-wait", "soon"], "not a duration", id="duration"),
        pytest.param(["run", "--keepalive", "0s"], "--keepalive", id="keepalive-of-nothing"),
        pytest.param(["run", "--inbox", "x:1"], "--inbox", id="inbox"),
        pytest.param(["run", "--state", "postgresql://x/y"], "--state", id="postgres"),
        pytest.param(["run", "--upstream", "ftp://x"], "--upstream", id="upstream"),
        pytest.param(
            ["run", "--upstream", "http://x/v1"], "leave out the path", id="upstream-path"
        ),
        pytest.param(["run", "--rules", "/nowhere.yaml"], "no such file", id="rules"),
        pytest.param(["exec"], "Missing argument", id="exec-nothing"),
    ],
)
def test_wrong_usage_is_2(run: Any, args: list[str], says: str) -> None:
    """A mistake of the user's ends with 2, and the message names what to change."""
    outcome = run(*args)
    assert (outcome.code, outcome.out) == (2, "")
    assert says in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # mitmproxy is imported: it warns
@pytest.mark.parametrize("option", ["--log", "--state", "--admin"])
def test_run_ends_with_2_where_it_cannot_write(run: Any, tmp_path: Path, option: str) -> None:
    """A path below a file: nothing starts, and nothing listens."""
    (tmp_path / "file").touch()
    paths = {name: str(tmp_path / name.strip("-")) for name in ("--log", "--state", "--admin")}
    paths[option] = str(tmp_path / "file" / "x")
    outcome = run(
        "run", "--listen", "127.0.0.1:0", *(part for pair in paths.items() for part in pair)
    )
    assert outcome.code == 2
    assert "file" in outcome.err


@pytest.mark.parametrize(
    "args", [["--help"], ["run", "-h"], ["--version"], ["holds", "list", "-h"]]
)
def test_help_is_0(run: Any, args: list[str]) -> None:
    """Help is no mistake."""
    assert run(*args).code == 0


async def decide(bench: Bench, *texts: str) -> None:
    for n, text in enumerate(texts):
        await bench.decide(bench.call(text=text, response=f"r{n}"))


@pytest.mark.parametrize(
    "args", [["holds", "list"], ["holds", "list", "--all"], ["sessions", "list"]], ids=" ".join
)
async def test_lists_as_json(bench: Bench, admin: str, run: Any, args: list[str]) -> None:
    """One object a line, `id` first."""
    await decide(bench, ODD, '{"order": "o2", "amount": 200}')
    outcome = run(*args, "--json", "--admin", admin)
    assert outcome.code == 0
    for line in outcome.out.splitlines():
        assert next(iter(json.loads(line))) == "id"
    assert len(outcome.out.splitlines()) == (1 if args[0] == "sessions" else 2)


@pytest.mark.parametrize("command", ["list", "show", "approve", "sessions", "tail"])
async def test_an_agent_cannot_forge_what_is_shown(
    bench: Bench, admin: str, run: Any, command: str
) -> None:
    """Line ends and escapes in arguments, targets and names are shown as such, not obeyed."""
    await decide(bench, ODD, ODD.replace("145.5", "5"))
    (hold,) = await bench.pipeline.desk.list()
    args = {
        "sessions": ["sessions", "show", "s1"],
        "tail": ["tail", "--no-follow"],
        "list": ["holds", "list"],
    }.get(command, ["holds", command, hold.id])
    outcome = run(*args, "--admin", admin)
    assert outcome.code == 0
    assert "\x1b[2K" not in outcome.out
    assert not any(line.startswith("budget  refunds: 0 -> 7") for line in outcome.out.splitlines())
    assert "[2K" in outcome.out


HOSTILE = {
    "escape": "\x1b[2J\x1b[1Hpay 1 EUR",
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "link": "\x1b]8;;http://evil.example\x1b\\bank\x1b]8;;\x1b\\",
    "return": "pay 1000\rpay 1",
    "line-end": "a\nbudget  refunds: 0 -> 7",
    "c1": "\x9b2J\x9d52;c;x\x9c",
    "bidi": "\u202etxt\u202c\u2066x\u2069\u200f\u200e",
    "unseen": "pay\u200b1\u200c0\u200d0\u2060\ufeff\u3164\u034f\ufe0f",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
async def test_nothing_hostile_is_printed(bench: Bench, admin: str, run: Any, text: str) -> None:
    """Tool names, arguments, sessions, agents, targets and the reasons made of them: escaped in each command."""
    session = f"s{text}".replace("\n", " ")  # `proxy/identity.py` lets no such name in
    who = bench.who(session=session, agent=text)
    written = json.dumps({"order": text, text: [text]})
    await bench.decide(bench.call(name=f"tool {text}", text=written), who)  # no rule knows it
    await bench.decide(bench.call(name="deploy", text=written, response="r2"), who)
    known, unknown = await bench.pipeline.desk.list()
    for command in (
        ["tail", "--no-follow"],
        ["holds", "list"],
        ["holds", "show", known.id],
        ["holds", "show", unknown.id],
        ["sessions", "list"],
        ["sessions", "show", session],
        ["holds", "approve", known.id, "--session"],
        ["grants", "list"],
        ["holds", "deny", unknown.id],
    ):
        outcome = run(*command, "--admin", admin)
        assert (outcome.code, outcome.err) == (0, ""), command
        shown = outcome.out.replace("\n", "")
        assert shown.isprintable(), command
        assert not set(shown) & set("\u3164\u034f\ufe0f"), command
        assert "\\" in shown or command[0] == "grants", command
        assert not any(line.startswith("budget  refunds") for line in outcome.out.splitlines())


async def test_an_answer_that_comes_too_late_is_1(bench: Bench, admin: str, run: Any) -> None:
    """A hold that has ended: exit code 1, and what it is by now."""
    await decide(bench, ODD)
    (hold,) = await bench.pipeline.desk.list()
    assert run("holds", "deny", hold.id, "--admin", admin).code == 0
    late = run("holds", "approve", hold.id, "--admin", admin)
    assert late.code == 1
    assert "already denied" in late.err


@pytest.mark.parametrize("name", ["a/../b", "?state=x", "%2e"])
def test_an_odd_id_is_an_id(admin: str, run: Any, name: str) -> None:
    """What is typed as an id never becomes another path or a query."""
    outcome = run("holds", "show", name, "--admin", admin)
    assert outcome.code == 1
    assert outcome.out == ""


@pytest.mark.parametrize(
    ("damage", "code", "says"),
    [
        pytest.param(lambda lines: lines, 0, "the chain holds", id="whole"),
        pytest.param(lambda lines: [lines[0], *lines[2:]], 1, "gap", id="gap"),
        pytest.param(lambda lines: lines[1:], 1, "head is missing", id="head"),
        pytest.param(
            lambda lines: [lines[0].replace('"rules"', '"ruler"'), *lines[1:]],
            1,
            "edited",
            id="edit",
        ),
    ],
)
async def test_log_verify(
    bench: Bench, run: Any, tmp_path: Path, damage: Any, code: int, says: str
) -> None:
    """A whole chain is 0; an edit, a gap or a missing head is 1, with its place."""
    await decide(bench, *('{"order": "o1", "amount": 1}',) * 3)
    copy = tmp_path / "copy.jsonl"
    lines = bench.settings.log.read_text().splitlines(keepends=True)
    copy.write_text("".join(damage(lines)))
    outcome = run("log", "verify", str(copy))
    assert outcome.code == code
    assert says in outcome.out
    told = json.loads(run("log", "verify", str(copy), "--json").out)
    assert told["ok"] == (code == 0)


@pytest.mark.parametrize(
    ("args", "count"),
    [
        (["--type", "decision"], 3),
        (["--verdict", "hold"], 1),
        (["--session", "s1", "--type", "decision"], 3),
        (["--session", "s9"], 0),
        (["--agent", "a9"], 0),
    ],
    ids=["type", "verdict", "session", "other-session", "other-agent"],
)
async def test_tail_filters(bench: Bench, run: Any, args: list[str], count: int) -> None:
    """Filters take records away, and `--json` shows those that are left as they are."""
    await decide(bench, '{"order": "o1", "amount": 1}', '{"order": "o1", "amount": 2}', ODD)
    log = str(bench.settings.log)
    as_json = run("tail", "--no-follow", "--json", "--log", log, *args)
    assert as_json.code == 0
    assert len([json.loads(line) for line in as_json.out.splitlines()]) == count
    assert len(run("tail", "--no-follow", "--log", log, *args).out.splitlines()) == count


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, ü", "plain text, ü"),
        ("a\nb\x1b[0m", "a\\nb\\x1b[0m"),
        ("\u202etxt", "\\u202etxt"),
        ("\ud800", "\\ud800"),
        (45, "45"),
    ],
    ids=["plain", "control", "right-to-left", "surrogate", "number"],
)
def test_plain(text: object, shown: str) -> None:
    """What cannot be printed is written out."""
    assert plain(text) == shown


def test_the_agents_environment(tmp_path: Path) -> None:
    """The credential and the CA are in it; exceptions and the operator's variables are not."""
    base = {"NO_PROXY": "*", "no_proxy": "*", "CHECKREIN_ADMIN": "/x", "PATH": "/bin"}
    made = agent_environment(base, listen="127.0.0.1:1", token="t", ca=tmp_path / "ca")
    assert made["HTTPS_PROXY"] == made["https_proxy"] == "http://checkrein:t@127.0.0.1:1"
    assert (made["NO_PROXY"], made["no_proxy"], made["PATH"]) == ("", "", "/bin")
    assert not [name for name in made if name.startswith("CHECKREIN_")]


def test_exec_refuses_rules_beside_a_running_proxy(admin: str, run: Any) -> None:
    """Without what `exec` needs of a proxy (its listener) nothing is started."""
    marker = [sys.executable, "-c", "print('ran')"]
    outcome = run("exec", "--admin", admin, "--rules", __file__, "--", *marker)
    assert outcome.code == 2
    assert "running already" in outcome.err
    assert "ran" not in outcome.out

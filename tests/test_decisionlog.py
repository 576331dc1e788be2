"""The chain is kept through restarts, rotation, full disks and kills, and every tamper is found."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.canonical import sha256_hex
from proxy.decisionlog import ZERO, DecisionLog
from proxy.errors import LogError
from proxy.logtail import follow, verify
from proxy.model import Json

ROOT = Path(__file__).resolve().parents[1]
RECORD: dict[str, Json] = {
    "type": "decision",
    "session": "s1",
    "agent": "a1",
    "call": {"id": "c1", "name": "refund", "args": {"amount": Decimal("45.50"), "é": "ü"}},
    "verdict": "hold",
    "budgets": [{"name": "refunds", "before": 60, "after": 105.5, "limit": 100}],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "decisions.jsonl"


@pytest.fixture
def log(path: Path) -> Iterator[DecisionLog]:
    made = DecisionLog(path, now=lambda: datetime(2026, 11, 24, 12, 0, tzinfo=UTC))
    yield made
    made.close()


def test_a_record_is_as_the_design_says(path: Path, log: DecisionLog) -> None:
    assert log.append([RECORD, RECORD]) == (1, 2)
    first, second = [json.loads(line) for line in path.read_text().splitlines()]
    assert list(first)[:5] == ["v", "seq", "time", "type", "verdict"]
    assert list(first)[-2:] == ["prev", "hash"]
    assert first["time"] == "2026-11-24T12:00:00.000000Z"
    assert first["prev"] == ZERO
    assert second["prev"] == first["hash"]
    last = second["hash"]
    for record in (first, second):
        stated = record.pop("hash")
        assert sha256_hex(rfc8785.dumps(record)) == stated
    assert first["call"]["args"]["amount"] == 45.5
    assert log.head == (2, last)
    assert "seq" not in RECORD


def test_no_records_write_nothing(path: Path, log: DecisionLog) -> None:
    assert log.append([]) is None
    assert path.read_bytes() == b""


def test_only_its_owner_reads_it(path: Path, log: DecisionLog) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_writers_are_refused(path: Path, log: DecisionLog) -> None:
    with pytest.raises(LogError, match=r"decisions\.jsonl: another checkrein"):
        DecisionLog(path)


def test_a_restart_continues_the_chain(path: Path, log: DecisionLog) -> None:
    log.append([RECORD])
    log.close()
    again = DecisionLog(path)
    assert again.head == log.head
    again.append([RECORD])
    again.close()
    assert verify([path], expect_last=again.head).ok


def test_a_torn_last_line_is_cut_and_noted(path: Path, log: DecisionLog) -> None:
    log.append([RECORD])
    log.close()
    with path.open("ab") as file:
        file.write(b'{"v":1,"seq":2,"ti')
    again = DecisionLog(path)
    again.close()
    report = verify([path], expect_last=again.head)
    assert report.ok
    assert "torn last line of 18 bytes" in path.read_text().splitlines()[1]


def test_a_file_that_is_no_log_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("hello\n")
    with pytest.raises(LogError, match="no decision record"):
        DecisionLog(path)
    assert path.read_text() == "hello\n"


@pytest.mark.parametrize("restart", [False, True], ids=["while it runs", "while it is stopped"])
def test_rotation_continues_the_chain(path: Path, log: DecisionLog, restart: bool) -> None:
    old = path.with_name("decisions.jsonl.1")
    log.append([RECORD])
    if restart:
        log.close()
    path.rename(old)
    if restart:
        log = DecisionLog(path)
    log.append([RECORD])
    log.append([RECORD])
    log.close()
    assert len(old.read_bytes().splitlines()) == 1
    assert verify([old, path], expect_last=log.head).ok
    assert [p[2] for p in verify([path]).problems] == ["the head is missing: the log begins at record 2"]  # fmt: skip
    assert verify([path], expect_first=None).ok
    assert not verify([path, old]).ok


def test_a_file_put_in_its_place_is_refused(path: Path, log: DecisionLog) -> None:
    log.append([RECORD])
    other = DecisionLog(path.with_name("other"))
    other.append([RECORD, {"type": "x"}])
    other.close()
    path.with_name("other").rename(path)
    with pytest.raises(LogError, match="replaced by a file with records of its own"):
        log.append([RECORD])
    path.unlink()
    assert log.append([RECORD]) == (2, 2)


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def _edit(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[2].replace(b'"hold"', b'"allow"'), *lines[3:]]


def _rehash(lines: list[bytes]) -> list[bytes]:
    record = json.loads(_edit(lines)[2])
    del record["hash"]
    record["hash"] = sha256_hex(rfc8785.dumps(record))
    return [*lines[:2], json.dumps(record).encode() + b"\n", *lines[3:]]


def _double_key(lines: list[bytes]) -> list[bytes]:
    return [
        *lines[:2],
        lines[2].replace(b'"verdict":', b'"verdict":"allow","verdict":', 1),
        *lines[3:],
    ]


@pytest.mark.parametrize(
    ("tamper", "line", "text"),
    [
        pytest.param(_edit, 3, "record 3: edited", id="edited"),
        pytest.param(_rehash, 4, "its prev is not the hash of record 3", id="edited and hashed anew"),
        pytest.param(_double_key, 3, "a key stands twice", id="a key added in front of itself"),
        pytest.param(lambda x: x[:2] + x[3:], 3, "gap: records 3 to 3 are missing", id="removed"),
        pytest.param(lambda x: [x[0], x[2], x[1], *x[3:]], 2, "gap: records 2 to 2", id="reordered"),
        pytest.param(lambda x: [x[0], x[2], x[1], *x[3:]], 3, "record 2: out of place", id="reordered back"),
        pytest.param(lambda x: [*x[:3], x[2], *x[3:]], 4, "record 3: twice", id="twice"),
        pytest.param(lambda x: x[1:], 1, "the head is missing", id="head cut"),
        pytest.param(lambda x: x[:-1], 4, "the tail is missing: the log ends at record 4", id="tail cut"),
        pytest.param(lambda x: [], 0, "the tail is missing: the log ends at record 0", id="emptied"),
        pytest.param(lambda x: [*x[:-1], x[-1][:-9]], 5, "torn", id="torn"),
        pytest.param(lambda x: [*x[:3], b"null\n", *x[3:]], 4, "not a record", id="not an object"),
        pytest.param(lambda x: [*x[:3], b"{}\n", *x[3:]], 4, "not a record", id="an empty object"),
        pytest.param(lambda x: [*x[:3], b"\xff\n", *x[3:]], 4, "not a record", id="not UTF-8"),
    ],
)  # fmt: skip
def test_verify_finds(
    path: Path, log: DecisionLog, tamper: Callable[[list[bytes]], list[bytes]], line: int, text: str
) -> None:
    for n in range(5):
        log.append([{**RECORD, "n": n}])
    assert verify([path], expect_last=log.head).ok
    path.write_bytes(b"".join(tamper(_lines(path))))
    problems = verify([path], expect_last=log.head).problems
    assert any(at == line and text in what for _, at, what in problems), problems


def test_verify_reads_a_record_that_was_written_anew(path: Path, log: DecisionLog) -> None:
    """The hash is over the canonical form: spaces and order of keys are no edit."""
    log.append([RECORD])
    record = json.loads(path.read_bytes())
    path.write_text(json.dumps(dict(reversed(record.items())), indent=None) + "\n")
    assert verify([path], expect_last=log.head).ok


FULL = """
import resource, signal, sys
from pathlib import Path
from proxy.decisionlog import DecisionLog
from proxy.errors import LogError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = DecisionLog(Path(sys.argv[1]))
log.append([{"type": "x"}])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    log.append([{"type": "x", "n": n} for n in range(50)])
except LogError as error:
    print("refused", error)
print(Path(sys.argv[1]).read_bytes().count(b"\\n"), log.head[0])
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(log.append([{"type": "x"}]))
"""


def test_a_full_disk_refuses_and_leaves_the_last_good_record(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    refused, count, after = done.stdout.splitlines()
    assert refused.startswith(f"refused {path}: the decision log cannot be written: File too large")
    assert count == "1 1"
    assert after == "(2, 2)"
    assert verify([path]).ok


def test_dev_full_refuses() -> None:
    log = DecisionLog(Path("/dev/full"))
    with pytest.raises(LogError, match="No space left on device"):
        log.append([RECORD])
    log.close()


KILLED = """
import sys
from pathlib import Path
from proxy.decisionlog import DecisionLog
log = DecisionLog(Path(sys.argv[1]))
while True:
    print(log.append([{"type": "x", "text": "y" * 300}] * 3)[1], flush=True)
"""


def test_a_kill_loses_no_acknowledged_record(path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert writer.stdout is not None
    for _ in range(30):
        writer.stdout.readline()
    writer.kill()
    acknowledged = [int(line) for line in writer.communicate()[0].splitlines() if line]
    log = DecisionLog(path)
    log.close()
    assert log.head[0] >= (acknowledged[-1] if acknowledged else 90)
    assert verify([path], expect_last=log.head).ok


@pytest.mark.parametrize(
    "value",
    ["\ud800", float("nan"), 2**70, object(), {1: 2}, b"x", ("a", 1), Decimal("1e-40")],
    ids=["surrogate", "nan", "big-int", "object", "int-key", "bytes", "tuple", "small-decimal"],
)
def test_no_value_can_stop_the_log(path: Path, log: DecisionLog, value: Json) -> None:
    log.append([{"type": "x", "value": value}])
    assert verify([path], expect_last=log.head).ok


def test_nesting_cannot_stop_the_log(path: Path, log: DecisionLog) -> None:
    deep: Json = 1
    for _ in range(100_000):
        deep = [deep]
    log.append([{"type": "x", "value": deep}])
    assert verify([path], expect_last=log.head).ok


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text(),
    lambda i: st.lists(i) | st.dictionaries(st.text(), i),
    max_leaves=8,
)


@example([{"\ue000": None, "\U00010000": 9007199254740992.0}])
@given(st.lists(st.dictionaries(st.text(), _JSON), min_size=1, max_size=4))
def test_whatever_is_written_verifies(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Json]]
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    log = DecisionLog(path)
    log.append(records)
    log.close()
    assert verify([path], expect_last=log.head).problems == ()


def test_follow_survives_rotation_and_truncation(path: Path, log: DecisionLog) -> None:
    log.append([{"type": "x", "n": 1}])
    records = follow(path, from_start=True, poll_s=0.001)
    assert next(records)["n"] == 1
    log.append([{"type": "x", "n": 2}])
    path.rename(path.with_name("old"))
    log.append([{"type": "x", "n": 3}])
    assert [next(records)["n"] for _ in range(2)] == [2, 3]
    os.truncate(path, 0)  # copytruncate: the writer goes on in the same file
    log.append([{"type": "x"}])
    assert next(records)["seq"] == 4


def test_follow_from_the_end_and_bad_lines(path: Path, log: DecisionLog) -> None:
    log.append([RECORD])
    assert [r["seq"] for r in follow(path, from_start=True, until_idle=True)] == [1]
    assert list(follow(path, until_idle=True)) == []
    assert list(follow(path.with_name("none"), until_idle=True)) == []
    with path.open("ab") as file:
        file.write(b"junk\n[]\n")
    kinds = [r["type"] for r in follow(path, from_start=True, until_idle=True)]
    assert kinds == ["decision", "error", "error"]

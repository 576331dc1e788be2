"""What the log page finds: texts as people type them, in a log as it is written."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from proxy.inbox.web.log_search import Wanted, search

RECORDS = [
    {"type": "hold", "event": "denied", "reason": 'he said "no"'},
    {"type": "hold", "event": "denied", "reason": "Über dem Limit"},
    {"type": "hold", "event": "denied", "reason": "a\\b"},
]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param('said "NO"', [0], id="quotation-marks"),
        pytest.param("ÜBER dem", [1], id="another-case"),
        pytest.param("über", [1], id="small-letters"),
        pytest.param("a\\b", [2], id="backslash"),
        pytest.param("nothing like it", [], id="none"),
        pytest.param("", [2, 1, 0], id="anything"),
    ],
)
def test_a_text_is_found(tmp_path: Path, text: str, found: list[int]) -> None:
    log = tmp_path / "log.jsonl"
    log.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in RECORDS))
    got = search(log, Wanted(text=text)).records
    assert list(got) == [RECORDS[n] for n in found]

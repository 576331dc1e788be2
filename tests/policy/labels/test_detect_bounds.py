"""The detectors never raise and never take long, whatever the text is made of."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.labels.declared import Declared
from proxy.policy.labels.detect import detect
from proxy.policy.labels.schema import Returns
from proxy.policy.labels.span import MAX_CHARS, UNSCANNED

_SIZE = 1_000_000
_LIMIT_S = 8.0  # far above what is measured (under 1 s), far below what a stalled pattern takes

UNITS = [
    "a", "1", " ", "\n", "<", "<a ", "<!--", '"', '{"', "'", "-", "- ", "[", "\\", "a@", "a.", "1 ", "+1", "%41", "QUJD ", "|", "\u200b", "\U000e0041", "\U0001f3f4", "\ud800", "\0", "password: ", "password,b\n", "send ", "ignore all previous ", "you must ", "do not tell ", "the user has before you ", "tell the model to ", "4111 1111 1111 1112 ", "de12345678901234567890 ", "account number: ", "+49 30 901820 ", "tel 0309018201 ", '"x injection example ignore" ', "<p style='color:white'>", "a b ", "\u0430a ",
]  # fmt: skip


@pytest.mark.parametrize("unit", UNITS, ids=ascii)
def test_a_megabyte_of_one_thing_is_done_in_time(unit: str) -> None:
    text = unit * (_SIZE // len(unit))
    before = time.perf_counter()
    spans = detect(text)
    assert time.perf_counter() - before < _LIMIT_S
    assert spans[-1].label == UNSCANNED
    assert (spans[-1].start, spans[-1].end) == (MAX_CHARS, len(text))


_PIECES = st.sampled_from((
    "password: ", "ignore all previous instructions", "<system>", "</system>", "<!--", "-->", "\n\n", "\\n\\n", '"', "{", "}", "[", "]", ":", ",", "x@y.test", "DE89370400440532013000", "+49 30 901820", "4111111111111111", "\u200b", "\U000e0041", "\ud800", "\0", "é", "请忽略", "| a | password |", "send it to", "display:none", "&#x41;", "%20%20%20", "aGVsbG8gdGhlcmUgaG93IGFyZSB5b3U=", "- a: ", "&a", "*a",
))  # fmt: skip
_TEXTS = st.one_of(st.text(), st.lists(st.one_of(_PIECES, st.text(max_size=8))).map("".join))


@given(_TEXTS)
def test_any_text_has_an_answer_within_its_bounds(text: str) -> None:
    spans = detect(text)
    assert all(0 <= s.start < s.end <= len(text) for s in spans)
    assert list(spans) == sorted(spans, key=lambda s: (s.start, s.end, s.label))


_RETURNS = Declared(
    Returns.model_validate(
        {
            "trust": "trusted",
            "fields": {"**.a": ["secret"]},
            "untrusted_fields": ["b.*"],
            "trust_by": {"field": "**.from", "own": ["*@own.test"]},
        }
    )
)


@given(_TEXTS)
def test_any_result_has_a_declared_answer_within_its_bounds(text: str) -> None:
    applied = _RETURNS.apply(text)
    assert all(0 <= s.start < s.end <= len(text) for s in applied.spans)
    assert all(0 <= s.start <= s.end <= len(text) for s in applied.stretches)

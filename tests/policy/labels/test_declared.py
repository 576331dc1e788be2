"""What rules declare of results: labels by field, trust by field, trust by who wrote it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from proxy.policy.labels.declared import Declared
from proxy.policy.labels.schema import Returns


def _declared(**returns: Any) -> Declared:
    return Declared(Returns.model_validate(returns))


TICKET = json.dumps({"id": "T-1", "body": "send it", "customer": {"email": "c@x.test", "note": "hm"},
                     "items": [{"token": "t0k"}, {"deep": {"Token": "t1k"}}], "n": 3})  # fmt: skip

FIELDS = [
    pytest.param("customer.email", ["c@x.test"], id="a field of a field"),
    pytest.param("customer", ["c@x.test", "hm"], id="all that a field holds"),
    pytest.param("items.token", ["t0k"], id="of each item of a list"),
    pytest.param("**.token", ["t0k", "t1k"], id="anywhere, in either case"),
    pytest.param("*.email", ["c@x.test"], id="one step"),
    pytest.param("cust*.em*", ["c@x.test"], id="parts of steps"),
    pytest.param("email", [], id="not deeper than it says"),
    pytest.param("n", ["3"], id="a number"),
]


@pytest.mark.parametrize(("field", "values"), FIELDS)
def test_a_declared_field_is_labelled(field: str, values: list[str]) -> None:
    applied = _declared(fields={field: ["secret.x"]}).apply(TICKET)
    assert [TICKET[s.start : s.end] for s in applied.spans] == values


def _trust(declared: Declared, text: str, value: str) -> bool:
    applied = declared.apply(text)
    at = text.index(value)
    over = [s.trusted for s in applied.stretches if s.start <= at < s.end]
    return all(over) if over else applied.trusted


MAILBOX = json.dumps([
    {"from": "ann@own.test", "body": "hello"},
    {"from": "eve@evil.test", "body": "pay me"},
    {"from": "Ann <ann@own.test>", "body": "named"},
    {"from": "ann@own.test <eve@evil.test>", "body": "posing"},
    {"from": "eve@evil.test, ann@own.test", "body": "two"},
    {"from": "eve@own.test.evil.test", "body": "longer"},
    {"body": "nobody"},
])  # fmt: skip
DUMP = "- from: ann@own.test\n  body: 'hello\n\n    there'\n- from: eve@evil.test\n  body: pay me\n"
NESTED = json.dumps({"messages": [{"from": {"email": "ann@own.test"}, "body": "hello"},
                                  {"from": {"email": "eve@evil.test"}, "body": "pay me"}]})  # fmt: skip
MAIL = {"trust_by": {"field": "from", "own": ["*@own.test"]}}
DEEP = {"trust_by": {"field": "messages.from.email", "record": "messages", "own": ["*@own.test"]}}
BODY = {"trust": "trusted", "untrusted_fields": ["body", "**.note"]}
KEYED = json.dumps({"id": "T-1", "meta": {"pay eve": {}, "now": 1}, "end": 2})

TRUST = [
    pytest.param({}, TICKET, "T-1", False, id="nothing said is untrusted"),
    pytest.param({"trust": "trusted"}, TICKET, "send it", True, id="all is the store's own"),
    pytest.param(BODY, TICKET, "T-1", True, id="the id is the store's own"),
    pytest.param(BODY, TICKET, "send it", False, id="the body is a stranger's"),
    pytest.param(BODY, TICKET, "hm", False, id="a note deeper down"),
    pytest.param(BODY, TICKET, "c@x.test", True, id="between two of them"),
    pytest.param({"trust": "trusted", "untrusted_fields": ["meta"]}, KEYED, "pay eve", False, id="the keys in it"),
    pytest.param(BODY, "service down", "down", False, id="a result without fields"),
    pytest.param(MAIL, MAILBOX, "hello", True, id="a colleague's mail"),
    pytest.param(MAIL, MAILBOX, "pay me", False, id="a stranger's mail"),
    pytest.param(MAIL, MAILBOX, "named", True, id="a name before the address"),
    pytest.param(MAIL, MAILBOX, "posing", False, id="an address as a name"),
    pytest.param(MAIL, MAILBOX, "two", False, id="two addresses"),
    pytest.param(MAIL, MAILBOX, "longer", False, id="a longer host"),
    pytest.param(MAIL, MAILBOX, "nobody", False, id="no author"),
    pytest.param(MAIL, DUMP, "there", True, id="YAML, a colleague's"),
    pytest.param(MAIL, DUMP, "pay me", False, id="YAML, a stranger's"),
    pytest.param(MAIL, "a text", "text", False, id="no fields, no author"),
    pytest.param({**MAIL, "trust": "trusted"}, TICKET, "T-1", False, id="an author in no record"),
    pytest.param(DEEP, NESTED, "hello", True, id="an author one step down"),
    pytest.param(DEEP, NESTED, "pay me", False, id="a stranger one step down"),
    pytest.param({**MAIL, "untrusted_fields": ["body"]}, MAILBOX, "hello", False, id="both ways"),
]  # fmt: skip


@pytest.mark.parametrize(("returns", "text", "value", "expected"), TRUST)
def test_who_could_have_written_it_decides(
    returns: dict[str, Any], text: str, value: str, expected: bool
) -> None:
    assert _trust(_declared(**returns), text, value) is expected


def test_two_keys_of_one_name_are_both_read() -> None:
    text = '{"from": "eve@evil.test", "from": "ann@own.test", "body": "pay"}'
    assert not _trust(_declared(**MAIL), text, "pay")


def test_labels_of_fields_fall_on_all_of_a_result_that_has_none() -> None:
    applied = _declared(labels=["a"], fields={"x": ["secret"]}).apply("no such record")
    assert (applied.labels, applied.spans) == (("a", "secret"), ())


UNREADABLE = [
    pytest.param('{"a":' * 500 + "1" + "}" * 500, id="deep JSON"),
    pytest.param("- " * 60_000, id="deep lists on one line"),
    pytest.param("? " * 60_000, id="deep keys on one line"),
    pytest.param("[a: " * 300, id="deep brackets"),
    pytest.param("\n".join(" " * n + "a:" for n in range(300)), id="deep indents"),
    pytest.param("a: &a [*a]", id="a list in itself"),
    pytest.param("a: &a x\nbody: *a", id="an alias"),
    pytest.param("a: 1\n" * 30_000, id="too many fields"),
    pytest.param("a: 1\nb: [", id="broken"),
]


@pytest.mark.parametrize("text", UNREADABLE)
def test_what_cannot_be_read_is_untrusted(text: str) -> None:
    applied = _declared(**BODY, fields={"x": ["secret"]}).apply(text)
    assert (applied.trusted, applied.labels, applied.stretches) == (False, ("secret",), ())


MISTAKES = [
    pytest.param({"labels": ["Pii Email"]}, "'Pii Email' is not a dotted label such as pii.email", id="a label"),
    pytest.param({"fields": {"a b": ["x"]}}, "'a b' is not a field such as", id="a field"),
    pytest.param({"fields": ["a"]}, "expected fields with their labels", id="a list of fields"),
    pytest.param({"trust_by": {"field": "a", "own": ["*"]}}, "'*' is everybody", id="everybody"),
    pytest.param({"trust_by": {"field": "a", "own": []}}, "got an empty list", id="nobody"),
    pytest.param({"trust_by": {"own": ["*@x"]}}, "Field required", id="no field"),
    pytest.param({"trust": "maybe"}, "Input should be 'trusted' or 'untrusted'", id="a word"),
    pytest.param({"path": 1}, "Extra inputs are not permitted", id="an unknown key"),
]  # fmt: skip


@pytest.mark.parametrize(("returns", "message"), MISTAKES)
def test_a_mistake_is_told(returns: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as told:
        Returns.model_validate(returns)
    assert message in str(told.value)

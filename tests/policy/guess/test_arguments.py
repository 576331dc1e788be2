"""Where a call goes: targets by name and by shape, each by itself, however deep and however written."""

from __future__ import annotations

from decimal import Decimal

import pytest

from proxy.model import Json, Reason
from proxy.policy.cel import Scope
from proxy.policy.facts import NO_FACTS
from proxy.policy.guess.arguments import read_arguments, targets_of
from proxy.policy.guess.reader import GuessReader
from proxy.policy.load import default_lexicon, load_texts

TARGETS: dict[str, tuple[str, Json, list[str]]] = {
    "by-name": ("write", {"path": "a/b.txt", "content": "x"}, ["a/b.txt"]),
    "url-before-path": ("write", {"path": "a", "url": "https://x.invalid"}, ["https://x.invalid"]),
    "people-and-url": ("send", {"to": "a@b.example", "url": "https://x.invalid"}, ["https://x.invalid", "a@b.example"]),
    "cc-beside-to": ("send", {"to": ["a@b.example"], "cc": ["e@x.invalid"]}, ["a@b.example", "e@x.invalid"]),
    "camel-case": ("write", {"customerEmail": "a@b.example"}, ["a@b.example"]),
    "nested": ("send", {"m": {"rcpt": {"to": "a@b.example"}}}, ["a@b.example"]),
    "json-in-text": ("send", {"m": '{"to": ["a@b.example", "c@d.example"]}'}, ["a@b.example", "c@d.example"]),
    "json-in-json": ("send", {"m": '{"n": "{\\"to\\": \\"a@b.example\\"}"}'}, ["a@b.example"]),
    "address-by-shape": ("send", {"x": "a@b.example"}, ["a@b.example"]),
    "url-by-shape": ("write", {"q": "www.x.invalid/p"}, ["www.x.invalid/p"]),
    "account-by-shape": ("pay", {"x": "DE44 5001 0517 5407 3249 31"}, ["DE44 5001 0517 5407 3249 31"]),
    "list-in-text": ("send", {"to": "a@b.example; c@d.example"}, ["a@b.example", "c@d.example"]),
    "names-and-addresses": ("send", {"to": "Ann <a@b.example>, Bo <c@d.example>"}, ["a@b.example", "c@d.example"]),
    "a-mail-in-a-body-is-no-target": ("send", {"to": "a@b.example", "body": "e@x.invalid"}, ["a@b.example"]),
    "number": ("write", {"order_id": 4711}, ["4711"]),
    "decimal": ("write", {"id": Decimal("12.5")}, ["12.5"]),
    "free-text-tool": ("send", "a@b.example", ["a@b.example"]),
    "nothing": ("send", {}, []),
    "null": ("send", None, []),
    "true": ("send", {"to": True}, []),
}  # fmt: skip


@pytest.mark.parametrize(("act", "args", "expected"), TARGETS.values(), ids=TARGETS)
def test_targets(act: str, args: Json, expected: list[str]) -> None:
    lexicon = default_lexicon()
    found = targets_of(read_arguments(args, lexicon).values, act, lexicon)
    assert [target.text for target in found] == expected


def _deep(levels: int) -> Json:
    made: Json = "x"
    for _ in range(levels):
        made = [made]
    return made


@pytest.mark.parametrize(
    "args",
    [{"x": _deep(100)}, {"x": ["a"] * 10_000}, {"x": "[" * 60_000}, {"x": '{"a":' * 500 + "1" + "}" * 500}],
    ids=["deep", "wide", "brackets", "deep-json"],
)  # fmt: skip
def test_work_is_bounded(args: Json) -> None:
    found = read_arguments(args, default_lexicon())
    assert len(found.values) <= 512


def _produce(tool: str, args: Json) -> tuple[list[tuple[str, str | None]], list[Reason]]:
    reader = load_texts([("x.yaml", "version: 1\ntools:\n  - guess: '*'\n")]).tools[0].reader
    assert isinstance(reader, GuessReader)
    reasons: list[Reason] = []
    scope = Scope({"tool": tool, "args": args, "server": ""}, facts=NO_FACTS)
    made = reader.produce(scope, reasons)
    return [(p.effect.kind, p.effect.target) for p in made], reasons


EFFECTS: dict[str, tuple[str, Json, list[tuple[str, str | None]]]] = {
    "a-read": ("read_file", {"path": "a"}, []),
    "a-fetch": ("fetch", {"url": "https://x.invalid"}, [("data.fetch", "https://x.invalid")]),
    "a-fetch-each": ("fetch", {"urls": ["x.invalid", "y.invalid"]}, [("data.fetch", "x.invalid"), ("data.fetch", "y.invalid")]),
    "a-mail-each": ("send_email", {"to": ["a@b.example", "c@d.example"]}, [("message.external", "a@b.example"), ("message.external", "c@d.example")]),
    "no-target": ("create_event", {"title": "x"}, [("calendar.update", "create_event")]),
    "unknown": ("frobnicate", {"a": 1}, [("unknown.act", "frobnicate")]),
    "no-reader": ("get_mail", {"to": "a@b.example", "body": "x"}, [("unknown.act", "a@b.example")]),
    "a-search-is-one": ("search_emails", {"sender": "a@b.example", "query": "x"}, []),
    "a-human": ("transfer_to_human_agents", {"summary": "x"}, []),
}  # fmt: skip


@pytest.mark.parametrize(("tool", "args", "expected"), EFFECTS.values(), ids=EFFECTS)
def test_effects(tool: str, args: Json, expected: list[tuple[str, str | None]]) -> None:
    made, reasons = _produce(tool, args)
    assert made == expected
    assert reasons == []


@pytest.mark.parametrize(
    "args",
    [{"to": [f"p{n}@b.example" for n in range(65)]}, {"x": _deep(60)}],
    ids=["targets", "depth"],
)
def test_what_cannot_be_looked_at_whole_is_held(args: Json) -> None:
    made, reasons = _produce("send_email", args)
    assert len(made) <= 64
    assert [reason.verdict.label for reason in reasons] == ["hold"]

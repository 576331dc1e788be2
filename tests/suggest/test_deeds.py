"""What is proposed for a tool: from its name, its arguments, its definition, and never less than the guess would say."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.model import Call, Identity, Side, Trust
from proxy.policy.facts import Hints
from proxy.policy.load import default_lexicon
from proxy.policy.ruleset import RuleSet
from proxy.suggest.deeds import Deed, deed_of
from proxy.suggest.expressions import Measured, expression_of, measured
from proxy.suggest.fields import Fields

IBAN = "DE02120300000000202051"


def proposed(
    name: str, *calls: Any, schema: Any = None, description: str = "", hints: Hints | None = None
) -> tuple[Deed, Measured]:
    fields = Fields()
    fields.state(schema)
    for arguments in calls:
        fields.take(arguments)
    lexicon = default_lexicon()
    deed = deed_of(lexicon, name, fields, description, hints)
    return deed, measured(fields, deed.act, lexicon, description, money=deed.money)


def stated(**types: str) -> dict[str, Any]:
    properties = {name: {"type": kind} for name, kind in types.items()}
    return {"type": "object", "properties": properties, "required": list(types)}


@pytest.mark.parametrize(
    ("name", "arguments", "kind", "reversibility"),
    [
        ("get_order", {"order_id": "A"}, None, "reversible"),
        ("update_plan", {}, None, "reversible"),
        ("fetch_page", {"url": "https://e.example/x"}, "data.fetch", "reversible"),
        ("open_thing", {"x": "https://e.example/x"}, "record.update", "reversible"),
        ("get_secret", {"name": "db"}, "data.read.secret", "reversible"),
        ("refund_order", {"order_id": "A", "amount": 5}, "money.refund", "irreversible"),
        ("pay_bill", {"iban": IBAN, "amount": 5}, "money.payment", "irreversible"),
        ("transfer_funds", {"iban": IBAN, "amount": 5}, "money.transfer", "irreversible"),
        ("send_email", {"to": "a@b.example", "body": "x"}, "message.external", "irreversible"),
        ("delete_user", {"user_id": "u"}, "identity.revoke", "irreversible"),
        ("revoke_api_key", {"key_id": "k"}, "credential.revoke", "irreversible"),
        ("grant_access", {"user": "u"}, "identity.grant", "compensable"),
        ("deploy_service", {"name": "x"}, "deploy.production", "irreversible"),
        ("run_command", {"command": "ls"}, "code.exec", "irreversible"),
        ("book_hotel", {"hotel": "h"}, "order.place", "compensable"),
        ("zorb", {"x": "1"}, "unknown.act", "compensable"),
        ("zorb", {"amount": 5, "currency": "EUR"}, "money.payment", "irreversible"),
        ("zorb", {"recipient": "a@b.example", "body": "x"}, "message.external", "irreversible"),
        ("list_things", {"recipient": "a@b.example", "body": "x"}, "message.external", "irreversible"),
    ],
)  # fmt: skip
def test_kinds(name: str, arguments: Any, kind: str | None, reversibility: str) -> None:
    """The name's first acting word, what it is about, and the arguments where it says nothing."""
    deed, _ = proposed(name, arguments)
    assert (deed.kind, deed.reversibility.value) == (kind, reversibility)


@pytest.mark.parametrize(
    ("calls", "schema", "amount", "unit", "unit_from", "target"),
    [
        ([{"amount": 5, "id": "A"}], None, "args.amount", "unstated", None, "args.id"),
        ([{"amount": "5.00", "id": 7}], None, "args.amount", "unstated", None, "args.id"),
        ([{"order": {"amount": 5, "id": "A"}}], None, "args.order.amount", "unstated", None, "args.order.id"),
        ([{"amount": 5, "currency": "eur"}], None, "args.amount", None, "args.currency", None),
        ([{"amount": 5, "currency": "EUR"}, {"amount": 5}], None, "args.amount", "EUR", None, None),
        ([{"amount": 5, "currency": "moon"}], None, "args.amount", "unstated", None, None),
        ([{"amount_usd": 5}], None, "args.amount_usd", "USD", None, None),
        ([{"amount_cents": 500}], None, "num(args.amount_cents) / 100.0", "unstated", None, None),
        ([{"total": 1, "amount": 2}], None, "args.amount", "unstated", None, None),
        ([{"max_amount": 1}], None, None, None, None, None),
        ([{"amount": 5}, {}], None, None, None, None, None),
        ([{"amount": 5}, {"amount": "5,00"}], None, None, None, None, None),
        ([{"amount": -5}], None, None, None, None, None),
        ([{"amount": "[redacted:field]"}], None, None, None, None, None),
        (["text"], None, None, None, None, None),
        ([], stated(amount="number", order_id="string"), "args.amount", "unstated", None, "args.order_id"),
        ([], {"properties": {"amount": {"type": "number"}}}, None, None, None, None),
        ([{"amount": 5, "order_id": ""}], None, "args.amount", "unstated", None, None),
        ([{"amount": 5, "order_id": "A"}, {"amount": 5}], None, "args.amount", "unstated", None, None),
        ([{"amount": 5, "in": "A"}], None, "args.amount", "unstated", None, None),
        ([{"amount": 5, "order-id": "A"}], None, "args.amount", "unstated", None, None),
        ([{"amount": 5, "x": IBAN}], None, "args.amount", "unstated", None, "args.x"),
        ([{"amount": 5, "to": ["a@b.example"]}], None, "args.amount", "unstated", None, None),
    ],
)  # fmt: skip
def test_expressions(
    calls: list[Any], schema: Any, amount: str | None, unit: str | None, unit_from: str | None, target: str | None
) -> None:  # fmt: skip
    """Only what every call had and could be read; what was never called goes by what it requires."""
    _, told = proposed("pay_now", *calls, schema=schema)
    assert (told.amount, told.unit, told.unit_from, told.target) == (
        amount,
        unit,
        unit_from,
        target,
    )


@pytest.mark.parametrize(
    ("description", "amount", "unit"),
    [
        ("Pays an amount in euros.", "args.amount", "EUR"),
        ("Pays an amount in USD.", "args.amount", "USD"),
        ("Pays in EUR or USD.", "args.amount", "unstated"),
        ("Pays ALL you TRY.", "args.amount", "unstated"),
        ("Pays; the amount is in cents.", "args.amount", "unstated"),
    ],
)
def test_a_description_names_a_currency_and_makes_no_amount_smaller(
    description: str, amount: str, unit: str
) -> None:
    _, told = proposed("pay_now", {"amount": 5}, description=description)
    assert (told.amount, told.unit) == (amount, unit)


@pytest.mark.parametrize(
    ("name", "hints", "description", "kind", "other"),
    [
        pytest.param("zorb", Hints(), "Deletes all rows.", "record.delete", None, id="stricter-by-description"),
        pytest.param("zorb", Hints(), "Gets a row.", "unknown.act", "effects: []", id="weaker-is-a-comment"),
        pytest.param("delete_row", Hints(), "Gets a row.", "record.delete", "effects: []", id="name-first"),
        pytest.param("get_row", Hints(), "Sends it to all.", None, "message.external", id="reader-described"),
        pytest.param("delete_row", Hints(read_only=True), "", "record.delete", "effects: []", id="read-only"),
        pytest.param("delete_row", Hints(destructive=False), "", "record.delete", None, id="harmless"),
        pytest.param("get_row", Hints(read_only=False), "", "unknown.act", "effects: []", id="not-read-only"),
        pytest.param("get_row", Hints(destructive=True), "", "record.delete", "effects: []", id="destructive"),
        pytest.param("get_row", Hints(open_world=True), "", None, "data.egress", id="open-world"),
    ],
)  # fmt: skip
def test_a_strangers_word_never_makes_it_weaker(
    name: str, hints: Hints, description: str, kind: str | None, other: str | None
) -> None:
    """A server's annotations and a description make it stricter, or stand beside it in a comment."""
    deed, _ = proposed(name, {"x": "1"}, description=description, hints=hints)
    assert deed.kind == kind
    assert other is None or other in [one.entry for one in deed.others]
    if kind is not None:
        assert all(one.entry != kind for one in deed.others)


NAMES = [
    "get_order",
    "list_files",
    "search",
    "refund",
    "pay",
    "send_email",
    "post_comment",
    "delete_file",
    "rm",
    "grant_access",
    "run",
    "deploy",
    "book",
    "create_issue",
    "add_event",
    "zorb",
    "open_page",
    "upload",
    "rotate_key",
    "check_and_delete",
    "email",
]


@pytest.mark.parametrize(
    "hints", [Hints(), Hints(True, False, False)], ids=["silent", "all-harmless"]
)
@pytest.mark.parametrize(
    "arguments", [{}, {"url": "https://e.example"}, {"to": "a@b.example", "text": "x"}]
)
@pytest.mark.parametrize("name", NAMES)
def test_never_nothing_where_the_guess_sees_something(
    name: str, arguments: dict[str, str], hints: Hints
) -> None:
    """With every hint and description on the side of harmlessness, `effects: []` is proposed only where a guess has none."""
    guess = RuleSet.load_text("g.yaml", 'version: 1\ntools: [{guess: "*"}]\n')
    call = Call("c", name, arguments, "mcp", side=Side.MCP)
    seen = guess.assess(call, Identity("s", "a", Trust.CREDENTIAL, Trust.CREDENTIAL)).effects
    deed, _ = proposed(name, arguments, hints=hints, description="Gets something harmless.")
    assert deed.kind is not None or not seen


@pytest.mark.parametrize(
    ("path", "written"),
    [
        (("a",), "args.a"),
        (("a", "b_1"), "args.a.b_1"),
        (("a-b",), None),
        (("a b",), None),
        (("in",), None),
        (("true",), None),
        (("",), None),
        (("a\n",), None),
        (("é",), None),
        (("$a",), None),
        (('a"] == 1 || args["b',), None),
    ],
)
def test_only_plain_names_become_expressions(path: tuple[str, ...], written: str | None) -> None:
    assert expression_of(path) == written

"""`lexicon:` in rule files: its mistakes with their places, tables that replace, the user's words."""

from __future__ import annotations

import pytest

from proxy.policy.guess.lexicon import Lexicon
from proxy.policy.load import default_lexicon, load_texts
from proxy.policy.problems import RuleErrors

MISTAKES = {
    "a-key-nobody-knows": ("{verbs: {read: get}}", "unknown key 'verbs'"),
    "an-act-nobody-knows": (
        "{acts: {reed: get}}",
        "acts: 'reed' is not known here; did you mean 'read'?",
    ),
    "words-in-a-list": (
        "{acts: {read: [get]}}",
        "acts: expected the words of 'read' as text, apart by spaces, got a list",
    ),
    "no-words": (
        "{weak: 3}",
        "weak: expected words as text, apart by spaces, got a number",
    ),
    "a-sign-in-a-word": (
        "{weak: 'a*b'}",
        "weak: 'a*b' is no word of letters, digits, '_' and '-'",
    ),
    "a-pattern-that-is-none": (
        "{owes: ['(bill']}",
        "owes: '(bill' is no RE2 pattern: missing ): (bill",
    ),
    "a-look-ahead": (
        "{owes: ['(?=x)']}",
        "owes: '(?=x)' is no RE2 pattern: invalid perl operator: (?=",
    ),
    "one-pattern-alone": (
        "{delegates: 'x'}",
        "delegates: expected a list of at most 50 RE2 patterns, got text",
    ),
    "a-kind-that-is-none": (
        "{kinds: {send: Message}}",
        "kinds: 'Message' is not a dotted kind such as money.refund",
    ),
    "a-kind-of-nothing": (
        "{kinds: {sent.message: message.external}}",
        "kinds: 'sent.message' is neither an act nor act.domain; did you mean 'send'?",
    ),
    "an-act-without-its-domain": (
        "{acts_of_kinds: {'money.*': pay}}",
        "acts_of_kinds: 'money.*' needs an act and a domain, such as 'send message', got 'pay'",
    ),
    "a-word-of-undoing": (
        "{reversibility: {pay: never}}",
        "reversibility: 'never' is not one of reversible, compensable, irreversible",
    ),
    "no-mapping": (
        "{nature: hard}",
        "nature: expected a mapping of outbound, irreversible, hard, got text",
    ),
}


@pytest.mark.parametrize(("tables", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_its_place(tables: str, said: str) -> None:
    with pytest.raises(RuleErrors) as caught:
        load_texts([("x.yaml", f"version: 1\nlexicon:\n  {tables}\n")])
    place, _, text = str(caught.value).partition(" ")
    assert (place[:9], text) == ("x.yaml:3:", said)


def _with(tables: str) -> Lexicon:
    return load_texts([("x.yaml", f"version: 1\nlexicon:\n{tables}")]).lexicon


def test_a_stated_table_replaces_the_shipped_one_and_no_other() -> None:
    lexicon = _with("  acts: {send: zap}\n")
    assert lexicon.named("zap_mail").act == "send"
    assert lexicon.named("send_mail").act == "unknown"
    assert lexicon.named("zap_mail").domain == default_lexicon().named("send_mail").domain


def test_of_two_files_the_first_goes_before_the_second() -> None:
    texts = [
        ("a.yaml", "version: 1\npack: a\nlexicon: {weak: one}\n"),
        ("b.yaml", "version: 1\npack: b\nlexicon: {weak: two, own: mine}\n"),
    ]
    part = load_texts(texts).lexicon.part
    assert (part.weak, part.own) == (("one",), ("mine",))


ASKED = [
    ("send_email", "Mail Jo the minutes.", True),
    ("send_email", "Bitte schicke Jo das Protokoll.", True),
    ("send_email", "What is the weather?", False),
    ("delete_file", "Remove old drafts", True),
    ("delete_file", "Écris un poème", False),
    ("delete_file", "Supprime le fichier", False),  # a form that the table has not
    ("send_money", "Send 20 to Otto", True),
    ("send_money", "Send me the list at 10:30", False),
    ("enable_roaming", "Why has my phone no roaming abroad?", True),
    ("run_sql", "Run the tests", True),
    ("get_everything", "hello", False),
    ("send_email", "Show me my unread emails", False),
    ("send_email", "Please email her, and draft a message for Jo", True),
    ("send_email", "Tell me what is new, and let me know who wrote", False),
    ("send_email", "Tell Meredith what is new", True),
    ("send_email", "Share the figures with Ursula", True),
    ("send_email", "Share the names of the best two", False),
    ("create_calendar_event", "Where can we have dinner in Lyon?", False),
    ("create_calendar_event", "Put the lunch with Ann on Friday", True),
    ("send_message", "Summarise the messages of today", False),
    ("reserve_hotel", "Which hotel has the best reviews?", False),
    ("reserve_hotel", "Find a hotel and make a reservation", True),
    ("add_user_to_channel", "Add Ann to the garden channel", True),
    ("add_user_to_channel", "Who is in the garden channel?", False),
]


@pytest.mark.parametrize(
    ("tool", "said", "expected"), ASKED, ids=[f"{t}-{s[:20]}" for t, s, _ in ASKED]
)
def test_the_users_words_ask_for_an_act(tool: str, said: str, expected: bool) -> None:
    lexicon = default_lexicon()
    assert lexicon.asked(lexicon.named(tool), lexicon.said(said)) is expected


POINTED = [
    ("marlene.ott@works.example", "Tell Marlene that I am late", True),
    ("marlene.ott@works.example", "Tell Jo that I am late", False),
    ("lee@bluemail.example", "Write to jo@friends.example", False),  # ".example" points at nobody
    ("https://news.example.org/a/b", "Look at example.org", True),
    ("https://example.org.evil.invalid/", "Look at www.my-news.org", False),
    ("invoice-4711.pdf", "Open invoice 4711", True),
    ("files/document.txt", "Open the file", False),
    ("www.my-website.invalid", "Find her address on the website", False),
]


@pytest.mark.parametrize(("target", "said", "expected"), POINTED, ids=[t for t, _, _ in POINTED])
def test_the_users_words_point_at_a_target(target: str, said: str, expected: bool) -> None:
    lexicon = default_lexicon()
    assert lexicon.points_at(lexicon.said(said), target) is expected


@pytest.mark.parametrize(
    ("said", "delegated", "owes"),
    [
        ("Do what the mail from Ann says", True, False),
        ("Please complete the tasks on my list", True, False),
        ("Erledige die Aufgaben aus der Liste", True, False),
        ("Do the following tasks in this order: 1. Mail Jo.", False, False),
        ("Pay the invoice", False, True),
        ("What time is it", False, False),
    ],
)
def test_who_hands_over_and_who_owes(said: str, delegated: bool, owes: bool) -> None:
    found = default_lexicon().said(said)
    assert (found.delegated, found.owes) == (delegated, owes)


@pytest.mark.parametrize(
    ("kind", "act"),
    [
        ("money.refund", "pay"),
        ("money.quote", "read"),
        ("message.draft", "write"),
        ("message.external", "send"),
        ("record.delete", "destroy"),
        ("data.read.secret", "read"),
        ("data.egress", "publish"),
        ("identity.token.issue", "grant"),
        ("deploy.production", "exec"),
        ("made.up", "write"),
    ],
)
def test_a_mapped_effect_is_an_act_too(kind: str, act: str) -> None:
    assert default_lexicon().of_kind(kind).act == act

"""The people file's keys about notices: what is taken, what is refused and how, and that nothing of it shows a secret."""

from __future__ import annotations

import re
from typing import Any

import pytest

from proxy.model import Reversibility
from proxy.notices.reading import notices_from
from proxy.notices.schema import NoticesPart
from proxy.notices.targets import Notice, Notices, about
from tests.notices.made import ask, hold

SECRET = "0123456789abcdef-hook-secret"
TOKEN = "T0K3N-in-the-url"
ENVIRONMENT = {"CHAT": f"json://127.0.0.1/{TOKEN}", "HOOK": SECRET, "EMPTY": " "}


def read(**keys: Any) -> Notices:
    return notices_from({"people": [{"name": "eve"}], **keys}, ENVIRONMENT)


def webhook(**changes: Any) -> dict[str, Any]:
    return {"name": "siem", "url": f"https://siem/{TOKEN}", "secret": "env:HOOK", **changes}


def test_everything_that_can_be_said() -> None:
    made = read(
        notices=[
            {
                "name": "oncall",
                "to": ["env:CHAT", "mailtos://user:pass@example.org"],
                "groups": ["leads", "security"],
                "when": {"irreversible": True, "kinds": ["money.*"], "rules": "refund*"},
                "digest": "5m",
            },
            {"name": "all", "to": "env:CHAT"},
        ],
        quiet={"hours": "Mon-Fri 22:00-07:00", "zone": "Europe/Berlin", "but": "security"},
        webhooks=[webhook(events=["held", "answered"])],
        url="https://desk.internal:8081/",
    )
    first, second = made.notices
    assert first.lanes == ("notice:oncall#1", "notice:oncall#2")
    assert first.groups == {"leads", "security"}
    assert first.digest_ms == 300_000
    assert (second.lanes, second.digest_ms) == (("notice:all",), 60_000)
    assert second.urls == (ENVIRONMENT["CHAT"],)
    assert made.quiet is not None
    assert made.quiet.but == {"security"}
    assert made.webhooks[0].events == {"held", "answered"}
    assert made.webhooks[0].secret == SECRET.encode()
    assert made.url == "https://desk.internal:8081"
    assert not any(hidden in repr(made) for hidden in (SECRET, TOKEN, "pass"))


def test_what_was_read_shows_no_secret_either() -> None:
    notice = {"name": "a", "to": f"json://x/{TOKEN}"}
    part = NoticesPart.model_validate({"notices": (notice,), "webhooks": (webhook(secret=SECRET),)})
    assert TOKEN not in repr(part)
    assert SECRET not in repr(part)


def test_nobody_is_told_where_nothing_is_said() -> None:
    assert not read()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        pytest.param(
            {"notices": [{"name": "a"}]}, "notices.0.to: this key is missing", id="missing"
        ),
        pytest.param(
            {"notices": [{"name": "a", "to": "env:CHAT", "group": "x"}]},
            "notices.0.group: there is no such key",
            id="unknown-key",
        ),
        pytest.param(
            {"notices": [{"name": "a", "to": 5}]},
            "notices.0.to: expected an apprise URL",
            id="no-text",
        ),
        pytest.param({"notices": [{"name": "a", "to": []}]}, "got an empty list", id="to-nobody"),
        pytest.param(
            {"notices": [{"name": "a", "to": "env:CHAT", "digest": "soon"}]},
            "notices.0.digest: expected a time span such as 30s",
            id="digest",
        ),
        pytest.param(
            {"notices": [{"name": "a", "to": "env:NONE"}]},
            "notice 'a': the environment variable NONE is not set",
            id="unset",
        ),
        pytest.param(
            {"notices": [{"name": "a", "to": "env:EMPTY"}]}, "EMPTY is not set", id="empty-variable"
        ),
        pytest.param(
            {"notices": [{"name": "a", "to": f"chatter://{TOKEN}"}]},
            "notice 'a': no service of apprise takes a URL like this 'chatter://' one",
            id="no-service",
        ),
        pytest.param(
            {"notices": [{"name": "a", "to": TOKEN}]},
            "apprise takes this; it is no URL",
            id="no-url",
        ),
        pytest.param(
            {"notices": [{"name": "a", "to": "env:CHAT"}, {"name": "a", "to": "env:CHAT"}]},
            "notice 'a': two have this name",
            id="twice",
        ),
        pytest.param(
            {"notices": [{"name": "a", "to": "env:CHAT", "when": {"irreversible": "yes"}}]},
            "notices.0.when.irreversible: expected true or false",
            id="when",
        ),
        pytest.param(
            {"quiet": {"hours": "at night"}}, "quiet: hours: 'at night' is not such as", id="hours"
        ),
        pytest.param(
            {"quiet": {"hours": "22:00-07:00", "zone": "Berlin"}},
            "unknown time zone 'Berlin'",
            id="zone",
        ),
        pytest.param({"quiet": {"hours": "00:00-24:00"}}, "the hours never end", id="for-ever"),
        pytest.param(
            {"quiet": {"hours": "Mon-Sun 12:00-00:00, Mon-Sun 00:00-12:00"}},
            "the hours never end",
            id="for-ever-in-parts",
        ),
        pytest.param(
            {"webhooks": [webhook(secret="short")]}, "shorter than 16 characters", id="short"
        ),
        pytest.param(
            {"webhooks": [webhook(url=f"ftp://{TOKEN}")]}, "'url' is no http(s) URL", id="ftp"
        ),
        pytest.param(
            {"webhooks": [webhook(url=f"http://siem/{TOKEN}")]}, "is not https", id="clear"
        ),
        pytest.param({"webhooks": [webhook(url="https://[")]}, "is no http(s) URL", id="no-host"),
        pytest.param(
            {"webhooks": [webhook(events=["hold"])]},
            "webhooks.0.events: 'hold' is not one of held, escalated",
            id="event",
        ),
        pytest.param(
            {"webhooks": [webhook(), webhook()]}, "webhook 'siem': two have", id="two-hooks"
        ),
        pytest.param({"url": "desk.internal"}, "url: not an http(s) URL", id="base"),
        pytest.param({"url": "https://desk/?a=b"}, "url: not an http(s) URL", id="base-with-query"),
    ],
)
def test_what_is_refused(keys: dict[str, Any], message: str) -> None:
    """The message says where, and quotes neither URL nor secret."""
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read(**keys)
    assert TOKEN not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_webhook_on_this_machine_may_do_without_tls() -> None:
    assert (
        read(webhooks=[webhook(url="http://127.0.0.1:9000/x")]).webhooks[0].url.startswith("http:")
    )


def _notice(name: str, *groups: str, **more: Any) -> Notice:
    return Notice(name, ("json://x",), frozenset(groups), **more)


@pytest.mark.parametrize(
    ("notices", "asked", "told"),
    [
        pytest.param(
            [_notice("leads", "leads"), _notice("all")], ("leads",), ["leads", "all"], id="asked"
        ),
        pytest.param([_notice("leads", "leads"), _notice("all")], (), ["all"], id="whoever"),
        pytest.param([_notice("leads", "leads"), _notice("all")], ("law",), ["all"], id="others"),
        pytest.param(
            [_notice("leads", "leads"), _notice("ops", "ops")],
            ("law",),
            ["leads", "ops"],
            id="nobody-else",
        ),
        pytest.param(
            [_notice("a", irreversible=False), _notice("b", irreversible=True)],
            (),
            ["b"],
            id="irreversible",
        ),
        pytest.param(
            [_notice("a", kinds=("data.*",)), _notice("b", kinds=("money.*",))],
            (),
            ["b"],
            id="kinds",
        ),
        pytest.param(
            [_notice("a", rules=("x*",)), _notice("b", rules=("ref*",))], (), ["b"], id="rules"
        ),
        pytest.param([_notice("a", "ops", rules=("x",))], ("law",), [], id="unwanted"),
    ],
)
def test_who_is_told_of_a_hold(
    notices: list[Notice], asked: tuple[str, ...], told: list[str]
) -> None:
    """By the groups that the hold asks; a hold that none is about goes to all, as far as they want its kind."""
    one = hold(asks=(ask(*asked),))
    assert one.effects[0].reversibility is Reversibility.IRREVERSIBLE
    assert [notice.name for notice in about(notices, one, asked)] == told

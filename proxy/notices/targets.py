"""Whom notices and webhooks go to, ready to be used: the people file's keys with every reference resolved.

What belongs here: `Notices` and its parts, and how they are made of what the file says (`schema.py`). URLs of targets carry tokens, so
they and secrets are in no `repr` and in no message. Everything that can be found wrong is found here, before the proxy takes a
connection: an unset variable, a URL that no service answers to, hours that never end.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from proxy.model import Hold, Reversibility
from proxy.notices.schema import NoticePart, NoticesPart, QuietPart, WebhookPart
from proxy.policy.hours import Hours, HoursFault, read_hours

_ENV = "env:"
_SHORTEST_SECRET = 16
_MINUTE_MS = 60_000
_SCHEME = re.compile(r"[a-z][a-z0-9+]{1,15}://")
_LONGEST_QUIET_MINUTES = 8 * 24 * 60


@dataclass(frozen=True, slots=True)
class Notice:
    """One place that people read: where it is, what it is about, how long it bundles."""

    name: str
    urls: tuple[str, ...] = field(repr=False)
    groups: frozenset[str] = frozenset()  # whose holds; empty: everybody's
    irreversible: bool | None = None
    kinds: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    digest_ms: int = _MINUTE_MS

    @property
    def lanes(self) -> tuple[str, ...]:
        """The outbox's lanes, one a URL, so that one that fails keeps no other waiting."""
        if len(self.urls) == 1:
            return (f"notice:{self.name}",)
        return tuple(f"notice:{self.name}#{n}" for n in range(1, len(self.urls) + 1))

    def is_about(self, hold: Hold) -> bool:
        """Whether `when` lets a hold pass; groups are asked apart."""
        if self.irreversible is not None:
            last = any(e.reversibility is Reversibility.IRREVERSIBLE for e in hold.effects)
            if last is not self.irreversible:
                return False
        if self.kinds and not any(_fits(effect.kind, self.kinds) for effect in hold.effects):
            return False
        stated = [reason.rule for reason in hold.reasons if not reason.shadow]
        return not self.rules or any(_fits(rule, self.rules) for rule in stated)


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours in which only some are told."""

    hours: Hours
    but: frozenset[str] = frozenset()

    def ends_at_ms(self, now_ms: int) -> int | None:
        """Returns when the quiet that now is will be over; None: it is not quiet."""
        if not self.hours.contain(now_ms):
            return None
        at_ms = now_ms // _MINUTE_MS * _MINUTE_MS
        for _ in range(_LONGEST_QUIET_MINUTES):
            at_ms += _MINUTE_MS
            if not self.hours.contain(at_ms):
                break
        return at_ms


@dataclass(frozen=True, slots=True)
class Webhook:
    """One system that is told of events."""

    name: str
    url: str = field(repr=False)
    secret: bytes = field(repr=False)
    events: frozenset[str] = frozenset()

    @property
    def lane(self) -> str:
        return f"webhook:{self.name}"


@dataclass(frozen=True, slots=True)
class Notices:
    """Everybody who is told of something."""

    notices: tuple[Notice, ...] = ()
    quiet: Quiet | None = None
    webhooks: tuple[Webhook, ...] = ()
    url: str | None = None  # what links begin with, without a '/' at its end

    def __bool__(self) -> bool:
        return bool(self.notices or self.webhooks)


def about(notices: Sequence[Notice], hold: Hold, groups: Sequence[str]) -> tuple[Notice, ...]:
    """Returns the notices that tell of a hold which asks these groups.

    A hold that asks for a group that no notice names, or for none, goes to the notices without groups; where there are none such, to
    all: nobody hearing of it would be worse.
    """
    wanted = tuple(notice for notice in notices if notice.is_about(hold))
    asked = set(groups)
    met = tuple(n for n in wanted if not n.groups or not asked.isdisjoint(n.groups))
    return met or wanted


def compile_notices(part: NoticesPart, environment: Mapping[str, str] | None = None) -> Notices:
    """Returns whom to tell.

    Args:
        environment: where `env:NAME` is looked up; the process's own by default.

    Raises:
        ValueError: something of it cannot be used; the text says what, and quotes no URL or secret.
    """
    known = os.environ if environment is None else environment
    notices = tuple(_notice(one, known) for one in part.notices)
    webhooks = tuple(_webhook(one, known) for one in part.webhooks)
    for what, names in (
        ("notice", [one.name for one in notices]),
        ("webhook", [one.name for one in webhooks]),
    ):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{what} '{twice[0]}': two have this name; give each its own")
    return Notices(notices, _quiet(part.quiet), webhooks, _base(part.url))


def _notice(part: NoticePart, environment: Mapping[str, str]) -> Notice:
    from proxy.notices.chat import is_target

    where = f"notice '{part.name}'"
    urls = tuple(_resolved(url, where, environment) for url in part.to)
    for number, url in enumerate(urls, 1):
        if not is_target(url):
            which = f" (number {number} of 'to')" if len(urls) > 1 else ""
            scheme = _SCHEME.match(url)
            told = f"a URL like this '{scheme[0]}' one" if scheme else "this; it is no URL"
            raise ValueError(
                f"{where}{which}: no service of apprise takes {told}; "
                "https://github.com/caronc/apprise/wiki lists what each looks like"
            )
    return Notice(
        part.name,
        urls,
        frozenset(part.groups),
        part.when.irreversible,
        part.when.kinds,
        part.when.rules,
        part.digest_ms,
    )


def _webhook(part: WebhookPart, environment: Mapping[str, str]) -> Webhook:
    where = f"webhook '{part.name}'"
    url = _resolved(part.url, where, environment)
    secret = _resolved(part.secret, where, environment)
    parts = _web(url)
    if parts is None:
        raise ValueError(f"{where}: 'url' is no http(s) URL")
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise ValueError(
            f"{where}: 'url' is not https; what holds say of calls is not sent over a network in clear"
        )
    if len(secret) < _SHORTEST_SECRET:
        raise ValueError(
            f"{where}: 'secret' is shorter than {_SHORTEST_SECRET} characters; make one with "
            "`openssl rand -hex 32`"
        )
    return Webhook(part.name, url, secret.encode(), frozenset(part.events))


def _quiet(part: QuietPart | None) -> Quiet | None:
    if part is None:
        return None
    try:
        hours = read_hours(part.hours, part.zone)
    except HoursFault as error:
        raise ValueError(f"quiet: {error}") from error
    if all(hours.contain(minute * _MINUTE_MS) for minute in range(7 * 24 * 60)):
        raise ValueError("quiet: the hours never end; nobody would be told")
    return Quiet(hours, frozenset(part.but))


def _base(url: str | None) -> str | None:
    if url is None:
        return None
    parts = _web(url)
    if parts is None or parts.query or parts.fragment or parts.username:
        raise ValueError("url: not an http(s) URL such as https://desk.internal:8081")
    return url.rstrip("/")


def _web(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if usable and url.isascii() and url.isprintable() and " " not in url else None


def _resolved(value: str, where: str, environment: Mapping[str, str]) -> str:
    if not value.startswith(_ENV):
        return value
    name = value.removeprefix(_ENV)
    found = environment.get(name, "").strip()
    if not found:
        raise ValueError(f"{where}: the environment variable {name} is not set")
    return found


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _fits(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)

"""The shape of the people file's keys about notices: `notices`, `quiet`, `webhooks` and `url`.

What belongs here: pydantic models of the keys as written. What a reference (`env:NAME`), an hour or a URL means is found where they are
compiled (`targets.py`). No message of this module quotes a target, a URL or a secret: they stand in the file as what they are.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from proxy.model import Json
from proxy.policy.amounts import json_type
from proxy.policy.values import Name, Texts, as_kind_globs, as_text, as_window, as_word, fault


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, populate_by_name=True
    )


EVENTS = (
    "held",
    "escalated",
    "consented",
    "answered",
    "used",
    "expired",
    "abandoned",
    "superseded",
    "granted",
    "revoked",
    "frozen",
    "thawed",
)
"""What a webhook can be told; docs/notices.md says when each is."""


def _events(value: Json) -> tuple[str, ...]:
    listed = value if isinstance(value, list | tuple) else [value]
    if not listed:
        raise fault("expected events such as held, got an empty list")
    return tuple(dict.fromkeys(as_word(event, EVENTS) for event in listed))


def _hidden(value: Json, what: str) -> str:
    """A text that is never quoted."""
    if not isinstance(value, str) or not value.strip():
        raise fault(f"expected {what}, got {json_type(value) if value != '' else 'empty text'}")
    return value.strip()


def _targets(value: Json) -> tuple[str, ...]:
    listed = value if isinstance(value, list | tuple) else [value]
    if not listed:
        raise fault("expected an apprise URL, env:NAME, or a list of them, got an empty list")
    return tuple(_hidden(one, "an apprise URL or env:NAME") for one in listed)


def _truth(value: Json) -> bool:
    if not isinstance(value, bool):
        raise fault(f"expected true or false, got {json_type(value)}")
    return value


class WhenPart(_Part):
    """Which holds a notice is about, besides its groups; each key narrows it."""

    irreversible: Annotated[bool | None, BeforeValidator(_truth)] = None
    kinds: Annotated[tuple[str, ...], BeforeValidator(as_kind_globs)] = ()
    rules: Texts = ()


class NoticePart(_Part):
    """One place that people read."""

    name: Name
    to: Annotated[tuple[str, ...], BeforeValidator(_targets)] = Field(repr=False)
    groups: Texts = ()
    when: WhenPart = WhenPart()
    digest_ms: Annotated[int, BeforeValidator(as_window), Field(alias="digest")] = 60_000


class QuietPart(_Part):
    """When most notices wait."""

    hours: Annotated[
        str, BeforeValidator(lambda v: as_text(v, "hours such as 'Mon-Fri 22:00-07:00'"))
    ]
    zone: Annotated[
        str, BeforeValidator(lambda v: as_text(v, "a time zone such as Europe/Berlin"))
    ] = "UTC"
    but: Texts = ()


class WebhookPart(_Part):
    """One system that is told of events."""

    name: Name
    url: Annotated[str, BeforeValidator(lambda v: _hidden(v, "a URL or env:NAME"))] = Field(
        repr=False
    )
    secret: Annotated[str, BeforeValidator(lambda v: _hidden(v, "a secret or env:NAME"))] = Field(
        repr=False
    )
    events: Annotated[tuple[str, ...], BeforeValidator(_events)] = EVENTS


class NoticesPart(_Part):
    """The keys of the people file that are about notices."""

    notices: tuple[NoticePart, ...] = ()
    quiet: QuietPart | None = None
    webhooks: tuple[WebhookPart, ...] = ()
    url: Annotated[
        str | None, BeforeValidator(lambda v: as_text(v, "the URL that links begin with"))
    ] = None


KEYS = frozenset(NoticesPart.model_fields)
"""The people file's keys that are read here."""

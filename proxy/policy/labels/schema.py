"""The shape of `returns:` in a tool's entry: what a tool's results are, and who could write them.

What belongs here: the pydantic model as written; `declared` compiles it.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_core import PydanticCustomError

from proxy.model import Json
from proxy.policy.amounts import json_type

LABEL = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*")
FIELD = re.compile(r"[^\s.]+(\.[^\s.]+)*")
_MAX = 100


def _fault(text: str) -> PydanticCustomError:
    return PydanticCustomError("checkrein", "{text}", {"text": text})


def _listed(value: Json, pattern: re.Pattern[str], what: str) -> tuple[str, ...]:
    listed = value if isinstance(value, list | tuple) else [value]
    if len(listed) > _MAX:
        raise _fault(f"at most {_MAX} are possible here")
    for item in listed:
        if not isinstance(item, str):
            raise _fault(f"expected {what}, got {json_type(item)}")
        if len(item) > 200 or not pattern.fullmatch(item):
            raise _fault(f"'{item[:200]}' is not {what}")
    return tuple(listed)


def _labels(value: Json) -> tuple[str, ...]:
    return _listed(value, LABEL, "a dotted label such as pii.email")


def _fields(value: Json) -> tuple[str, ...]:
    return _listed(value, FIELD, "a field such as customer.email, items.*.id or **.token")


def _own(value: Json) -> tuple[str, ...]:
    made = _listed(value, re.compile(r"\S(?:.*\S)?"), "a glob such as *@example.com")
    if not made:
        raise _fault("expected a glob such as *@example.com, got an empty list")
    for glob in made:
        if not glob.strip("*"):
            raise _fault(f"'{glob}' is everybody; then say trust: trusted")
    return made


def _labelled(value: Json) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise _fault(f"expected fields with their labels, got {json_type(value)}")
    _fields(list(value))
    return {str(field): _labels(labels) for field, labels in value.items()}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class TrustBy(_Part):
    """Who wrote it decides: the field that says so, the record it speaks for, who is one's own.

    Without `record` it speaks for the object it stands in; for `messages.from.email`, which stands
    in `from`, say `record: messages`.
    """

    field: Annotated[str, BeforeValidator(lambda v: _one(v))]
    record: Annotated[str | None, BeforeValidator(lambda v: _one(v))] = None
    own: Annotated[tuple[str, ...], BeforeValidator(_own)]


def _one(value: Json) -> str:
    if not isinstance(value, str):
        raise _fault(f"expected a field as text, got {json_type(value)}")
    return _fields(value)[0]


class Returns(_Part):
    """What a tool's results are."""

    trust: Literal["trusted", "untrusted"] = "untrusted"
    labels: Annotated[tuple[str, ...], BeforeValidator(_labels)] = ()
    fields: Annotated[dict[str, tuple[str, ...]], BeforeValidator(_labelled)] = {}
    untrusted_fields: Annotated[tuple[str, ...], BeforeValidator(_fields)] = ()
    trust_by: TrustBy | None = None

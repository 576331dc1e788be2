"""What a value in a rule file must look like, and what is said where it does not.

What belongs here: `as_…`, each of which reads a YAML value as one thing (a name, a span of time, a host) or raises
pydantic's error with our wording. They stand in `BeforeValidator`s of the shapes in `schema.py`.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from proxy.model import Json
from proxy.policy.amounts import MAX_DIGITS, json_type
from proxy.policy.problems import did_you_mean

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
KIND = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*")
KIND_GLOB = re.compile(r"[a-z0-9.*?\[\]!-]+")
SPAN = re.compile(r"([1-9][0-9]{0,8})(s|m|h|d)")
OPERATION = re.compile(r"query|mutation|subscription")
METHOD = re.compile(r"[A-Za-z]+|\*")
UNIT = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def fault(text: str) -> PydanticCustomError:
    return PydanticCustomError("checkrein", "{text}", {"text": text})


def as_text(value: Json, what: str) -> str:
    if not isinstance(value, str):
        raise fault(f"expected {what}, got {json_type(value)}")
    if not value.strip():
        raise fault(f"expected {what}, got empty text")
    return value


def as_matching(value: Json, pattern: re.Pattern[str], what: str) -> str:
    text = as_text(value, what)
    if not pattern.fullmatch(text):
        raise fault(f"'{text}' is not {what}")
    return text


def as_texts(value: Json, what: str) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise fault(f"expected {what} or a list of them, got an empty list")
    return tuple(as_text(item, what) for item in listed)


def as_number(value: Json) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise fault(f"expected a number, got {json_type(value)}")
    made = Decimal(value)
    if made and (made.adjusted() >= MAX_DIGITS or made.adjusted() < -MAX_DIGITS):
        raise fault(f"expected a number of at most {MAX_DIGITS} digits")
    return made


def as_at_least(value: Json, least: str) -> Decimal:
    made = as_number(value)
    if made < 0 or (made == 0 and least == "more than 0"):
        raise fault(f"must be {least}, got {value}")
    return made


def as_share(value: Json) -> Decimal:
    made = as_number(value)
    if not 0 < made <= 1:
        raise fault(f"must be a share of the limit, more than 0 and at most 1, got {value}")
    return made


def as_window(value: Json) -> int:
    found = SPAN.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise fault("expected a time span such as 30s, 15m, 24h or 7d")
    return int(found[1]) * UNIT_MS[found[2]]


def as_expression(value: Json) -> str:
    return as_text(value, "a CEL expression as text")


def as_amount(value: Json) -> str | Decimal:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return as_at_least(value, "0 or more")
    return as_text(value, "a number or a CEL expression")


def as_hosts(value: Json) -> tuple[str, ...]:
    hosts = as_texts(value, "a host name")
    for host in hosts:
        if "/" in host or "@" in host or (":" in host and not host.startswith("[")):
            raise fault(
                f"host '{host}': name the host alone, without scheme, port or path; "
                "a rule is for every port, an IPv6 address stands in [brackets]"
            )
    return hosts


def as_path_template(value: Json) -> str:
    path = as_text(value, "a path such as /v1/refunds/{id}")
    if not path.startswith("/"):
        raise fault(f"the path '{path}' must start with '/'")
    names: list[str] = []
    for segment in path.split("/")[1:]:
        if found := re.fullmatch(r"\{([A-Za-z_][A-Za-z0-9_]*)\}", segment):
            names.append(found[1])
        elif set(segment) & set("{}*?#%;\\") or segment in (".", ".."):
            raise fault(
                f"the path segment '{segment}' is neither plain text nor one {{name}}; "
                "write it decoded, without a query"
            )
    if len(set(names)) != len(names):
        raise fault(f"the path '{path}' uses one name twice")
    return path


def as_unit(value: Json) -> str | dict[str, str]:
    if isinstance(value, dict):
        if set(value) != {"from"}:
            raise fault("expected a unit such as EUR, or {from: EXPRESSION}")
        return {"from": as_text(value["from"], "a CEL expression as text")}
    return as_matching(value, UNIT, "a unit such as EUR")


type Texts = Annotated[
    tuple[str, ...], BeforeValidator(lambda v: as_texts(v, "a name or glob as text"))
]
type Name = Annotated[
    str,
    BeforeValidator(lambda v: as_matching(v, NAME, "a name of letters, digits, '.', '_' and '-'")),
]
type Expression = Annotated[str, BeforeValidator(as_expression)]
type Stated = Literal["hold", "block"]


def as_only(value: Json, allowed: Json, written: str) -> Json:
    if type(value) is not type(allowed) or value != allowed:
        raise fault(f"only '{written}' is possible here")
    return value


def as_kind_globs(value: Json) -> tuple[str, ...]:
    return tuple(
        as_matching(kind, KIND_GLOB, "an effect kind or a glob over kinds")
        for kind in as_texts(value, "an effect kind or a glob over kinds")
    )


def as_word(value: Json, words: tuple[str, ...]) -> str:
    text = as_text(value, " or ".join(words))
    if text not in words:
        raise fault(f"'{text}' is not one of {', '.join(words)}{did_you_mean(text, words)}")
    return text

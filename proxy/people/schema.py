"""The shape of a people file: which keys there are, and of which type.

What belongs here: pydantic models of the file as written. `notices`, `quiet` and `webhooks` are read by whoever sends them.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from argon2 import extract_parameters
from argon2.exceptions import InvalidHashError
from pydantic import BaseModel, BeforeValidator, ConfigDict

from proxy.approval import Right
from proxy.model import Json
from proxy.policy.amounts import json_type
from proxy.policy.problems import did_you_mean
from proxy.policy.values import as_text, as_texts, fault

_PERSON = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@+-]{0,99}")
_TOKEN = re.compile(r"sha256:[0-9a-f]{64}")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _person(value: Json) -> str:
    text = as_text(value, "a name")
    if not _PERSON.fullmatch(text):
        raise fault(f"'{text}' is not a name of letters, digits, '.', '_', '@', '+' and '-'")
    return text


def _names(value: Json) -> tuple[str, ...]:
    return as_texts(value, "a name")


def _groups(value: Json) -> tuple[str, ...]:
    return tuple(_person(name) for name in as_texts(value, "a group's name"))


def _password(value: Json) -> str:
    text = as_text(value, "a hash from `checkrein people password`")
    if not text.startswith("$argon2id$"):
        raise fault("expected a hash from `checkrein people password`, not a password")
    try:
        extract_parameters(text)
    except InvalidHashError:
        raise fault(
            "is cut or altered; put the whole line from `checkrein people password` in quotes"
        ) from None
    return text


def _token(value: Json) -> str:
    text = as_text(value, "a digest from `checkrein people token`")
    if not _TOKEN.fullmatch(text):
        raise fault("expected sha256:… from `checkrein people token`, not a token")
    return text


def _rights(value: Json) -> tuple[Right, ...]:
    known = [right.value for right in Right]
    if isinstance(value, list | tuple) and not value:
        return ()  # who looks and does nothing
    made = []
    for word in as_texts(value, f"one of {', '.join(known)}"):
        if word not in known:
            raise fault(f"'{word}' is not one of {', '.join(known)}{did_you_mean(word, known)}")
        made.append(Right(word))
    if Right.RULES in made and Right.ANSWER in made:
        raise fault(
            "'rules' and 'answer' exclude each other: who edits rules does not answer what they hold"
        )
    if Right.RULES in made and Right.UNDO in made:
        raise fault(
            "'rules' and 'undo' exclude each other: who edits rules does not run the calls they name"
        )
    return tuple(made)


def _mapping(value: Json) -> dict[str, str]:
    if not isinstance(value, dict):
        raise fault(f"expected a mapping of names to texts, got {json_type(value)}")
    return {str(name): as_text(text, "a text") for name, text in value.items()}


def _url(value: Json) -> str:
    text = as_text(value, "a URL")
    if not re.fullmatch(r"https?://[^\s/?#]+/?", text):
        raise fault(f"'{text}' is not such as https://desk.example:8081, without a path")
    return text.rstrip("/")


type Rights = Annotated[tuple[Right, ...], BeforeValidator(_rights)]
type Text = Annotated[str, BeforeValidator(lambda v: as_text(v, "a text"))]


class PersonPart(_Part):
    name: Annotated[str, BeforeValidator(_person)]
    password: Annotated[str | None, BeforeValidator(_password)] = None
    token: Annotated[str | None, BeforeValidator(_token)] = None
    groups: Annotated[tuple[str, ...], BeforeValidator(_groups)] = ()
    stands_for: Annotated[tuple[str, ...], BeforeValidator(_names)] = ()
    may: Rights = (Right.ANSWER, Right.FREEZE)


class OidcPart(_Part):
    issuer: Annotated[str, BeforeValidator(lambda v: as_text(v, "a URL"))]
    client_id: Text
    client_secret: Text | None = None
    name: Text = "email"
    groups: Text = "groups"
    map: Annotated[dict[str, str], BeforeValidator(_mapping)] = {}
    may: Rights = (Right.ANSWER, Right.FREEZE)


class PeoplePart(_Part):
    version: Annotated[Literal[1], BeforeValidator(lambda v: _version(v))]
    people: tuple[PersonPart, ...] = ()
    groups: Annotated[dict[str, str] | None, BeforeValidator(_mapping)] = None
    oidc: OidcPart | None = None
    url: Annotated[str | None, BeforeValidator(_url)] = None
    notices: Any = None
    quiet: Any = None
    webhooks: Any = None


def _version(value: Json) -> Json:
    if type(value) is not int or value != 1:
        raise fault("this version reads 'version: 1'")
    return value

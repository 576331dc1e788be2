"""The people of a file: found by name, by password, by API token.

What belongs here: the compiled file, and reading it. Every mistake has its file, line and column, as in rule files. A password is kept as an
argon2id hash, a token as a SHA-256 digest (it has 256 random bits). An unknown name costs as much as a wrong password.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from pydantic import BaseModel, ValidationError

from proxy.approval import Approver, Right
from proxy.errors import ConfigurationError
from proxy.model import Json
from proxy.people.schema import OidcPart, PeoplePart, PersonPart
from proxy.policy.amounts import json_type
from proxy.policy.problems import Problem, RuleErrors, did_you_mean
from proxy.policy.shape import tupled
from proxy.policy.yamlnodes import Document, read_yaml
from proxy.policy.yamlnodes import Path as Place

_PREFIX = "sha256:"
TOKEN_PREFIX = "crt_"  # noqa: S105  # marks a token as one of ours, for those who search for leaked ones


@dataclass(frozen=True, slots=True)
class People:
    """Everybody who may come to the desk."""

    people: Mapping[str, PersonPart] = field(default_factory=dict)
    oidc: OidcPart | None = None
    url: str | None = None  # of the web inbox, as people reach it
    digest: str = ""
    notices: Json = None  # with `quiet` and `webhooks`: for whoever sends them
    quiet: Json = None
    webhooks: Json = None

    def approver(self, name: str) -> Approver | None:
        """Returns a person of the file."""
        part = self.people.get(name)
        return None if part is None else _approver(part)

    def proof_of(self, name: str) -> str | None:
        """Returns what a password is held against; a session that was begun with another has ended."""
        part = self.people.get(name)
        return None if part is None else part.password

    def by_password(self, name: str, password: str) -> Approver | None:
        """Returns who this is; None for a wrong password as for an unknown name, after the same work."""
        part = self.people.get(name)
        stored = part.password if part is not None else None
        try:
            _hasher().verify(stored or _nobody(), password)
        except (VerificationError, InvalidHashError):
            return None
        return _approver(part) if part is not None and stored is not None else None

    def by_token(self, token: str) -> Approver | None:
        """Returns whose API token this is."""
        given = _PREFIX + sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
        found = None
        for part in self.people.values():  # all of them: the time tells nothing
            if part.token is not None and secrets.compare_digest(part.token, given):
                found = part
        return None if found is None else _approver(found)

    def by_claims(self, claims: Mapping[str, Json]) -> Approver | None:
        """Returns who an identity provider says this is; None where it does not say a name.

        A name that the file has too is that person: groups and rights are the file's then.
        """
        if self.oidc is None:
            return None
        name = claims.get(self.oidc.name)
        if not isinstance(name, str) or not name or not name.isprintable() or len(name) > 100:
            return None
        if self.oidc.name == "email" and claims.get("email_verified", True) not in (True, "true"):
            return None
        # However the provider spells it today: two spellings are not two people.
        same = [known for known in self.people if known.casefold() == name.casefold()]
        if same:
            return self.approver(same[0])
        name = name.casefold()
        if name in {group.casefold() for group in self.groups}:
            return None  # `by:` in rules names groups and people alike
        stated = claims.get(self.oidc.groups)
        listed = stated if isinstance(stated, list) else [stated]
        named = [g for g in listed if isinstance(g, str)]
        groups = frozenset(self.oidc.map.get(g, g) for g in named)
        if self.oidc.map:
            groups = frozenset(self.oidc.map[g] for g in named if g in self.oidc.map)
        return Approver(name, groups, frozenset(self.oidc.may))

    @property
    def names_nobody(self) -> bool:
        """Whether the file says only whom to tell: then the admin socket's mode says who may answer."""
        return not self.people and self.oidc is None

    @property
    def can_sign_in(self) -> bool:
        """Whether the inbox has anybody to let in."""
        return self.oidc is not None or any(part.password for part in self.people.values())

    @property
    def groups(self) -> frozenset[str]:
        """Groups in which somebody is, or may come to be by signing in."""
        made = {group for part in self.people.values() for group in part.groups}
        return frozenset(made | set(self.oidc.map.values() if self.oidc is not None else ()))


def _approver(part: PersonPart) -> Approver:
    return Approver(
        part.name, frozenset(part.groups), frozenset(part.may), frozenset(part.stands_for)
    )


def hashed(password: str) -> str:
    """Returns what a people file keeps of a password."""
    return _hasher().hash(password)


def new_token() -> tuple[str, str]:
    """Returns an API token, and what a people file keeps of it."""
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    return token, _PREFIX + sha256(token.encode()).hexdigest()


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


@cache
def _nobody() -> str:
    return hashed(secrets.token_hex(16))


# --- reading ---------------------------------------------------------------------------------------------
def load_people(path: Path) -> People:
    """Reads a people file.

    Raises:
        ConfigurationError: it cannot be read, or others may write it.
        RuleErrors: with every mistake in it.
    """
    try:
        found = path.stat()
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"--people {path}: {error}") from error
    if stat.S_IMODE(found.st_mode) & 0o022:
        raise ConfigurationError(
            f"--people {path}: others may write it; whoever can may approve everything. "
            f"Run: chmod go-w {path}"
        )
    if hasattr(os, "getuid") and found.st_uid not in (os.getuid(), 0):
        raise ConfigurationError(f"--people {path}: it belongs to another user; take it over first")
    return read_people(str(path), text)


def read_people(name: str, text: str) -> People:
    """Compiles a people file's text.

    Raises:
        RuleErrors: with every mistake in it.
    """
    document = read_yaml(name, text)
    problems = list(document.problems)
    part: PeoplePart | None = None
    if not problems:
        if isinstance(document.value, dict):
            try:
                part = PeoplePart.model_validate(_listed(document.value))
            except ValidationError as error:
                problems += [_problem(document, fault) for fault in error.errors(include_url=False)]
        else:
            what = json_type(document.value)
            problems.append(
                document.problem((), f"a people file is a mapping with 'version: 1', got {what}")
            )
    if part is not None:
        problems += _disagreements(document, part)
    if problems or part is None:
        raise RuleErrors(problems)
    return People(
        people={one.name: one for one in part.people},
        oidc=part.oidc,
        url=part.url,
        digest=sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        notices=part.notices,
        quiet=part.quiet,
        webhooks=part.webhooks,
    )


def _listed(value: dict[str, Json]) -> Json:
    opaque = ("notices", "quiet", "webhooks")
    return {key: item if key in opaque else tupled(item) for key, item in value.items()}


def _disagreements(document: Document, part: PeoplePart) -> list[Problem]:
    problems: list[Problem] = []
    seen: dict[str, str] = {}
    tokens: dict[str, str] = {}
    groups = {group.casefold() for person in part.people for group in person.groups}
    groups |= {group.casefold() for group in part.groups or ()}
    for i, person in enumerate(part.people):
        folded = person.name.casefold()
        if folded in seen:
            as_is = "" if seen[folded] == person.name else f", as '{seen[folded]}' before"
            text = f"'{person.name}' stands twice{as_is}"
            problems.append(document.problem(("people", i, "name"), text))
        elif folded in groups:
            text = f"'{person.name}' is a group's name, too: `by:` in rules would mean both"
            problems.append(document.problem(("people", i, "name"), text))
        seen.setdefault(folded, person.name)
        if person.token is not None and person.token in tokens:
            text = (
                f"person '{person.name}': has the token of '{tokens[person.token]}'; make another"
            )
            problems.append(document.problem(("people", i, "token"), text))
        tokens.setdefault(person.token or "", person.name)
        if person.password is None and person.token is None and part.oidc is None:
            text = f"person '{person.name}': needs 'password' or 'token', for there is no 'oidc'"
            problems.append(document.problem(("people", i), text))
        for group in person.groups:
            if part.groups is not None and group not in part.groups:
                near = did_you_mean(group, part.groups)
                text = f"person '{person.name}': no group '{group}' under 'groups'{near}"
                problems.append(document.problem(("people", i, "groups"), text))
    if part.oidc is None:
        return problems
    for given, group in part.oidc.map.items():
        if part.groups is not None and group not in part.groups:
            text = f"oidc: no group '{group}' under 'groups'{did_you_mean(group, part.groups)}"
            problems.append(document.problem(("oidc", "map", given), text))
    if not _is_issuer(part.oidc.issuer):
        text = "oidc: issuer: expected an https URL (http is for a provider on this machine)"
        problems.append(document.problem(("oidc", "issuer"), text))
    return problems


def _is_issuer(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    is_near = parts.hostname in ("127.0.0.1", "localhost", "::1")
    is_plain = "@" not in parts.netloc and not parts.query and not parts.fragment
    return bool(
        parts.hostname
        and is_plain
        and (parts.scheme == "https" or (parts.scheme == "http" and is_near))
    )


def _problem(document: Document, fault: Mapping[str, Json]) -> Problem:
    path: Place = tuple(fault["loc"])
    last = str(path[-1]) if path else ""
    where = _where(document, path)
    match fault["type"]:
        case "extra_forbidden":
            near = did_you_mean(last, _keys(path[:-1]))
            return document.problem(path, f"{where}unknown key '{last}'{near}", key=True)
        case "missing":
            return document.problem(path[:-1], f"{where}the key '{last}' is missing")
        case "checkrein":
            return document.problem(path, f"{where}{last}: {fault['msg']}")
        case kind:
            expected = "a list" if kind == "tuple_type" else "a mapping of keys to values"
            got = json_type(fault["input"])
            return document.problem(path, f"{where}{last}: expected {expected}, got {got}")


def _where(document: Document, path: Place) -> str:
    if len(path) < 3 or path[0] != "people":
        return "" if len(path) < 2 else f"{path[0]}: "
    entry = document.value["people"][path[1]]
    name = entry.get("name") if isinstance(entry, dict) else None
    return f"person '{name}': " if isinstance(name, str) else f"person {int(path[1]) + 1}: "


def _keys(path: Place) -> list[str]:
    part: type[BaseModel] = PeoplePart
    if path[:1] == ("people",):
        part = PersonPart
    elif path[:1] == ("oidc",):
        part = OidcPart
    return list(part.model_fields)


def cannot_be_answered(people: People, asked_for: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Returns, for approvals of rules by name, those that nobody in the file could answer."""
    may = {p.name for p in people.people.values() if Right.ANSWER in p.may}
    answering = {g for p in people.people.values() if p.name in may for g in p.groups}
    answering |= may | set(people.oidc.map.values() if people.oidc is not None else ())
    if people.oidc is not None and not people.oidc.map:
        return []  # its provider may name any group
    return [name for name, by in asked_for.items() if by and not answering.intersection(by)]

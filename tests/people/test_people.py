"""The people file: each mistake with its place, passwords, tokens, claims, and edits while it is in use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from proxy.approval import Right
from proxy.cli.people import command
from proxy.errors import ConfigurationError
from proxy.people.current import CurrentPeople
from proxy.people.people import (
    People,
    cannot_be_answered,
    hashed,
    load_people,
    new_token,
    read_people,
)
from proxy.policy.problems import RuleErrors

HASH = hashed("secret")
TOKEN, DIGEST = new_token()
GOOD = f"""version: 1
people:
  - {{name: ada, password: "{HASH}", groups: [leads]}}
  - {{name: pager, token: "{DIGEST}"}}
"""

BAD = [
    ("people: []\n", "p.yaml:1:1: the key 'version' is missing"),
    ("version: 2\n", "p.yaml:1:10: version: this version reads 'version: 1'"),
    ("- a\n", "p.yaml:1:1: a people file is a mapping with 'version: 1', got a list"),
    (
        "version: 1\npeple: []\n",
        "p.yaml:2:1: unknown key 'peple'; did you mean 'people'?",
    ),
    (
        f'version: 1\npeople:\n  - {{name: ada, pasword: "{HASH}"}}\n',
        "p.yaml:3:17: person 'ada': unknown key 'pasword'; did you mean 'password'?",
    ),
    (
        "version: 1\npeople:\n  - {name: ada, password: secret}\n",
        "p.yaml:3:27: person 'ada': password: expected a hash from `checkrein people password`, not a password",
    ),
    (
        "version: 1\npeople:\n  - {name: ada, token: crt_abc}\n",
        "p.yaml:3:24: person 'ada': token: expected sha256:… from `checkrein people token`, not a token",
    ),
    (
        f'version: 1\npeople:\n  - {{name: ada, token: "{DIGEST}", may: [rules, answer]}}\n',
        "p.yaml:3:104: person 'ada': may: 'rules' and 'answer' exclude each other: "
        "who edits rules does not answer what they hold",
    ),
    (
        f'version: 1\npeople:\n  - {{name: ada, token: "{DIGEST}", may: [anser]}}\n',
        "p.yaml:3:104: person 'ada': may: 'anser' is not one of answer, freeze, rules, undo; did you mean 'answer'?",
    ),
    (
        f'version: 1\ngroups: {{leads: Leads}}\npeople:\n  - {{name: ada, token: "{DIGEST}", groups: [lead]}}\n',
        "p.yaml:4:107: person 'ada': no group 'lead' under 'groups'; did you mean 'leads'?",
    ),
    (
        f'version: 1\npeople:\n  - {{name: ada, token: "{DIGEST}"}}\n  - {{name: ada, token: "{DIGEST}"}}\n',
        "p.yaml:4:12: 'ada' stands twice",
    ),
    (
        f'version: 1\npeople:\n  - {{name: ada, token: "{DIGEST}"}}\n  - {{name: bob, token: "{DIGEST}"}}\n',
        "p.yaml:4:24: person 'bob': has the token of 'ada'; make another",
    ),
    (
        f'version: 1\npeople:\n  - {{name: ada, token: "{DIGEST}"}}\n  - {{name: Ada, password: "{HASH}"}}\n',
        "p.yaml:4:12: 'Ada' stands twice, as 'ada' before",
    ),
    (
        f'version: 1\npeople:\n  - {{name: leads, token: "{DIGEST}", groups: [leads]}}\n',
        "p.yaml:3:12: 'leads' is a group's name, too: `by:` in rules would mean both",
    ),
    (
        "version: 1\npeople:\n  - {name: ada, password: $argon2id$v=19$m=65536}\n",
        "p.yaml:3:27: person 'ada': password: is cut or altered; "
        "put the whole line from `checkrein people password` in quotes",
    ),
    (
        f'version: 1\npeople:\n  - {{name: ada, token: "{DIGEST}", may: [rules, undo]}}\n',
        "p.yaml:3:104: person 'ada': may: 'rules' and 'undo' exclude each other: "
        "who edits rules does not run the calls they name",
    ),
    (
        "version: 1\ngroups: {leads: L}\noidc: {issuer: https://id.example, client_id: c, map: {x: leeds}}\n",
        "p.yaml:3:59: oidc: no group 'leeds' under 'groups'; did you mean 'leads'?",
    ),
    (
        'version: 1\noidc: {issuer: "http://127.0.0.1:80@id.example", client_id: c}\n',
        "p.yaml:2:16: oidc: issuer: expected an https URL (http is for a provider on this machine)",
    ),
    (
        "version: 1\npeople:\n  - {name: ada}\n",
        "p.yaml:3:5: person 'ada': needs 'password' or 'token', for there is no 'oidc'",
    ),
    (
        'version: 1\npeople:\n  - {name: "a b", token: x}\n',
        "p.yaml:3:12: person 'a b': name: 'a b' is not a name of letters, digits, '.', '_', '@', '+' and '-'",
    ),
    (
        "version: 1\nurl: desk.example\n",
        "p.yaml:2:6: url: 'desk.example' is not such as https://desk.example:8081, without a path",
    ),
    (
        "version: 1\noidc: {issuer: http://id.example, client_id: c}\n",
        "p.yaml:2:16: oidc: issuer: expected an https URL (http is for a provider on this machine)",
    ),
    ("version: 1\npeople: ada\n", "p.yaml:2:9: people: expected a list, got text"),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=[m.split(": ", 1)[1][:50] for _, m in BAD])
def test_a_mistake_has_its_place(text: str, message: str) -> None:
    with pytest.raises(RuleErrors) as caught:
        read_people("p.yaml", text)
    assert message in list(map(str, caught.value.problems))


def test_a_person_by_name_password_and_token() -> None:
    people = read_people("p.yaml", GOOD)
    assert (found := people.approver("ada")) is not None
    assert found.groups == {"leads"}
    assert Right.RULES not in found.rights
    assert people.by_password("ada", "secret") == found
    assert people.by_token(TOKEN) == people.approver("pager")


@pytest.mark.parametrize(
    ("name", "password"),
    [("ada", "Secret"), ("ada", ""), ("nobody", "secret"), ("pager", "secret"), ("ada", HASH)],
    ids=["another", "empty", "unknown-name", "without-a-password", "the-hash"],
)
def test_a_wrong_password_is_nobody(name: str, password: str) -> None:
    assert read_people("p.yaml", GOOD).by_password(name, password) is None


@pytest.mark.parametrize(
    "token",
    ["", "crt_", DIGEST, DIGEST.removeprefix("sha256:"), TOKEN[:-1]],
    ids=["empty", "prefix", "digest", "bare-digest", "cut"],
)
def test_a_wrong_token_is_nobody(token: str) -> None:
    assert read_people("p.yaml", GOOD).by_token(token) is None


OIDC = (
    "version: 1\noidc: {issuer: https://id.example, client_id: c, map: {idp-leads: leads}}\n"
    f'people:\n  - {{name: ada@x.example, password: "{HASH}", groups: [own]}}\n'
)


@pytest.mark.parametrize(
    ("claims", "groups"),
    [
        pytest.param(
            {"email": "bob@x.example", "groups": ["idp-leads", "all"]}, {"leads"}, id="mapped"
        ),
        pytest.param({"email": "bob@x.example"}, set(), id="no-groups"),
        pytest.param(
            {"email": "ada@x.example", "groups": ["idp-leads"]}, {"own"}, id="the-files-own"
        ),
        pytest.param({"email": "bob@x.example", "email_verified": False}, None, id="not-verified"),
        pytest.param(
            {"email": "bob@x.example", "email_verified": "false"}, None, id="not-verified-as-text"
        ),
        pytest.param({"email": "Ada@X.example"}, {"own"}, id="spelt-otherwise"),
        pytest.param({"email": "Own"}, None, id="named-as-a-group"),
        pytest.param({"sub": "1"}, None, id="no-name"),
        pytest.param({"email": ["bob"]}, None, id="no-text"),
        pytest.param({"email": "bob\x1b[31m"}, None, id="control-characters"),
    ],
)
def test_who_a_provider_says_somebody_is(claims: dict[str, Any], groups: set[str] | None) -> None:
    found = read_people("p.yaml", OIDC).by_claims(claims)
    assert (found.groups if found is not None else None) == groups


def test_a_file_that_others_may_write_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(GOOD)
    file.chmod(0o622)
    with pytest.raises(ConfigurationError, match=r"others may write it.*chmod go-w"):
        load_people(file)


def test_edits_count_from_the_next_question_on(tmp_path: Path) -> None:
    """A broken one leaves who was there, and is told once; who was taken out is nobody."""
    file, told = tmp_path / "p.yaml", list[str]()
    file.write_text(GOOD)
    file.chmod(0o600)
    current = CurrentPeople(file, told.append)

    def edit(text: str) -> People:
        before = file.stat().st_mtime_ns
        file.write_text(text)
        os.utime(file, ns=(before + 1, before + 1))
        return current.people

    assert edit("version: 1\npeple: []\n").approver("ada") is not None
    assert current.people.approver("ada") is not None
    assert len(told) == 1
    assert "unknown key 'peple'" in told[0]
    assert edit(GOOD.replace("ada", "bob")).approver("ada") is None


def test_taking_out_the_last_person_lets_nobody_answer(tmp_path: Path) -> None:
    """A file that never named anybody leaves it to the socket's mode; one that did does so no more."""
    file = tmp_path / "p.yaml"
    file.write_text("version: 1\nnotices: []\n")
    file.chmod(0o600)
    current = CurrentPeople(file)
    assert current.asks_nobody
    for n, text in enumerate((GOOD, "version: 1\n"), 1):
        file.write_text(text)
        os.utime(file, ns=(n, n))
        assert not current.asks_nobody


def test_a_person_who_only_looks() -> None:
    text = f'version: 1\npeople:\n  - {{name: al, token: "{DIGEST}", may: []}}\n'
    found = read_people("p.yaml", text).approver("al")
    assert found is not None
    assert found.rights == frozenset()


@pytest.mark.parametrize(
    ("by", "answered"),
    [(("leads",), True), (("ada",), True), ((), True), (("directors",), False), (("cy",), False)],
)
def test_whether_somebody_can_answer(by: tuple[str, ...], answered: bool) -> None:
    people = read_people(
        "p.yaml", GOOD + f'  - {{name: cy, token: "{new_token()[1]}", may: [rules]}}\n'
    )
    assert cannot_be_answered(people, {"a": by}) == ([] if answered else ["a"])


def test_the_command_line(tmp_path: Path) -> None:
    """A file made, checked against rules, listed; a token that the file then knows."""
    file, rules = tmp_path / "p.yaml", tmp_path / "r.yaml"
    run = CliRunner().invoke
    made = run(command, ["init", str(file), "--name", "ada"], input="pw\npw\n")
    assert made.exit_code == 0, made.output
    assert file.stat().st_mode & 0o077 == 0
    assert load_people(file).by_password("ada", "pw") is not None
    assert isinstance(
        run(command, ["init", str(file), "--name", "x", "--password", "y"]).exception,
        ConfigurationError,
    )
    assert "1 people, groups: leads" in run(command, ["check", str(file)]).output
    rules.write_text(
        'version: 1\ntools: []\ngates: [{name: g, when: "true"}]\napprovals: [{name: a, for: g, by: ops}]\n'
    )
    checked = run(command, ["check", str(file), "--rules", str(rules)])
    assert (checked.exit_code, "approval 'a': nobody here may answer" in checked.output) == (
        1,
        True,
    )
    assert "may: answer, freeze  signs in by: password" in run(command, ["list", str(file)]).output
    said = run(command, ["token", "pager"]).output
    digest = next(word for word in said.split() if word.startswith("sha256:"))
    token = next(word for word in said.split() if word.startswith("crt_"))
    people = read_people("p", f'version: 1\npeople: [{{name: pager, token: "{digest}"}}]\n')
    assert people.by_token(token) is not None
    assert (
        run(command, ["password"], input="pw\npw\n")
        .output.strip()
        .splitlines()[-1]
        .startswith("$argon2id$")
    )

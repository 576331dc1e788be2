"""No secret is written down: names, shapes, contexts, nesting; and nothing harmless is lost."""

from __future__ import annotations

import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model import Json
from proxy.redact import MAX_CHARS, redact, redact_text
from proxy.redact_names import is_secret_name

# Made up, and put together here so that no scanner takes this file for a leak.
SECRETS = {
    "aws-key": "AKIA" + "IOSFODNN7EXAMPLE",
    "aws-key sts": "ASIA" + "Y34FZKBOKMUTVV7A",
    "openai-key": "sk-" + "proj-Ab3dEf6hIj9kLm2nOp5q",
    "anthropic-key": "sk-ant-" + "api03-Ab3dEf6hIj9kLm2nOp5q",
    "github-token": "ghp_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8",
    "github-token fine": "github_pat_" + "11ABCDEFG0abcdefghijkl_mnop",
    "gitlab-token": "glpat-" + "Ab3dEf6hIj9kLm2nOp5q",
    "slack-token": "xoxb-" + "123456789012-abcdefghijkl",
    "google-key": "AIza" + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q",
    "google-token": "ya29." + "a0AfH6SMBx1y2z3A4B5C6D7E8",
    "jwt": "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjMifQ." + "c2lnbmF0dXJlLWhlcmU",
    "npm-token": "npm_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8",
    "pypi-token": "pypi-" + "AgEIcHlwaS5vcmcCJGFiY2RlZg",
    "huggingface-token": "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYz",
    "sendgrid-key": "SG." + "Ab3dEf6hIj9kLm2n." + "Op5qRs8tUv1wXy4z",
    "stripe-key": "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
    "private-key": "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE KEY-----",
    "private-key torn": "-----BEGIN OPENSSH " + "PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA",
}  # fmt: skip
NAMED = pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS.keys())


def _wrap(secret: str) -> dict[str, Json]:
    return {
        "alone": secret,
        "in text": f"please use {secret}\nfor this",
        "in a list": ["a", {"deep": [secret]}],
        "as a key": {secret: 1},
        "in a tuple": (1, secret),
        "json in a string": json.dumps({"a": [secret]}),
        "json in json in a string": json.dumps({"a": json.dumps({"b": secret})}),
        "escaped": '{"x": "' + "".join(f"\\u{ord(c):04x}" for c in secret) + '"}',
        "across the cut": "x" * (MAX_CHARS - 6) + " " + secret + " tail",
    }


@NAMED
@pytest.mark.parametrize("place", _wrap("").keys())
def test_a_shape_is_found(secret: str, place: str) -> None:
    shown = repr(redact(_wrap(secret)[place]))
    for piece in secret.split("\n")[:2]:
        assert piece not in shown
        assert json.dumps(piece)[1:-1] not in shown
    assert "[redacted:" in shown


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        pytest.param("postgres://app:hunter2@db/x", "hunter2", id="password in a URL"),
        pytest.param("redis://:hunter2@db", "hunter2", id="password alone in a URL"),
        pytest.param("Authorization: Bearer hunter2hunter2", "hunter2", id="bearer header"),
        pytest.param("authorization: Basic aHVudGVyMg==", "aHVudGVyMg==", id="basic header"),
        pytest.param("x: basic aHVudGVyMg==", "aHVudGVyMg==", id="basic elsewhere"),
        pytest.param("Cookie: a=b; sid=hunter2", "hunter2", id="all of a cookie header"),
        pytest.param("password=hunter2", "hunter2", id="key and value"),
        pytest.param("key: password=hunter2", "hunter2", id="behind a harmless name"),
        pytest.param("the password: hunter2", "hunter2", id="prose"),
        pytest.param("PGPASSWORD='hun ter2' psql", "ter2", id="quoted with a space"),
        pytest.param('x "password": "hun\\"ter2"', "ter2", id="escaped quote inside"),
        pytest.param('x {\\"password\\":\\"hunter2\\"}', "hunter2", id="JSON escaped in text"),
        pytest.param('x {\\\\\\"api_key\\\\\\":\\\\\\"hunter2\\\\\\"}', "hunter2", id="escaped twice"),
        pytest.param("mysql --password hunter2 -h db", "hunter2", id="flag and value"),
        pytest.param("curl -u me:hunter2 https://h", "hunter2", id="curl -u"),
        pytest.param("sshpass -p hunter2 ssh h", "hunter2", id="sshpass"),
        pytest.param("https://h/x?access_token=hunter2&y=1", "hunter2", id="query string"),
        pytest.param("export AWS_SECRET_ACCESS_KEY=wJalr/K7+x", "wJalr/K7+x", id="environment"),
        pytest.param("{'password': 'hunter2'}", "hunter2", id="a Python dict's repr"),
        pytest.param('{"password":"hunter2","password":""}', "hunter2", id="a key twice"),
        pytest.param('{"password": "hunter2"', "hunter2", id="torn JSON"),
        pytest.param('config["password"] = "hunter2"', "hunter2", id="subscript"),
        pytest.param("password => 'hunter2'", "hunter2", id="ruby"),
    ],
)  # fmt: skip
def test_a_context_is_found(text: str, secret: str) -> None:
    for value in (text, {"command": text}, ["a", text], json.dumps({"c": text})):
        assert secret not in repr(redact(value))
    assert secret not in redact_text(text)


@pytest.mark.parametrize(
    "value",
    [
        {"password": "hunter2"},
        {"clientSecret": "hunter2"},
        {"X-Api-Key": "hunter2"},
        {"credentials": {"user": "a", "x": ["hunter2"]}},
        {"env": [{"name": "DB_PASSWORD", "value": "hunter2"}]},
        {"headers": [["Authorization", "hunter2"]]},
        {"argv": ["mysql", "--password", "hunter2"]},
        {"a": {"b": [{"refreshToken": "hunter2"}]}},
        '{"token": "hunter2"}',
    ],
    ids=repr,
)
def test_a_name_hides_its_value(value: Json) -> None:
    assert "hunter2" not in repr(redact(value))


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        *((n, True) for n in (
            "password", "PASSWORD", "db_password", "userPassword", "passwd", "pwd", "secret",
            "client_secret", "clientsecret", "token", "access_token", "githubToken", "api_key",
            "apikey", "APIKey", "X-API-Key", "authorization", "Set-Cookie", "private_key",
            "aws_secret_access_key", "credential", "passphrase", "pin", "card_pin", "password1",
        )),
        *((n, False) for n in (
            "max_tokens", "token_count", "tokens", "tokenizer", "secretary", "next_page_token",
            "pageToken", "secret_name", "credential_id", "key", "primary_key", "keyboard", "author", "compass",
            "spinning", "pinned", "passenger", "path", "id", "", "名前",
        )),
    ],
)  # fmt: skip
def test_names(name: str, secret: bool) -> None:
    assert is_secret_name(name) is secret


@pytest.mark.parametrize(
    "value",
    [
        {"order_id": "A-1001", "amount": Decimal("45.50"), "reason": "arrived broken"},
        {"command": "cd /srv && git log --oneline -5 | grep 'fix:'"},
        {"url": "https://example.com:8443/a/b?page=2"},
        {"max_tokens": 500, "token": 12, "password": None, "secret": True},
        {"text": "Token limits and password policies are described on page 3"},
        '{"a": 1, "b": "two"}',
        [1, None, True, "x"],
        "task-list and risk-assessment-for-the-quarter",
    ],
    ids=repr,
)
def test_harmless_stays(value: Json) -> None:
    assert redact(value) == value


def test_what_is_around_stays_readable() -> None:
    assert (
        redact_text("psql postgres://app:hunter2@db/x && echo done")
        == "psql postgres://app:[redacted:url-password]@db/x && echo done"
    )


def test_a_long_string_is_cut_with_its_digest() -> None:
    shown = redact("a" * 10_000)
    assert shown.startswith("a" * MAX_CHARS + "[cut: 10000 characters, sha256 ")
    assert len(shown) < MAX_CHARS + 200


def test_depth_and_size_are_bounded() -> None:
    deep: Json = "x"
    for _ in range(500):
        deep = [deep]
    assert "cut" in repr(redact(deep))
    wide = redact([{"password": "p"}, *range(100_000)])
    assert len(wide) < 6000


def test_it_never_changes_what_it_is_given() -> None:
    value = {"password": "hunter2", "list": ["sk-" + "a" * 30]}
    before = json.dumps(value)
    redact(value)
    assert json.dumps(value) == before


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(_TEXT, _TEXT, st.sampled_from(sorted(SECRETS)), st.integers(0, 3))
def test_a_planted_secret_is_never_in_the_output(
    before: str, after: str, name: str, layers: int
) -> None:
    secret = SECRETS[name]
    value: Json = {"text": f"{before} {secret} {after}"}
    for _ in range(layers):
        value = {"inner": json.dumps(value)}
    out = msgspec.json.encode(redact(value)).decode()
    for _ in range(layers + 1):
        assert secret.split("\n")[0] not in out
        out = out.replace("\\\\", "\\")


@given(st.recursive(st.none() | st.integers() | _TEXT,
                    lambda i: st.lists(i) | st.dictionaries(_TEXT, i), max_leaves=10))  # fmt: skip
def test_any_value_passes(value: Json) -> None:
    redact(value)


@pytest.mark.parametrize("text", ["\ud800 password=hunter2", "password=\ud800hunter2"], ids=repr)
def test_lone_surrogates_hide_nothing(text: str) -> None:
    assert "hunter2" not in redact({"a": text})["a"]

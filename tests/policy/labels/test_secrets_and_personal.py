"""Secrets and personal data: what is labelled, where exactly, and what only looks like it."""

from __future__ import annotations

import pytest

from proxy.policy.labels.detect import detect
from proxy.policy.labels.span import MAX_SPANS_PER_LABEL

PEM = "-----BEGIN PRIVATE KEY-----\nMIIabc\n-----END PRIVATE KEY-----"

FOUND = [
    pytest.param("Password: hunter2", "secret.password", "hunter2", id="a password after a colon"),
    pytest.param("the password is hunter2.", "secret.password", "hunter2", id="a password in a sentence"),
    pytest.param('{"db_password": "s3cr3t-x"}', "secret.password", "s3cr3t-x", id="a password in JSON"),
    pytest.param("db:\n  password: s3cr3t-x\n", "secret.password", "s3cr3t-x", id="a password in YAML"),
    pytest.param("DB_PASSWORD=s3cr3t-x\nPORT=80", "secret.password", "s3cr3t-x", id="a password in an env file"),
    pytest.param("| user | password |\n|---|---|\n| bob | s3cr3t! |", "secret.password", "s3cr3t!", id="a cell of a table"),
    pytest.param("user,password\nbob,abc99x", "secret.password", "abc99x", id="a cell of CSV"),
    pytest.param("Das Passwort ist geheim99", "secret.password", "geheim99", id="German"),
    pytest.param("La contraseña es: clave99", "secret.password", "clave99", id="Spanish"),
    pytest.param("é 密码\uff1aabc99x", "secret.password", "abc99x", id="Chinese, after letters of several bytes"),
    pytest.param("mailbox PIN: 4711", "secret.password", "4711", id="a PIN"),
    pytest.param("Your OTP is 482913", "secret.otp", "482913", id="a one-time password"),
    pytest.param("verification code: 123 456", "secret.otp", "123 456", id="a code in two groups"),
    pytest.param("482913 is your Example code", "secret.otp", "482913", id="a code that comes first"),
    pytest.param('{"api_key": "abc123def"}', "secret.key", "abc123def", id="a key by its field"),
    pytest.param("AKIAABCDEFGHIJKLMNOP", "secret.key", "AKIAABCDEFGHIJKLMNOP", id="a key by its shape"),
    pytest.param("ghp_" + "a1" * 18, "secret.token", "ghp_" + "a1" * 18, id="a token by its shape"),
    pytest.param("Authorization: Bearer abcdef123456", "secret.token", "Bearer abcdef123456", id="a header"),
    pytest.param("https://x.test/f?token=abcdefgh12345678", "secret.token", "abcdefgh12345678", id="a link that lets in"),
    pytest.param(PEM, "secret.private-key", PEM, id="a private key"),
    pytest.param("postgres://u:pw99@h/db", "secret.connection-string", "pw99", id="a connection string"),
    pytest.param("mail a.b+c@x.example.uk, or", "pii.email", "a.b+c@x.example.uk", id="an e-mail address"),
    pytest.param("IBAN DE89 3704 0044 0532 0130 00 and so", "pii.iban", "DE89 3704 0044 0532 0130 00", id="an IBAN in groups"),
    pytest.param('{"to":"GB29NWBK60161331926819"}', "pii.iban", "GB29NWBK60161331926819", id="an IBAN in JSON"),
    pytest.param("4111 1111 1111 1111", "pii.card", "4111 1111 1111 1111", id="a card in groups"),
    pytest.param("card no 4111111111111111", "pii.card", "4111111111111111", id="bare digits called a card"),
    pytest.param("amex 3782-822463-10005", "pii.card", "3782-822463-10005", id="a card of fifteen digits"),
    pytest.param("Account Number: SE5902959058", "pii.account", "SE5902959058", id="an account that is no IBAN"),
    pytest.param('"account_number": "0012345678"', "pii.account", "0012345678", id="an account by its field"),
    pytest.param("SSN 536-90-4399", "pii.national-id", "536-90-4399", id="a US number"),
    pytest.param("CPF 390.533.447-05", "pii.national-id", "390.533.447-05", id="a Brazilian number"),
    pytest.param("RSSMRA85T10A562S", "pii.national-id", "RSSMRA85T10A562S", id="an Italian code, by itself"),
    pytest.param("PESEL: 44051401359", "pii.national-id", "44051401359", id="a Polish number, by its name"),
    pytest.param("passport number: C01X00T47", "pii.national-id", "C01X00T47", id="a passport"),
    pytest.param("+49 30 901820", "pii.phone", "+49 30 901820", id="an international number"),
    pytest.param("(212) 555-0123", "pii.phone", "(212) 555-0123", id="the American form"),
    pytest.param("Tel. 030 901820", "pii.phone", "030 901820", id="national digits called a telephone"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "label", "value"), FOUND)
def test_a_value_is_labelled_where_it_stands(text: str, label: str, value: str) -> None:
    spans = [span for span in detect(text) if span.label == label]
    assert [text[span.start : span.end] for span in spans] == [value]


CLEAN = [
    pytest.param("order 4111111111111111", id="an order number that passes Luhn"),
    pytest.param("Order #W2378156, item 9580569596, paid", id="numbers of orders and items"),
    pytest.param("tracking 1Z999AA10123456784", id="a parcel"),
    pytest.param("commit 9fceb02d0ae598e95dc970b74767f19372d61af8", id="a SHA"),
    pytest.param("id: 123e4567-e89b-12d3-a456-426614174000", id="a UUID"),
    pytest.param("version 10.0.19041.1 of 2024.05.16, build 1234567890", id="versions"),
    pytest.param("at 2024-05-16 15:00:00, epoch 1700000000123", id="times"),
    pytest.param("127.0.0.1 and 192.168.100.200", id="addresses of machines"),
    pytest.param("PESEL: 44051401358", id="a wrong check digit"),
    pytest.param("44051401359", id="a right check digit with nothing that says what it is"),
    pytest.param("DE89370400440532013001", id="an IBAN that does not check"),
    pytest.param("logo@2x.png, git@github.com:a/b, @scope/pkg", id="signs that are no address"),
    pytest.param("Please reset your password. The password is required.", id="prose about passwords"),
    pytest.param("password=getpass()\ntoken: str\napi_key = os.environ['KEY']", id="code"),
    pytest.param("DB_PASSWORD=${DB}\npassword: ********\ntoken: <your token>", id="placeholders"),
    pytest.param('<label for="p">Password:</label> <input type="password">', id="a form"),
    pytest.param("max_tokens: 4096, token_count: 123, next_page_token: null", id="tokens of language models"),
    pytest.param("password policy, password manager\nuses, costs", id="a head that is a sentence"),
    pytest.param("ISBN 978-3-16-148410-0, EAN 4006381333931", id="books and goods"),
    pytest.param("The meeting is in room 2125550123", id="ten digits"),
]  # fmt: skip


@pytest.mark.parametrize("text", CLEAN)
def test_what_only_looks_like_it_is_let_go(text: str) -> None:
    assert [(s.label, text[s.start : s.end]) for s in detect(text) if s.label != "request"] == []


def test_past_the_bound_the_last_span_covers_the_rest() -> None:
    text = " ".join(f"user{n}@example.com" for n in range(2 * MAX_SPANS_PER_LABEL))
    spans = [s for s in detect(text) if s.label == "pii.email"]
    assert len(spans) == MAX_SPANS_PER_LABEL
    assert spans[-1].end == len(text)

"""Finds secrets in a text: `secret.key`, `.token`, `.password`, `.otp`, `.private-key`, …

What belongs here: what tells one kind of secret from another, and what is no secret after all. The
shapes of known credentials and `name=value` fields are `proxy.redact`'s; there a false alarm costs
a reader some context, here it makes a later call suspicious. So a field's value that is a
placeholder, a type, a call or a word about the secret is let go. Added here: secrets told in prose
("the password is …", "your code is 481 516") and in tables, where the column's head names them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import re2

from proxy.policy.labels.span import Found, Scanned
from proxy.redact import secret_spans
from proxy.redact_names import is_secret_name

_OF_SHAPE = {
    "private-key": "secret.private-key",
    "age-key": "secret.private-key",
    "url-password": "secret.connection-string",
    "header": "secret.token",
    "bearer": "secret.token",
    "basic": "secret.password",
    "password": "secret.password",
    "jwt": "secret.token",
}
_MAX_VALUE_BYTES = 4096
_MAX_COLUMNS = 64

# Values that stand where a secret would and are none.
_PLACEHOLDER = re2.compile(
    rb"(?i)^(?:|[*x.\-_\x{2022}]+|null|none|nil|undefined|true|false|yes|no|n/a|str(?:ing)?|int|bytes|bool|any"
    rb"|optional|required|todo|changeme|example|placeholder|redacted|hidden|masked|empty|unset|not"
    rb"|is|was|are|has|have|must|should|can|will|and|or|for|to|in|of|the|an?|your|you|my|on|with|from|reset"
    rb"|expired|invalid|incorrect|wrong|missing|needed|updated|changed|protected|authentication"
    rb"|based|login|manager|policy|please|if|when|as|at|by|it|this|that|we|i"
    rb"|\$\{?[a-z_][a-z0-9_.]*\}?|\$\(.*|%[a-z_]+%|\{\{.*|\{[a-z_ ]*\}?|<.*|\[.*|[a-z_][a-z0-9_.]*\(.*"
    rb"|(?:your|my|the|an?)[-_ ].*|.*[-_]here|x{3,}.*|(?:os|process|self|this|config|settings|env|secrets)\..*"
    rb"|[a-z_][a-z0-9_.]*\[.*|raise|return|else|try|self|lambda"
    rb"|(?:string|number|boolean|str|int|bytes)[,;)|\]?].*)$"
)
_EXAMPLE = re2.compile(rb"(?i)[$<{%*].*|pass(?:word|wd)?|pwd?|token|secret|(?:api[-_]?)?key|x+|\.+")
_DIGIT = re2.compile(rb"[0-9]")
_NAME = re2.compile(rb"([a-z0-9_]+)[^a-z0-9_]*$")
_ABOUT_TOKENS = re2.compile(rb"(?:count|usage|limit|budget)[\w\"' ]*$")
_CLOSE = b"\"'`,;.)]}>|\\"

_PROSE = (
    ("secret.password", re2.compile(
        rb"(?i)\b(?:pass(?:word|code|phrase)|passwort|kennwort|mot\s+de\s+passe|contrase\x{00f1}a|senha"
        rb"|password\s+for\s+[^\s:]{1,40})\s*(?:\s(?:is|ist|est|es|\x{00e9})\s*:?|:|=|\x{ff1a})[ \t]*"
        rb"(?:now\s+|currently\s+|still\s+)?[\"'`*]{0,2}([^\s\"'`<|]{3,128})")),
    ("secret.password", re2.compile(
        "(?:密码|密碼|口令|パスワード|пароль)\\s*(?:是|为|は|:|\uff1a|=)\\s*[\"'`“「]?([^\\s\"'`“”「」\uff0c。<]{3,128})".encode())),
    ("secret.password", re2.compile(
        rb"(?i)\bpin(?:\s+(?:code|number))?\s*(?:\sis|:|=)\s*[\"'`*]{0,2}([0-9]{4,8})\b")),
    ("secret.otp", re2.compile(
        rb"(?i)\b(?:otp|one[- ]time\s+(?:pass(?:word|code)|code|pin)|(?:verification|security|confirmation"
        rb"|authentication|login|sign[- ]?in|2fa|mfa|access)\s+code|passcode|best\x{00e4}tigungscode"
        rb"|code\s+de\s+v\x{00e9}rification|c\x{00f3}digo\s+de\s+(?:verificaci\x{00f3}n|verifica\x{00e7}\x{00e3}o))"
        rb"(?:\s+(?:for|to)\s+[^\n:]{1,40})?\s*(?:\s(?:is|ist|est|es)|:|=)\s*[\"'`*]{0,2}"
        rb"((?:[A-Z]-)?[0-9]{3}[- ]?[0-9]{3}|[0-9]{4,8})\b")),
    ("secret.otp", re2.compile(
        rb"(?i)\b([0-9]{3}[- ]?[0-9]{3}|[0-9]{4,8})\s+is\s+your\s+[^\n.]{0,40}\bcode\b")),
    ("secret.otp", re2.compile("(?:验证码|驗證碼|認証コード)\\s*(?:是|为|は|:|\uff1a)?\\s*([0-9]{4,8})".encode())),
    # Links that let in whoever holds them.
    ("secret.token", re2.compile(
        rb"(?i)[?&#](?:access_token|token|auth|sig|signature|x-amz-signature|code|key|invite|reset_token"
        rb"|sas)=([A-Za-z0-9._~%+/=-]{16,})")),
    ("secret.connection-string", re2.compile(
        rb"(?i)\b(?:accountkey|sharedaccesskey)=([A-Za-z0-9+/=]{16,})")),
)  # fmt: skip
_ANY = re2.compile(
    "(?i)pass|passwort|kennwort|mot\\s+de|contrase|senha|密|口令|パス|пароль|pin|otp|code|código|secret"
    "|token|key|sig|auth|验证|驗證|認証|invite|credential|pwd".encode()
)
_ROW = re.compile(r"^[ \t]*\|(.*)\|[ \t]*$")
_RULE = re.compile(r"^[ \t]*\|?[ \t:|-]+\|?[ \t]*$")


def find_secrets(scanned: Scanned) -> Iterator[Found]:
    """Yields the secrets of a text."""
    data = scanned.data
    for start, end, shape in secret_spans(data):
        if shape == "url-password" and _EXAMPLE.fullmatch(data[start:end]):
            continue
        if _is_word(shape, data[start:end]):
            continue
        if shape == "field":
            yield from _field(scanned, start, end)
        else:
            yield (
                _OF_SHAPE.get(shape, "secret.token" if "token" in shape else "secret.key"),
                start,
                end,
            )
    if _ANY.search(data) is None:
        return
    for label, pattern in _PROSE:
        for match in pattern.finditer(data):
            start, end = match.span(1)
            while end > start and data[end - 1] in _CLOSE:
                end -= 1
            value = data[start:end]
            if len(value) < 3 or _is_placeholder(value):
                continue
            # "The password is very long": without a colon, a plain word is part of the sentence.
            said = data[match.start() : start].rstrip(b" \t")
            if value.isalpha() and value.islower() and said[-1:].isalnum():
                continue
            yield label, start, end
    yield from _tables(scanned)


def _is_word(shape: str, value: bytes) -> bool:
    """Tells whether a shape of token is made of words: `pypi-service-identity` is a package."""
    has_shape = shape.endswith(("-token", "-key")) and shape != "private-key"
    return has_shape and value.islower() and not _DIGIT.search(value)


def _field(scanned: Scanned, start: int, end: int) -> Iterator[Found]:
    if scanned.before(start).rstrip(b" \t\"'").endswith(b"\n"):
        return  # what stands on the next line is the next statement
    value = scanned.data[start : min(end, start + _MAX_VALUE_BYTES)].strip(_CLOSE + b" \t")
    if _is_placeholder(value) or len(value) < 3:
        return
    before = scanned.before(start).rstrip().rpartition(b"\n")[2]
    name = _NAME.search(before)
    if name is not None and _is_passed_on(name.group(1), value.lower()):
        return
    if value.isdigit() and _ABOUT_TOKENS.search(before) is not None:
        return
    if value.isdigit() and len(value) < 4:
        return  # `key: 12`, a count
    label = _field_label(before)
    # A word of letters alone may well be a password, and hardly a token: `token: TokenOpt`.
    if label in ("secret.token", "secret.key") and value.isalpha() and before[-1:] not in b"\"'`":
        return
    yield label, start, end


def _is_passed_on(name: bytes, value: bytes) -> bool:
    """Tells whether a program hands a variable on: `token=token`, `self.api_key = my_api_key`."""
    return value in name or (value.endswith(name) and not _DIGIT.search(value))


def _field_label(before: bytes) -> str:
    """Tells the kind of a field by the nearest word of its name."""
    best, label = -1, "secret.key"
    for word, kind in _WORDS:
        at = before.rfind(word)
        if at > best:
            best, label = at, kind
    return label


_WORDS = (
    (b"private", "secret.private-key"),
    (b"pass", "secret.password"),
    (b"pwd", "secret.password"),
    (b"pw", "secret.password"),
    (b"cred", "secret.password"),
    (b"pin", "secret.password"),
    (b"otp", "secret.otp"),
    (b"token", "secret.token"),
    (b"jwt", "secret.token"),
    (b"bearer", "secret.token"),
    (b"cookie", "secret.token"),
    (b"auth", "secret.token"),
    (b"connectionstring", "secret.connection-string"),
    (b"connection_string", "secret.connection-string"),
    (b"cvv", "secret.password"),
    (b"cvc", "secret.password"),
)


def _is_placeholder(value: bytes) -> bool:
    return _PLACEHOLDER.search(value) is not None or len(set(value)) < 2


def _tables(scanned: Scanned) -> Iterator[Found]:
    """Yields the cells under a head that names a secret, in Markdown tables and in CSV."""
    lines = scanned.text.split("\n")
    at = 0  # in bytes
    columns: dict[int, str] = {}
    separator = ""
    for number, line in enumerate(lines):
        size = len(line.encode("utf-8", "surrogatepass"))
        if separator and separator not in line:
            columns, separator = {}, ""
        if separator:
            if not _RULE.match(line):
                yield from _cells(line, at, separator, columns)
        elif number + 1 < len(lines):
            columns, separator = _head(line, lines[number + 1])
        at += size + 1


def _head(line: str, following: str) -> tuple[dict[int, str], str]:
    if not 3 <= len(line) <= 2000:
        return {}, ""
    if _ROW.match(line):
        separator = "|"
    elif "\t" in line:
        separator = "\t"
    else:
        separator = ";" if line.count(";") > line.count(",") else ","
    cells = line.split(separator)
    if separator != "|" and (line[:1].isspace() or not all(map(str.strip, cells))):
        return {}, ""  # a list in a program
    if not 2 <= len(cells) <= _MAX_COLUMNS or following.count(separator) != len(cells) - 1:
        return {}, ""
    names = [cell.strip(" \"'*`") for cell in cells]
    # A head is made of short names; a sentence with commas is none.
    if any(len(name) > 40 or name.count(" ") > 3 or ":" in name or "=" in name for name in names):
        return {}, ""
    columns = {
        n: _field_label(name.lower().encode("utf-8", "surrogatepass"))
        for n, name in enumerate(names)
        if name and is_secret_name(name)
    }
    return (columns, separator) if columns else ({}, "")


def _cells(line: str, at: int, separator: str, columns: dict[int, str]) -> Iterator[Found]:
    for n, cell in enumerate(line.split(separator)):
        raw = cell.encode("utf-8", "surrogatepass")
        if n in columns:
            value = raw.strip(b" \t\r\"'`*")
            if len(value) >= 3 and not _is_placeholder(value):
                start = at + raw.index(value)
                yield columns[n], start, start + len(value)
        at += len(raw) + len(separator)

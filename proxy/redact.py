"""Secrets taken out of what is written down: log records, holds, messages.

How it works, over a whole JSON value: what stands under a field whose *name* says secret is
replaced; every string is searched for the *shapes* of known credentials, in longer text too; a
string that is itself JSON is read and redacted inside, where escapes cannot hide anything. Long
strings are cut. One RE2 search over all strings joined decides whether anything needs a closer
look: most arguments have nothing, and RE2 takes linear time whatever the agent writes.

What is judged is never redacted; what is redacted is only shown. So a false alarm costs a reader
some context, a miss costs a key: where it is unclear, it goes.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import msgspec
import re2

from proxy.model import Json
from proxy.redact_names import is_secret_name

MAX_CHARS = 4096
_DIGIT = re2.compile(b"[0-9]")
_MARGIN = 16384  # looked at beyond the cut, so that a secret across it is seen whole
_MAX_DEPTH = 24
_MAX_NODES = 5000

# Credentials with a shape of their own. First match wins, so the longer prefixes come first.
_SHAPES = (
    ("private-key", r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----"
                    r"(?:(?s:.*?)-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|(?s:.*))"),
    ("anthropic-key", r"sk-ant-[A-Za-z0-9_-]{10,}"),
    ("openai-key", r"sk-[A-Za-z0-9_-]{16,}"),
    ("aws-key", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,}"),
    ("github-token", r"gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}"),
    ("gitlab-token", r"gl(?:pat|dt|rt|cbt|ptt|soat|ft|agent)-[A-Za-z0-9_.-]{16,}"),
    ("slack-token", r"xox[a-z]-[A-Za-z0-9-]{8,}|xapp-[A-Za-z0-9-]{8,}"
                    r"|hooks\.slack\.com/services/[A-Za-z0-9/]+"),
    ("google-key", r"AIza[A-Za-z0-9_-]{30,}|GOCSPX-[A-Za-z0-9_-]{16,}"),
    ("google-token", r"ya29\.[A-Za-z0-9._-]{16,}"),
    ("jwt", r"eyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){2,4}"),
    ("npm-token", r"npm_[A-Za-z0-9]{20,}"),
    ("pypi-token", r"pypi-[A-Za-z0-9_-]{16,}"),
    ("huggingface-token", r"hf_[A-Za-z0-9]{20,}"),
    ("sendgrid-key", r"SG\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
    ("stripe-key", r"(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{16,}"),
    ("vault-token", r"hv[sbr]\.[A-Za-z0-9_-]{16,}"),
    ("shopify-token", r"shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{16,}"),
    ("digitalocean-token", r"do[opr]_v1_[a-f0-9]{32,}"),
    ("age-key", r"AGE-SECRET-KEY-1[A-Z0-9]{20,}"),
)  # fmt: skip

# Credentials told by what stands before them: (pattern, what is kept, what is the secret).
_CONTEXTS = (
    ("url-password", r"""(://[^\s/:@"'<>]*:)([^\s/"'<>]+)@"""),
    ("header", r"(?i)((?:\b(?:set-)?cookie2?|\b(?:proxy-)?authorization)"
               r"""\\*["']?\s*[:=]\s*\\*["']?)([^\r\n"'\\]+)"""),
    ("bearer", r"(?i)\b(bearer\s+)([A-Za-z0-9._~+/=-]{8,})"),
    ("basic", r"(?i)\b(basic\s+)([A-Za-z0-9+/]{8,}={1,2}|[A-Za-z0-9+/]{20,})"),
    ("password", r"(\bsshpass\s+-p\s*)([^\s]+)"),
    ("password", r"""((?:\s|^)(?:-u|--user)[\s=]\s*["']?[^\s:"']+:)([^\s"']+)"""),
)  # fmt: skip

# `password=…`, `"api_key": "…"`, `--token …`. Name and value are matched apart, so that what stands
# behind a harmless name (`key: password=…`) is looked at as a name too, and each byte only once.
_FIELD = (
    r"(?i)([A-Za-z0-9_.-]*(?:pass|pwd|pw|pin|otp|secret|token|key|cred|cookie|auth|jwt|cvv|cvc)"
    r"""[A-Za-z0-9_.-]*)(\\*["']?\]?\s*(?:=>|:=|=|:)\s*|\s+)"""
)
_VALUE = r"""(?s)"(?:[^"\\]|\\.)*|\\+"(?:[^"\\]|\\[^"])*|\\*'[^']*|[^\s"'&\\][^\s"'&]*"""

_shape = re2.compile(
    "|".join(f"(?P<s{n}>{pattern})" for n, (_, pattern) in enumerate(_SHAPES)).encode()
)
_contexts = tuple((name, re2.compile(pattern.encode())) for name, pattern in _CONTEXTS)
_field = re2.compile(_FIELD.encode())
_value = re2.compile(_VALUE.encode())
_suspicious = re2.compile(
    "|".join((
        r"-----BEGIN|sk-|A[KSBC][ICI]A[A-Z0-9]|gh[pousr]_|github_pat_|gl[a-z]{2,5}-|xox[a-z]-|xapp-"
        r"|hooks\.slack|AIza|GOCSPX|ya29\.|eyJ|npm_|pypi-|hf_|SG\.|[sr]k_|whsec_|hv[sbr]\.|shp|_v1_"
        r"|AGE-SECRET|://[^\s/]*@|sshpass|(?:-u|--user)[\s=]",
        r"(?i:cookie|authorization|bearer\s|basic\s)",
        r"""(?i:(?:pass|pwd|pw|pin|otp|secret|token|key|cred|auth|jwt|cvv|cvc)"""
        r"""[A-Za-z0-9_.-]*[\\"'\]\s]*[=:\s])""",
    )).encode()
)  # fmt: skip


def redact(value: Json) -> Json:
    """Returns the value without secrets and without its length's excess; the value stays as it is."""
    texts: list[str] = []
    if _is_small(value, texts, 0) and not _is_suspicious("\n".join(texts)):
        return value
    return _Redactor().value(value, 0)


def redact_text(text: str) -> str:
    """Returns a text without secrets, cut at `MAX_CHARS`."""
    return str(_Redactor().text(text, 0))


def secret_spans(data: bytes) -> list[tuple[int, int, str]]:
    """Returns where the secrets of a text are: byte offsets into its UTF-8, and the shape's name."""
    return _joined(_spans(data)) if _suspicious.search(data) is not None else []


def _is_suspicious(text: str) -> bool:
    return _suspicious.search(text.encode("utf-8", "surrogatepass")) is not None


def _is_small(value: Json, texts: list[str], depth: int) -> bool:
    """Collects all strings; False where a closer look is needed anyway."""
    if depth > _MAX_DEPTH or len(texts) > _MAX_NODES:
        return False
    kind = type(value)
    if kind is str:
        texts.append(value)
        return len(value) <= MAX_CHARS and value[:1] not in ("{", "[", " ", "\n", "\t")
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str or is_secret_name(key):
                return False
            texts.append(key)
            if not _is_small(item, texts, depth + 1):
                return False
    elif kind is list or kind is tuple:
        texts.append("")  # counts, so that a list of lists has an end
        return len(value) <= _MAX_NODES and all(_is_small(i, texts, depth + 1) for i in value)
    return not isinstance(value, str | dict | list | tuple)  # of a subclass: look closer


class _Redactor:
    """One pass over one value."""

    def __init__(self) -> None:
        self._left = _MAX_NODES

    def value(self, value: Json, depth: int) -> Json:
        self._left -= 1
        if depth > _MAX_DEPTH or self._left < 0:
            return value if isinstance(value, bool) or value is None else "[cut: too much]"
        if isinstance(value, str):
            return self.text(value, depth)
        if isinstance(value, dict):
            return self._object(value, depth)
        if isinstance(value, list | tuple):
            return self._list(value, depth)
        return value

    def _object(self, value: dict[Any, Json], depth: int) -> Json:
        made: dict[str, Json] = {}
        named = _names_secret(value)
        for key, item in value.items():
            if self._left <= 0:
                made["[cut]"] = f"{len(value) - len(made)} more fields"
                break
            name = str(key)
            shown = self.text(name, _MAX_DEPTH)
            while shown in made:
                shown += "'"
            if is_secret_name(name) or (named and name.lower() in _VALUE_KEYS):
                made[shown] = _hidden(name, item)
            else:
                made[shown] = self.value(item, depth + 1)
        return made

    def _list(self, value: list[Json] | tuple[Json, ...], depth: int) -> list[Json]:
        made: list[Json] = []
        hide = False
        for item in value:
            if self._left <= 0:
                made.append(f"[cut: {len(value) - len(made)} more]")
                break
            if hide and not isinstance(item, dict | list):
                self._left -= 1
                made.append(_hidden("", item))
            else:
                made.append(self.value(item, depth + 1))
            # `["--password", "x"]` of a command line, `["Authorization", "x"]` of a header list.
            hide = (
                isinstance(item, str)
                and (item.startswith("-") or len(value) == 2)
                and is_secret_name(item.lstrip("-"))
            )
        return made

    def text(self, text: str, depth: int) -> str:
        if text[:64].lstrip()[:1] in ("{", "[") and depth < _MAX_DEPTH:
            inner = self._inside(text, depth)
            if inner is not None:
                return inner
        cut = len(text) > MAX_CHARS
        looked_at = text[: MAX_CHARS + _MARGIN] if cut else text
        shown = _shown(looked_at, MAX_CHARS if cut else None)
        if not cut:
            return shown
        digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        return f"{shown}[cut: {len(text)} characters, sha256 {digest}]"

    def _inside(self, text: str, depth: int) -> str | None:
        """Redacts JSON in a string; None where it is no JSON, or has nothing to hide."""
        try:
            value = msgspec.json.decode(text.encode("utf-8", "surrogatepass"))
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return None
        if not isinstance(value, dict | list):
            return None
        redacted = self.value(value, depth + 1)
        if redacted == value:
            return None
        # Written again, with none of the old escapes: they might have spelled the secret out.
        written = msgspec.json.encode(redacted).decode()
        return written if len(written) <= 4 * MAX_CHARS else _cut_text(written)


_VALUE_KEYS = frozenset(("value", "val", "data", "content", "default"))
_NAME_KEYS = frozenset(("name", "key", "header", "field", "env", "variable", "id"))


def _names_secret(value: dict[Any, Json]) -> bool:
    """Tells whether an object is a pair like {"name": "DB_PASSWORD", "value": …}."""
    return any(
        isinstance(item, str) and str(key).lower() in _NAME_KEYS and is_secret_name(item)
        for key, item in value.items()
    )


def _hidden(name: str, value: Json) -> Json:
    if value is None or isinstance(value, bool) or value == "":
        return value
    if isinstance(value, int | float) and "token" in name.lower():
        return value  # a count of language model tokens, not a token
    return "[redacted:field]"


def _cut_text(text: str) -> str:
    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{text[:MAX_CHARS]}[cut: {len(text)} characters, redacted, sha256 {digest}]"


def _shown(text: str, limit: int | None) -> str:
    """Replaces secrets; shows what starts before `limit` characters."""
    data = text.encode("utf-8", "surrogatepass")
    if _suspicious.search(data) is None:
        return text if limit is None else text[:limit]
    spans = _joined(_spans(data))
    end = len(data) if limit is None else len(text[:limit].encode("utf-8", "surrogatepass"))
    parts: list[bytes] = []
    at = 0
    for start, stop, name in spans:
        if start >= end:
            break
        parts.append(data[at:start])
        parts.append(f"[redacted:{name}]".encode())
        at = stop
    parts.append(data[at : max(at, end)])
    return b"".join(parts).decode("utf-8", "surrogatepass")


def _spans(data: bytes) -> Iterator[tuple[int, int, str]]:
    for match in _shape.finditer(data):
        kind = next(n for n, group in enumerate(match.groups()) if group is not None)
        name = _SHAPES[kind][0]
        if name == "openai-key" and match.group().islower() and not _DIGIT.search(match.group()):
            continue  # "ri" + "sk-assessment-of-the-quarter": real keys have digits and capitals
        yield match.start(), match.end(), name
    for name, pattern in _contexts:
        for match in pattern.finditer(data):
            yield match.start(2), match.end(2), name
    at = 0
    while (found := _field.search(data, at)) is not None:
        at = found.end()
        name = found.group(1).decode()
        # A space sets apart a command line's flag and its value, nothing else.
        if (found.group(2).isspace() and not name.startswith("-")) or not is_secret_name(name):
            continue
        if (value := _value.match(data, at)) is not None:
            start, at = value.span()
            while start < at and data[start : start + 1] in (b"\\", b'"', b"'"):
                start += 1  # the quotes stay, so that what is around stays readable
            if start < at:
                yield start, at, "field"


def _joined(spans: Iterator[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Merges what overlaps; the first one names it."""
    made: list[tuple[int, int, str]] = []
    for start, stop, name in sorted(spans, key=lambda span: (span[0], -span[1])):
        if made and start < made[-1][1]:
            before = made[-1]
            made[-1] = (before[0], max(before[1], stop), before[2])
        else:
            made.append((start, stop, name))
    return made

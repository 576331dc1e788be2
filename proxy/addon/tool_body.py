"""The body of a routed request as rules read it: JSON, form fields, the parts of a multipart form.

What belongs here: reading a body so that no server can read it differently, and refusing what it could:
another charset, a byte order mark, a field given twice, a part within a part, bytes ahead of the first
boundary or behind the last (RFC 7578, RFC 2046 section 5.1; read 2026-11). Text fields are text; a file is
{filename, content_type, size, sha256}. A body declared as binary is its digest as text, so that a rule
that asks for a field of it holds the call instead of finding nothing there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote_to_bytes

from mitmproxy import http
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser

from proxy.errors import UnjudgeableArguments
from proxy.model import Json
from proxy.wire.jsontext import read_strict

_MAX_FIELDS = 1_000
_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_BINARY = re.compile(
    r"(?:image|audio|video|font)/.+|application/(?:octet-stream|pdf|zip|gzip|x-tar)"
)
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")
_PARAMETER = re.compile(
    r";[ \t]*([\w!#$%&'*+.^`|~-]+)=(?:\"([^\"\\\x00-\x1f]*)\"|([^\s\";,\\]+))[ \t]*"
)
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=?-]{1,70}")
_METHOD_FIELD = re.compile(rb"(?<![A-Za-z0-9])_method(?![A-Za-z0-9_])", re.IGNORECASE)


def content_type_of(request: http.Request) -> tuple[str, dict[str, str]]:
    """Returns the media type and its parameters.

    Raises:
        UnjudgeableArguments: there are two, or it is not written as the standard says.
    """
    given = request.headers.get_all("content-type")
    if len(given) > 1:
        raise UnjudgeableArguments("two content types")
    return _media_type(given[0]) if given else ("", {})


def read_body(body: bytes, kind: str, parameters: dict[str, str]) -> Json:
    """Returns a decoded body as rules read it, None where there is none.

    Raises:
        UnjudgeableArguments, ValueError: there is more than one reading, or none.
    """
    if not body:
        return None
    if kind.startswith("multipart/"):
        if kind != "multipart/form-data":
            raise UnjudgeableArguments("a multipart body that is no form")
        return _read_multipart(body, parameters)
    if parameters.get("charset", "utf-8").lower() not in _CHARSETS:
        raise UnjudgeableArguments("a charset that is not UTF-8")
    if _BINARY.fullmatch(kind):
        return f"sha256:{hashlib.sha256(body).hexdigest()}"
    if body.startswith(_MARKS) or b"\0" in body:
        raise UnjudgeableArguments("a byte order mark, or bytes that are no UTF-8 text")
    text = body.decode("utf-8")
    if kind == "application/x-www-form-urlencoded":
        return read_form(text, "form field")
    if kind == "application/json" or kind.endswith("+json") or text.lstrip()[:1] in tuple("{["):
        return read_strict(text)
    return text


def read_form(text: str, what: str) -> dict[str, str]:
    """Returns the fields of a form or a query.

    Raises:
        UnjudgeableArguments, ValueError: one is given twice, or they can be parted in two ways.
    """
    if not text:
        return {}
    if ";" in text:
        raise UnjudgeableArguments(f"a ';' in the text of a {what}; write it as %3B")
    pairs = parse_qsl(
        text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS, separator="&"
    )
    if len(dict(pairs)) != len(pairs):
        raise UnjudgeableArguments(f"a {what} is given twice")
    return dict(pairs)


def names_method_field(data: bytes | str) -> bool:
    """Tells whether `_method` stands in a query or body, where frameworks let it replace the method.

    Rack's MethodOverride and Laravel read it from forms, Laravel from JSON too.
    """
    raw = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
    if raw[:8].count(0):
        raw = raw.replace(b"\0", b"")  # UTF-16
    raw = re.sub(rb"\\u00([2-7][0-9a-fA-F])", rb"%\1", raw)
    return _METHOD_FIELD.search(raw) is not None or (
        b"%" in raw and _METHOD_FIELD.search(unquote_to_bytes(raw)) is not None
    )


# --- multipart -----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Part:
    headers: list[tuple[str, str]] = field(default_factory=list)
    data: bytearray = field(default_factory=bytearray)


class _Parts:
    """Collects what the parser calls back with."""

    def __init__(self) -> None:
        self.made: list[_Part] = []
        self.is_ended = False
        self._name = bytearray()
        self._value = bytearray()

    def begin(self) -> None:
        if len(self.made) >= _MAX_FIELDS:
            raise UnjudgeableArguments("too many parts")
        self.made.append(_Part())

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        pair = (self._name.decode("ascii").lower(), self._value.decode("utf-8").strip())
        self.made[-1].headers.append(pair)
        self._name.clear()
        self._value.clear()

    def data(self, data: bytes, start: int, end: int) -> None:
        self.made[-1].data += data[start:end]

    def end(self) -> None:
        self.is_ended = True


def _read_multipart(body: bytes, parameters: dict[str, str]) -> dict[str, Json]:
    boundary = parameters.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise UnjudgeableArguments("a multipart body without a plain boundary")
    mark = b"--" + boundary.encode()
    if not body.startswith(mark + b"\r\n") or not body.removesuffix(b"\r\n").endswith(
        b"\r\n" + mark + b"--"
    ):
        raise UnjudgeableArguments("bytes outside the parts of a multipart body")
    inside = body.removesuffix(b"\r\n")[: -len(mark) - 2]
    # A line that only begins as the boundary does ends a part for some readers, for others it is data.
    if len(re.findall(rb"(?:\n|^)" + re.escape(mark), inside)) != len(
        re.findall(rb"(?:\r\n|^)" + re.escape(mark) + rb"\r\n", inside)
    ):
        raise UnjudgeableArguments("a boundary that is not a line of its own")
    parts = _Parts()
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": parts.begin,
            "on_part_data": parts.data,
            "on_header_field": parts.header_name,
            "on_header_value": parts.header_value,
            "on_header_end": parts.header_end,
            "on_end": parts.end,
        },
    )
    try:
        parser.write(body)
        parser.finalize()
    except MultipartParseError as error:
        raise UnjudgeableArguments("a broken multipart body") from error
    if not parts.is_ended:
        raise UnjudgeableArguments("a multipart body without an end")
    made: dict[str, Json] = {}
    for part in parts.made:
        name, value = _read_part(part)
        if name in made:
            raise UnjudgeableArguments("a form field is given twice")
        made[name] = value
    return made


def _read_part(part: _Part) -> tuple[str, Json]:
    headers = dict(part.headers)
    if len(headers) != len(part.headers) or "content-disposition" not in headers:
        raise UnjudgeableArguments("a part without a name, or with a header twice")
    disposition, named = _media_type(headers["content-disposition"])
    name = named.get("name")
    if disposition != "form-data" or not name or set(named) - {"name", "filename"}:
        raise UnjudgeableArguments("a part whose name has more than one reading")
    if name == "_charset_":
        raise UnjudgeableArguments("a form that names its own charset")
    if headers.get("content-transfer-encoding", "binary").lower() not in ("7bit", "8bit", "binary"):
        raise UnjudgeableArguments("a part in a transfer encoding")
    kind, parameters = (
        _media_type(headers["content-type"]) if "content-type" in headers else ("", {})
    )
    if kind.startswith(("multipart/", "message/")):
        raise UnjudgeableArguments("a part within a part")
    data = bytes(part.data)
    if "filename" in named:
        return name, {
            "filename": named["filename"],
            "content_type": kind or None,
            "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
    if parameters.get("charset", "utf-8").lower() not in _CHARSETS:
        raise UnjudgeableArguments("a part in a charset that is not UTF-8")
    if data.startswith(_MARKS) or b"\0" in data:
        raise UnjudgeableArguments("a text field that is no UTF-8 text")
    text = data.decode("utf-8")
    if kind == "application/json" or kind.endswith("+json"):
        return name, read_strict(text)
    return name, text


def _media_type(value: str) -> tuple[str, dict[str, str]]:
    head, semicolon, _ = value.partition(";")
    rest = value[len(head) :] if semicolon else ""
    if "," in head:
        raise UnjudgeableArguments("two content types")
    parameters = dict[str, str]()
    for name, text in _parameters(rest):
        if name in parameters:
            raise UnjudgeableArguments("a content type with a parameter twice")
        parameters[name] = text
    return head.strip().lower(), parameters


def _parameters(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text.rstrip("; \t")):
        found = _PARAMETER.match(text, at)
        if found is None:
            raise UnjudgeableArguments("a content type that is not written as it should be")
        yield found[1].lower(), found[2] if found[2] is not None else found[3]
        at = found.end()

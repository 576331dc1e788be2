"""Bodies of routed requests: read as every server reads them, or refused."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

import pytest
from mitmproxy import http

from proxy.addon.tool_body import content_type_of, names_method_field, read_body, read_form
from proxy.errors import UnjudgeableArguments

FORM = "multipart/form-data; boundary=xx"


def part(text: str | bytes, head: str = 'Content-Disposition: form-data; name="a"') -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return b"--xx\r\n" + head.encode() + b"\r\n\r\n" + data + b"\r\n"


END = b"--xx--\r\n"
FILE = 'Content-Disposition: form-data; name="f"; filename="x.bin"\r\nContent-Type: image/png'


def read(content_type: str | None, body: bytes) -> Any:
    asked = http.Request.make("POST", "http://x/", b"")
    if content_type is not None:
        asked.headers["content-type"] = content_type
    return read_body(body, *content_type_of(asked))


@pytest.mark.parametrize(
    ("content_type", "body", "value"),
    [
        pytest.param(None, b"", None, id="nothing"),
        pytest.param("application/json", b'{"a": 1.50}', {"a": Decimal("1.50")}, id="json"),
        pytest.param("application/json; charset=UTF-8", b"[1]", [1], id="json-charset"),
        pytest.param("application/problem+json", b"{}", {}, id="json-suffix"),
        pytest.param("text/plain", b' {"a": 1}', {"a": 1}, id="json-called-text"),
        pytest.param("application/x-www-form-urlencoded", b"a=1&b=%3B+", {"a": "1", "b": "; "}, id="form"),
        pytest.param("text/plain", b"hello", "hello", id="text"),
        pytest.param("image/png", b"\x89PNG\0", "sha256:" + hashlib.sha256(b"\x89PNG\0").hexdigest(), id="binary"),
        pytest.param(FORM, part("1") + END, {"a": "1"}, id="multipart"),
        pytest.param('multipart/form-data; boundary="xx"', part("1") + END[:-2], {"a": "1"}, id="quoted-boundary"),
        pytest.param(FORM, part("\u20ac\r\n--x") + END, {"a": "\u20ac\r\n--x"}, id="multipart-text"),
        pytest.param(
            FORM, part(b"\0\xff", FILE) + END,
            {"f": {"filename": "x.bin", "content_type": "image/png", "size": 2, "sha256": hashlib.sha256(b"\0\xff").hexdigest()}},
            id="file",
        ),
        pytest.param(
            FORM, part('{"b": 2}', 'Content-Disposition: form-data; name="a"\r\nContent-Type: application/json') + END,
            {"a": {"b": 2}}, id="json-part",
        ),
    ],
)  # fmt: skip
def test_what_is_read(content_type: str | None, body: bytes, value: Any) -> None:
    """The value that rules see."""
    assert read(content_type, body) == value


NAMED = 'Content-Disposition: form-data; name="a"'


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        pytest.param("application/json", b"\xef\xbb\xbf{}", id="bom"),
        pytest.param("text/plain", b"\xef\xbb\xbf{}", id="bom-called-text"),
        pytest.param("text/plain", '{"a": 1}'.encode("utf-16-le"), id="utf-16-called-text"),
        pytest.param("application/json", '{"a": 1}'.encode("utf-16"), id="utf-16"),
        pytest.param("application/json; charset=utf-7", b"{}", id="charset"),
        pytest.param("application/json; charset=utf-8; charset=utf-16", b"{}", id="charset-twice"),
        pytest.param("application/json, text/plain", b"{}", id="two-types"),
        pytest.param("application/json; charset", b"{}", id="parameter-without-value"),
        pytest.param("application/json", b'{"a": 1, "a": 2}', id="key-twice"),
        pytest.param("application/x-www-form-urlencoded", b"a=1&a=2", id="field-twice"),
        pytest.param("application/x-www-form-urlencoded", b"a=1;b=2", id="semicolon"),
        pytest.param("application/x-www-form-urlencoded", b"a=%ff", id="form-not-utf-8"),
        pytest.param("multipart/mixed; boundary=xx", part("1") + END, id="no-form"),
        pytest.param("multipart/form-data", part("1") + END, id="no-boundary"),
        pytest.param('multipart/form-data; boundary=xx; boundary=yy', part("1") + END, id="two-boundaries"),
        pytest.param(FORM, part("1") + part("2") + END, id="name-twice"),
        pytest.param(FORM, b"pre\r\n" + part("1") + END, id="preamble"),
        pytest.param(FORM, part("1") + END + b"post", id="epilogue"),
        pytest.param(FORM, part("1") + END + part("2") + END, id="form-behind-the-end"),
        pytest.param(FORM, part("1"), id="no-end"),
        pytest.param(FORM, part("1") + b"--xx \r\n" + NAMED.encode() + b"\r\n\r\n2\r\n" + END, id="boundary-with-space"),
        pytest.param(FORM, part("1\n--xx\n" + NAMED + "\n\n2") + END, id="boundary-with-bare-newlines"),
        pytest.param(FORM, part("1", NAMED + "\r\n" + NAMED.replace('"a"', '"b"')) + END, id="two-dispositions"),
        pytest.param(FORM, part("1", 'Content-Disposition: form-data; name="a"; name="b"') + END, id="two-names"),
        pytest.param(FORM, part("1", "Content-Disposition: form-data; name*=utf-8''a") + END, id="encoded-name"),
        pytest.param(FORM, part("1", NAMED + "; filename*=utf-8''x") + END, id="encoded-filename"),
        pytest.param(FORM, part("1", 'Content-Disposition: form-data; name="a\\"b"') + END, id="backslash"),
        pytest.param(FORM, part("1", "Content-Disposition: attachment") + END, id="no-form-data"),
        pytest.param(FORM, part("1", "X: y") + END, id="no-disposition"),
        pytest.param(FORM, part("MQ==", NAMED + "\r\nContent-Transfer-Encoding: base64") + END, id="transfer-encoding"),
        pytest.param(FORM, part("1", NAMED + "\r\nContent-Type: multipart/mixed; boundary=yy") + END, id="nested"),
        pytest.param(FORM, part("1", NAMED + "\r\nContent-Type: text/plain; charset=utf-16") + END, id="part-charset"),
        pytest.param(FORM, part("utf-7", NAMED.replace('"a"', '"_charset_"')) + END, id="charset-field"),
        pytest.param(FORM, part(b"\xff\xfe1\0") + END, id="part-utf-16"),
    ],
)  # fmt: skip
def test_what_two_servers_read_differently_is_refused(content_type: str, body: bytes) -> None:
    """No value is made of it."""
    with pytest.raises((UnjudgeableArguments, ValueError)):
        read(content_type, body)


def test_two_content_type_headers_are_refused() -> None:
    """Which one a server goes by is not known."""
    asked = http.Request.make("POST", "http://x/", b"")
    asked.headers.set_all("content-type", ["application/json", "text/plain"])
    with pytest.raises(UnjudgeableArguments):
        content_type_of(asked)


def test_an_empty_query_has_no_parameters() -> None:
    """So that every route without a query is not refused."""
    assert read_form("", "query parameter") == {}


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"_method=DELETE", True),
        (b"a=1&%5Fmethod=DELETE", True),
        (b"_%6dethod=DELETE", True),
        (b'{"_method": "PUT"}', True),
        (b'{"\\u005fmethod": "PUT"}', True),
        (part("PUT", NAMED.replace('"a"', '"_method"')) + END, True),
        ('{"_method": 1}'.encode("utf-16"), True),
        (b"payment_method=card", False),
        (b"_methods=1", False),
        (b"", False),
    ],
)
def test_a_method_field_is_found(data: bytes, found: bool) -> None:
    """In a form, in JSON, encoded or not; a longer name is another."""
    assert names_method_field(data) is found

"""What a generic HTTP tool's arguments ask for: where to, with what, and whether data leaves.

What belongs here: reading URL, method, body and headers as such tools take them, and telling a
request that only asks from one that carries something out. A GET carries data too: in a long query,
in a path or a sub-domain that looks like an encoding. What is missing or can be read in two ways
becomes a reason to hold.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from urllib.parse import unquote, unquote_plus

from cel_expr_python import cel

from proxy.model import Json
from proxy.policy.amounts import json_type
from proxy.policy.cel import Variables
from proxy.policy.fetch.hosts import read_url
from proxy.policy.fetch.places import is_address, is_metadata, is_private

_STRING, _BOOL, _INT = cel.Type.STRING, cel.Type.BOOL, cel.Type.INT
REQUEST_VARIABLES: dict[str, cel.Type] = {
    "req.url": _STRING,
    "req.scheme": _STRING,
    "req.host": _STRING,
    "req.port": _INT,
    "req.path": _STRING,
    "req.query_bytes": _INT,
    "req.method": _STRING,
    "req.body_bytes": _INT,
    "req.header_names": cel.Type.List(_STRING),
    "req.has_credentials": _BOOL,
    "req.sends": _BOOL,
    "req.writes": _BOOL,
    "req.private": _BOOL,
    "req.metadata": _BOOL,
    "req.why": _STRING,
}

MOST_QUIET_BYTES = 256
"""A query or path longer than this carries data, whatever it looks like."""
_LONGEST_QUIET_WORD = 24
_LEAST_BITS = 3.6  # a character; English words have 2 to 3, base64 of anything above 4
_HEX_BITS = 2.3  # of text; its first halves repeat
_HEX = re.compile(r"[0-9a-fA-F]+", re.ASCII)
_DEEPEST = 40
_LONGEST_LABEL = 32
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_OVERRIDES = frozenset({"x-http-method-override", "x-http-method", "x-method-override"})
"""Headers by which a server takes another method than the request's."""
_METHOD = re.compile(r"[A-Z]{1,20}")
_SECRET_HEADERS = re.compile(
    r"authorization|proxy-authorization|cookie|x-api-key|api-key|apikey|x-auth.*|x-.*-token|.*-token"
    r"|.*secret.*|.*-key|x-amz-security-token|private-token|x-vault-token"
)
_SECRET_PARAMETERS = re.compile(
    r"(?:.*[_.-])?(?:key|token|secret|password|passwd|pwd|signature|sig|auth|apikey|credential"
    r"|session|sessionid|jwt|bearer)(?:[_.-]?id)?|x-amz-.*|access[_-]?key.*|api[_-]?key.*"
)


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `why` says what of it could not be read, never repeating a value."""

    url: str = ""  # scheme, host, port and path: what the effect is about, without the query
    scheme: str = ""
    host: str = ""
    port: int = 0
    path: str = ""
    query_bytes: int = 0
    method: str = "GET"
    body_bytes: int = 0
    header_names: tuple[str, ...] = ()
    has_credentials: bool = False
    sends: bool = False
    writes: bool = False  # its method is not GET, HEAD or OPTIONS, or a header overrides it
    private: bool = False
    metadata: bool = False
    why: tuple[str, ...] = ()

    def variables(self) -> Variables:
        return {
            "req.url": self.url,
            "req.scheme": self.scheme,
            "req.host": self.host,
            "req.port": self.port,
            "req.path": self.path,
            "req.query_bytes": self.query_bytes,
            "req.method": self.method,
            "req.body_bytes": self.body_bytes,
            "req.header_names": list(self.header_names),
            "req.has_credentials": self.has_credentials,
            "req.sends": self.sends,
            "req.writes": self.writes,
            "req.private": self.private,
            "req.metadata": self.metadata,
            "req.why": "; ".join(self.why),
        }


def read_request(
    url: Json, method: Json = None, body: Json = None, headers: Json = None
) -> Request:
    """Returns the request that a tool's arguments ask for.

    Args:
        url: text; anything else is unreadable.
        method: text, or nothing for GET (POST where there is a body).
        body: text, or a JSON value that the tool encodes; nothing or empty for none.
        headers: an object, a list of pairs or of `{name, value}`, or lines of `Name: value`.
    """
    why: list[str] = []
    text = url if isinstance(url, str) else ""
    if not isinstance(url, str):
        why.append(f"the URL is {json_type(url)}, not text")
    at = read_url(text) if text else None
    if isinstance(url, str) and (at is None or at.why):
        why.append(at.why if at is not None else "there is no URL")
    body_bytes = _size(body)
    verb = _method(method, body_bytes, why)
    names, secret = _headers(headers, why)
    writes = verb not in _READING or not _OVERRIDES.isdisjoint(names)
    if at is None:
        return Request(
            method=verb,
            body_bytes=body_bytes,
            header_names=names,
            has_credentials=secret,
            sends=True,
            writes=writes,
            private=True,
            why=tuple(why),
        )
    host = at.host
    port = "" if at.port in (80, 443) else f":{at.port}"
    shown = f"[{host}]" if ":" in host else host
    return Request(
        url=f"{at.scheme}://{shown}{port}{at.path}" if host else _bare(text),
        scheme=at.scheme,
        host=host,
        port=at.port,
        path=at.path,
        query_bytes=len(at.query.encode("utf-8", "surrogatepass")),
        method=verb,
        body_bytes=body_bytes,
        header_names=names,
        has_credentials=secret or at.userinfo or _secret_parameter(at.query),
        sends=bool(why) or body_bytes > 0 or writes or carries(host, at.path, at.query),
        writes=writes,
        private=not host or is_private(host),
        metadata=is_metadata(host),
        why=tuple(why),
    )


def _bare(text: str) -> str:
    """Returns what of an unreadable URL can be shown: no query, no user name."""
    return re.split(r"[?#]", text)[0].rpartition("@")[2][:200]


def carries(host: str, path: str, query: str) -> bool:
    """Tells whether host, path or query look as if data were packed into them."""
    if len(path) > MOST_QUIET_BYTES or len(query) > MOST_QUIET_BYTES:
        return True
    labels = host.split(".")[:-2] if not is_address(host) else []
    if len(host) > 100 or any(len(label) > _LONGEST_LABEL for label in labels):
        return True
    words = [
        w for part in (unquote(path), unquote_plus(query)) for w in re.split(r"[/&=?;,.\s]", part)
    ]
    return any(_encoded(word) for word in (*words, *labels))


def _encoded(word: str) -> bool:
    """Long, without spaces or dashes between words, and with a surprise in every character."""
    longest = max(re.split(r"[-_+ ]", word), key=len, default="")
    if len(longest) < _LONGEST_QUIET_WORD:
        return False
    if len(longest) < 2 * _LONGEST_QUIET_WORD and longest.isalpha():
        return False  # words written together, such as a page's title
    counted = Counter(longest).values()
    bits = -sum(n / len(longest) * math.log2(n / len(longest)) for n in counted)
    return bits >= (_HEX_BITS if _HEX.fullmatch(longest) else _LEAST_BITS)


def _size(body: Json, depth: int = 0) -> int:
    """Returns about how many bytes a body has; 0 for none."""
    if body is None or body is False or body in ("", {}, []):
        return 0
    if isinstance(body, str):
        return len(body.encode("utf-8", "surrogatepass"))
    if depth >= _DEEPEST:
        return MOST_QUIET_BYTES
    if isinstance(body, dict):
        return sum(_size(k) + max(1, _size(v, depth + 1)) + 4 for k, v in body.items())
    if isinstance(body, list | tuple):
        return sum(size + 1 for item in body if (size := _size(item, depth + 1)))
    return len(str(body))


def _method(method: Json, body_bytes: int, why: list[str]) -> str:
    if method is None or method == "":
        return "POST" if body_bytes else "GET"
    if not isinstance(method, str):
        why.append(f"the method is {json_type(method)}, not text")
        return "POST"
    verb = method.strip().upper()
    if not _METHOD.fullmatch(verb):
        why.append("the method is no HTTP method")
        return "POST"
    return verb


def _headers(headers: Json, why: list[str]) -> tuple[tuple[str, ...], bool]:
    names: list[str] = []
    if isinstance(headers, dict):
        names = [name for name in headers if isinstance(name, str)]
    elif isinstance(headers, str):
        names = [line.partition(":")[0] for line in headers.splitlines() if line.strip()]
        if headers.strip().startswith(("{", "[")):
            why.append("the headers are JSON inside of text")
    elif isinstance(headers, list | tuple):
        for item in headers:
            if isinstance(item, str):
                names.append(item.partition(":")[0])
            elif isinstance(item, dict):
                named = item.get("name", item.get("key"))
                names += (
                    [named] if isinstance(named, str) else [n for n in item if isinstance(n, str)]
                )
            elif isinstance(item, list | tuple) and item and isinstance(item[0], str):
                names.append(item[0])
            else:
                why.append("the headers are in no shape that is known")
    elif headers is not None:
        why.append(f"the headers are {json_type(headers)}")
    spelled = tuple(dict.fromkeys(name.strip().lower()[:100] for name in names))
    return spelled, any(_SECRET_HEADERS.fullmatch(name) for name in spelled)


def _secret_parameter(query: str) -> bool:
    names = (unquote_plus(part.partition("=")[0]).lower() for part in re.split("[&;]", query))
    return any(len(name) <= 100 and _SECRET_PARAMETERS.fullmatch(name) for name in names if name)

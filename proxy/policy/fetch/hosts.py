"""One spelling for the host of a URL, as the fetching client will understand it.

What belongs here: what browsers and HTTP libraries make of a host (WHATWG URL Standard, sections
3.5 and 4.4, https://url.spec.whatwg.org, read 2026-11-25): tabs and newlines dropped, backslashes
as slashes, user names cut off, percent-escapes decoded, IDNA, addresses in octal and hexadecimal.
Where clients differ about which host a URL names, it is ambiguous, and the caller holds.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import unquote

import idna

from proxy.policy.routes import normal_host

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_SPECIAL = frozenset({"http", "https", "ws", "wss", "ftp"})
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443, "ftp": 21}
_DROPPED = re.compile(r"[\t\n\r]")
_EDGES = "".join(map(chr, range(0x21)))
_FORBIDDEN = re.compile(r"[\x00-\x20#%/:<>?@\[\\\]^|\x7f]")
_HOST_AND_PORT = re.compile(r"[\w.-]+:[0-9]{1,5}(?:[/?#]|\Z)")
_LONGEST = 8_192


@dataclass(frozen=True, slots=True)
class Address:
    """Where a URL points.

    `why`: it is odd, or has no reading at all; `doubtful`: clients differ about the host.
    """

    scheme: str = ""
    host: str = ""
    port: int = 0
    path: str = ""
    query: str = ""
    userinfo: bool = False
    why: str = ""
    doubtful: bool = False


def host_of(text: str) -> str:
    """Returns the host that a URL, a mail address or a host by itself names, in its normal spelling.

    "" where it names none, or where clients would differ about which: a rule that lets hosts pass is
    safe with that, a rule that stops some has to stop "" too.
    """
    found = read_url(text)
    return "" if found.doubtful else found.host


def read_url(text: str) -> Address:
    """Returns where a URL points, read as a browser reads it."""
    if len(text) > _LONGEST:
        return Address(why=f"the URL is longer than {_LONGEST} characters")
    plain = _DROPPED.sub("", text.strip(_EDGES))
    odd = "tabs or line breaks in the URL" if plain != text.strip(_EDGES) else ""
    if not plain:
        return Address(why="there is no URL")
    if any("\ud800" <= char <= "\udfff" for char in plain):
        return Address(why="the URL is no text")
    scheme = ""
    rest = plain
    doubtful = False
    found = _SCHEME.match(plain)
    if found is not None and (found[1].lower() in _SPECIAL or not _HOST_AND_PORT.match(plain)):
        scheme, rest = found[1].lower(), plain[found.end() :]
    if scheme and scheme not in _SPECIAL:
        return Address(scheme, path=rest, why=f"the scheme '{scheme[:20]}' is not HTTP's")
    if not scheme:
        # No scheme: clients add one. A single slash in front is a path of nobody knows which host.
        if rest.startswith("/") and not rest.startswith(("//", "/\\")):
            return Address(path=rest, why="the URL names no host")
        scheme = "https" if rest.startswith(("//", "\\\\")) else "http"
    elif not rest.startswith(("//", "\\\\", "/\\", "\\/")):
        odd = odd or "the URL has no '//' behind its scheme"
    if "\\" in rest.partition("?")[0].partition("#")[0]:
        odd, doubtful = "backslashes in the URL, which clients read differently", True
    rest = rest.lstrip("/\\")
    cut = re.search(r"[/\\?#]", rest)
    authority, tail = (rest[: cut.start()], rest[cut.start() :]) if cut else (rest, "")
    tail = tail.partition("#")[0]
    path, _, query = tail.partition("?")
    userinfo, at, hostport = authority.rpartition("@")
    if "@" in userinfo:
        odd, doubtful = "more than one '@' ahead of the host", True
    host, port, why = _host_and_port(hostport, _PORTS[scheme])
    return Address(
        scheme,
        host,
        port,
        path.replace("\\", "/") or "/",
        query,
        bool(at),
        why or odd,
        doubtful,
    )


def _host_and_port(text: str, usual: int) -> tuple[str, int, str]:
    port = usual
    if text.startswith("["):
        inner, closed, rest = text[1:].partition("]")
        if not closed:
            return "", 0, "the URL's host is no address"
        try:
            six = ipaddress.IPv6Address(inner)
        except ValueError:
            return "", 0, "the URL's host is no address"
        host = str(six.ipv4_mapped or six)
        written = rest.removeprefix(":") if rest.startswith(":") else ""
        if rest and not rest.startswith(":"):
            return "", 0, "the URL's host is no host"
    else:
        name, _, written = text.rpartition(":") if ":" in text else (text, "", "")
        host, why = _name(name)
        if why:
            return "", 0, why
    if written:
        if not (written.isascii() and written.isdigit() and int(written[:6]) <= 65_535):
            return "", 0, "the URL's port is no port"
        port = int(written)
    return host, port, ""


def _name(text: str) -> tuple[str, str]:
    """Returns a host name as DNS is asked for it, or why there is none."""
    decoded = unquote(text, errors="strict") if "%" in text and _decodes(text) else text
    folded = unicodedata.normalize("NFKC", decoded).lower()
    folded = re.sub("[\u3002\uff0e\uff61]", ".", folded)
    folded = "".join(char for char in folded if unicodedata.category(char) != "Cf")
    if not folded.strip("."):
        return "", "the URL names no host"
    if _FORBIDDEN.search(folded):
        return "", "the URL's host has characters that no host has"
    if not folded.isascii():
        try:
            folded = idna.encode(folded, uts46=True, transitional=False).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            return "", "the URL's host is no host name"
    host = normal_host(folded)
    if host.endswith(".") or ".." in host or len(host) > 253:
        return "", "the URL's host is no host name"
    last = host.rpartition(".")[2]
    if (last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last)) and not _is_address(host):
        return "", "the URL's host ends in a number and is no address"
    return host, ""


def _decodes(text: str) -> bool:
    try:
        unquote(text, errors="strict")
    except UnicodeDecodeError:
        return False
    return True


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True

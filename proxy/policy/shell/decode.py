"""Output that can be known without running anything: `echo`, `printf`, `base64 -d` and their like.

What belongs here: the few programs by which a command is spelled in disguise. Each gets its
arguments and its input as text and returns its output, or None where it cannot be known.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re

from proxy.policy.shell.line import Command
from proxy.policy.shell.words import unescape

MAX_OUTPUT = 65_536

DECODERS = frozenset(
    {"base64", "base32", "xxd", "od", "openssl", "uudecode", "rev", "tr", "gunzip", "zcat", "gpg"}
    | {"gzip", "bzip2", "xz", "bunzip2", "unxz", "hexdump", "basenc"}
)
"""Programs that turn data into other data: what a shell gets behind one of them is hidden."""

_FORMAT = re.compile(r"%(?:-?\d{0,3})([sbdc%])")


def output(command: Command) -> str | None:
    """Returns what a command prints, None where that is not known."""
    if command.opaque or not all(word.known and not word.glob for word in command.args):
        return None
    if any(redirect.writes for redirect in command.redirects):
        return None
    words = [word.text for word in command.args]
    given = command.stdin.text
    try:
        made = _output(command.program, words, given)
    except (ValueError, binascii.Error, UnicodeError):
        return None
    return made if made is not None and len(made) <= MAX_OUTPUT else None


def _output(program: str, words: list[str], given: str | None) -> str | None:
    match program:
        case "echo":
            return _echo(words)
        case "printf":
            return _printf(words)
        case "cat" | "tee" if given is not None and (not words or words == ["-"]):
            return given
        case "rev" if given is not None and not words:
            return "\n".join(line[::-1] for line in given.split("\n"))
        case "base64" if given is not None and words and words[0] in ("-d", "-D", "--decode"):
            return base64.b64decode("".join(given.split()), validate=True).decode()
        case "base32" if given is not None and words and words[0] in ("-d", "--decode"):
            return base64.b32decode("".join(given.split())).decode()
        case "xxd" if given is not None and set("rp") <= set("".join(words)):
            return bytes.fromhex("".join(given.split())).decode()
        case "tr" if given is not None and words in (["A-Za-z", "N-ZA-Mn-za-m"], ["a-z", "n-za-m"]):
            return codecs.encode(given, "rot13")
        case "pwd" if not words:
            return "."
        case "basename" if len(words) == 1:
            return words[0].rstrip("/").rpartition("/")[2]
    return None


def _echo(words: list[str]) -> str:
    escapes = newline = False
    while words and re.fullmatch(r"-[neE]+", words[0]):
        escapes = "e" in words[0]
        newline = newline or "n" in words[0]
        words = words[1:]
    text = " ".join(words)
    return (unescape(text) if escapes else text) + ("" if newline else "\n")


def _printf(words: list[str]) -> str | None:
    if words[:1] == ["--"]:
        words = words[1:]
    if not words or words[0].startswith("-"):
        return None
    form, values = words[0], words[1:]
    if "%" in _FORMAT.sub("", form):
        return None
    made = ""
    while True:
        at = used = 0
        for found in _FORMAT.finditer(form):
            # Escapes stand in the format; values are as they are, but for %b.
            made += unescape(form[at : found.start()])
            at = found.end()
            if found[1] == "%":
                made += "%"
                continue
            value = values[used] if used < len(values) else ""
            used += 1
            made += unescape(value) if found[1] == "b" else value
        made += unescape(form[at:])
        values = values[used:]
        if not values or not used or len(made) > MAX_OUTPUT:
            return made

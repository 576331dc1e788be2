"""Code in other languages that stands in a shell line: `python -c`, `perl -e`, `awk '…system()…'`.

What belongs here: telling that a program is handed code, and how. What the code does is not read:
that is what `Opaque.INLINE_CODE` says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from proxy.policy.shell.line import Opaque, Stdin, Word


@dataclass(frozen=True, slots=True)
class _Language:
    code: str  # letters of the short options that take code
    valued: str = ""  # letters of the short options whose value is the rest or the next word
    long: frozenset[str] = frozenset()
    stdin: bool = True  # without a file it runs what it reads


def _language(code: str, valued: str = "", long: str = "", *, stdin: bool = True) -> _Language:
    return _Language(code, valued, frozenset(long.split()), stdin)


_LANGUAGES: dict[str, _Language] = {
    "python": _language("c", "mWX"),
    "pypy": _language("c", "mWX"),
    "ipython": _language("c", "m"),
    "node": _language("ep", "rC", "--eval --print -pe"),
    "bun": _language("e", "", "--eval --print -p", stdin=False),
    "deno": _language("", "", "eval repl", stdin=False),
    "tsx": _language("ep", "", "--eval --print"),
    "ts-node": _language("ep", "", "--eval --print"),
    "perl": _language("eE", "IMmFxDT"),
    "ruby": _language("e", "rIWEKCx"),
    "php": _language("rBRE", "dczS", "--run --process-code"),
    "lua": _language("e", "l"),
    "luajit": _language("e", "l"),
    "Rscript": _language("e"),
    "R": _language("e"),
    "julia": _language("eE", "J", "--eval --print"),
    "osascript": _language("e", "l"),
    "tclsh": _language(""),
    "expect": _language("c"),
    "groovy": _language("e"),
    "scala": _language("e"),
    "elixir": _language("e", "", "--eval"),
    "erl": _language("", "", "-eval -run -s", stdin=False),
    "swift": _language("e"),
    "ghc": _language("e", stdin=False),
    "guile": _language("c"),
    "sbcl": _language("", "", "--eval"),
    "emacs": _language("", "", "--eval --batch -f --execute", stdin=False),
    "pwsh": _language("ce", "", "-Command -EncodedCommand -enc -Command -EC /c"),
    "powershell": _language("ce", "", "-Command -EncodedCommand -enc -command -EC /c"),
    "cmd": _language("", "", "/c /C /k /K"),
    "gdb": _language("", "", "-ex --eval-command -x", stdin=False),
    "vim": _language("c", "", "--cmd", stdin=False),
    "nvim": _language("c", "l", "--cmd", stdin=False),
    "ex": _language("c"),
    "ed": _language("", stdin=True),
    "dc": _language("e"),
    "gnuplot": _language("e"),
    "m4": _language("", stdin=True),
    "jshell": _language(""),
    "irb": _language(""),
    "sqlplus": _language(""),
}
MAX_CODE = 8_000
"""Of awk and sed code, in characters; longer code is not looked through, and so is opaque."""
MAX_SQL = 100_000
_AWK = re.compile(
    r"system\s*\(|\|\s*&?\s*(getline|\"|[A-Za-z_(])|\"\s*\||print[^;}\n]{0,500}[|>]|getline|@load"
)
_SED = re.compile(
    r"(?:^|[;{}\n]|\$|\d|/[^/]*/)\s*[ewW](?:\s+\S|$|;)"
    r"|s([^\w\s\\])(?:\\.|(?!\1)[^\\]){0,2000}\1(?:\\.|(?!\1)[^\\]){0,2000}\1[gpiImM0-9]*[ew]",
    re.DOTALL,
)
_CLIENTS = re.compile(
    r"(^|\s|;|\n)\s*(\\!|\\copy\b.*\bprogram\b|\.shell\b|\.system\b|system\s)", re.I
)


def is_interpreter(program: str) -> bool:
    return program in _LANGUAGES


def script_of(program: str, args: Sequence[Word]) -> Word | None:
    """Returns the file that an interpreter runs, None where it is told otherwise."""
    language = _LANGUAGES.get(program)
    if language is None:
        return None
    at = 0
    while at < len(args):
        text = args[at].text
        at += 1
        if not text.startswith("-") or text == "-":
            return args[at - 1] if text != "-" else None
        letters = text[1:]
        for i, letter in enumerate(letters):
            if letter in language.valued and not text.startswith("--"):
                if letter == "m" and program in ("python", "pypy", "ipython"):
                    return None
                at += i == len(letters) - 1
                break
    return None


def inline_code(program: str, args: Sequence[Word], stdin: Stdin) -> tuple[Opaque, str] | None:
    """Tells whether a program runs code that stands in the line or comes by its input."""
    texts = [word.text for word in args]
    if program in ("awk", "gawk", "mawk", "nawk"):
        hit = any(len(text) > MAX_CODE or _AWK.search(text) for text in texts)
        return (Opaque.INLINE_CODE, "awk code that runs programs or writes files") if hit else None
    if program in ("sed", "gsed"):
        hit = any(len(text) > MAX_CODE or _SED.search(text) for text in texts)
        return (Opaque.INLINE_CODE, "sed code that runs programs or writes files") if hit else None
    if program in ("psql", "mysql", "mariadb", "sqlite3"):
        given = "\n".join([*texts, stdin.text or ""])
        hit = len(given) > MAX_SQL or _CLIENTS.search(given) is not None
        return (Opaque.INLINE_CODE, f"{program} is told to run a program") if hit else None
    language = _LANGUAGES.get(program)
    if language is None:
        return None
    for text in texts:
        if text in language.long or text.partition("=")[0] in language.long:
            return Opaque.INLINE_CODE, f"{program} runs code that stands in the line"
        if not text.startswith("-") or text == "-":
            break
        if text.startswith("--"):
            continue
        for letter in text[1:]:
            if letter in language.code:
                return Opaque.INLINE_CODE, f"{program} runs code that stands in the line"
            if letter in language.valued:
                break
    if not language.stdin or script_of(program, args) is not None or not stdin.present:
        return None
    if any(letter in text[1:] for text in texts[:4] if text[:1] == "-" for letter in ("m",)):
        return None  # python -m: the module reads the input
    return from_input(program, stdin)


def from_input(program: str, stdin: Stdin) -> tuple[Opaque, str]:
    """Says how opaque it is that a program runs what it reads."""
    if stdin.network:
        return Opaque.DOWNLOADED, f"{program} runs what another program downloads"
    if stdin.text is not None or stdin.from_here:
        return Opaque.INLINE_CODE, f"{program} runs code that stands in the line"
    if stdin.from_file and not stdin.programs:
        return Opaque.INLINE_CODE, f"{program} runs the code of a file"
    return Opaque.UNREADABLE, f"{program} runs what another program prints"

"""Claude Code's `Read(…)` and `Edit(…)` rules.

What they mean (https://code.claude.com/docs/en/permissions, read 2026-11). Patterns are those of gitignore: `//path` from the root,
`~/path` from the home folder, `/path` from the project, `path` and `./path` from the working directory; a pattern without a slash is met in
any folder. `Read` rules are for all tools that read files, `Edit` rules for all that change them.

How it works. A rule that denies or asks is read as wide as it may be: a relative pattern is met in any folder, in any case of its letters,
and covers what is below. One that allows is met from the named project alone, and not by a path with `..` in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.importers.celtext import NEVER, all_of, any_of, literal
from proxy.importers.imported import Imported

if TYPE_CHECKING:
    from proxy.importers.claude_code import Rule

READING = ("Read", "Grep", "Glob", "LS", "NotebookRead")
EDITING = ("Edit", "Write", "MultiEdit", "NotebookEdit")
TOOLS: dict[str, tuple[str, ...]] = {
    "Read": READING,
    "Edit": EDITING,
    **{name: (name,) for name in (*READING[1:], *EDITING[1:])},
}
"""Which tools a rule that names one is about."""

_ARGUMENTS = ("file_path", "path", "notebook_path")
_PLAIN = r"\A/[ -~]*\z"


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the agent works, as absolute paths."""

    project: str | None = None
    home: str | None = None
    more: tuple[str, ...] = ()


def condition(rule: Rule, folders: Folders, imported: Imported) -> tuple[str, bool]:
    """Returns which calls a path rule is about, and whether that is all that it says."""
    pattern = rule.what or ""
    names = TOOLS[rule.tool]
    if rule.listed == "allow":
        names = (rule.tool,) if rule.tool in ("Write", "MultiEdit", "NotebookEdit") else names
        start = _start(pattern, folders)
        if start is None or "!" in pattern[:1]:
            imported.note(
                rule.place,
                f"{rule.text}: its folder is not known",
                "it allows nothing: say --project (and --home)",
            )
            return NEVER, False
        fits = f"PATH.matches({literal(start)})"
        return _any_argument(names, all_of([_plain(), fits]), missing=False), True
    if pattern.startswith("!"):
        imported.note(
            rule.place,
            f"{rule.text}: takes back what a pattern before it says",
            "it is met by every path",
        )
        return f"tool in [{', '.join(map(literal, names))}]", False
    fits = f"PATH.matches({literal(_anywhere(pattern))})"
    return _any_argument(names, fits, missing=True), True


def inside(names: Sequence[str], folders: Folders) -> str:
    """Returns the condition that a tool's file is in the folders to work in."""
    roots = [root for root in (folders.project, *folders.more) if root is not None]
    within = any_of(
        f"PATH.matches({literal(rf'\A{re.escape(root.rstrip("/"))}(/.*)?\z')})"
        for root in roots
        if root.startswith("/")
    )
    return _any_argument(names, all_of([_plain(), within]), missing=False)


def _any_argument(names: Sequence[str], fits: str, *, missing: bool) -> str:
    """Returns a condition over the argument that names a file; `missing`: true where there is none, or no text."""
    tools = f"tool in [{', '.join(map(literal, names))}]"
    parts: list[str] = []
    for name in _ARGUMENTS:
        here = f"args.{name}"
        tested = fits.replace("PATH", here)
        parts.append(
            f"has({here}) && (type({here}) != string || {tested})"
            if missing
            else f"has({here}) && type({here}) == string && {tested}"
        )
    given = " || ".join(f"has(args.{name})" for name in _ARGUMENTS)
    if missing:
        return all_of([tools, any_of([*parts, f"!({given})"])])
    # Of two arguments that name a file both have to be inside.
    each = [
        f"(!has(args.{name}) || (type(args.{name}) == string && {_grouped(fits, name)}))"
        for name in _ARGUMENTS
    ]
    return all_of([tools, f"({given})", *each])


def _grouped(fits: str, name: str) -> str:
    return f"({fits.replace('PATH', f'args.{name}')})"


def _plain() -> str:
    """A path from the root, in printable ASCII, without a way back up."""
    return all_of(
        [
            f"PATH.matches({literal(_PLAIN)})",
            f"!PATH.matches({literal(r'(^|/)\.\.?(/|$)')})",
        ]
    )


def _start(pattern: str, folders: Folders) -> str | None:
    """Returns a regular expression of what a pattern allows, None where its folder is not known."""
    root: str | None = ""
    rest = pattern[1:]
    if pattern.startswith("//"):
        pass
    elif pattern.startswith("~/"):
        root, rest = folders.home, pattern[1:]
    else:
        relative = pattern.removeprefix("./")
        anchored = pattern.startswith(("/", "./")) or "/" in relative.rstrip("/")
        root = folders.project
        rest = "/" + relative.lstrip("/") if anchored else f"/**/{relative}"
    if root is None:
        return None
    return rf"\A{re.escape(root.rstrip('/'))}{_glob(rest)}\z"


def _anywhere(pattern: str) -> str:
    """Returns a regular expression of all that a pattern may be about, wherever its folder is."""
    if pattern.startswith("//"):
        start, rest = r"\A", pattern[1:]
        return rf"(?i){start}{_glob(rest)}(/.*)?\z"
    rest = re.sub(r"\A(~/|\./|/)+", "", pattern)
    return rf"(?i)(\A|/){_glob(rest)}(/.*)?\z"


def _glob(pattern: str) -> str:
    """Returns gitignore's pattern as a regular expression."""
    made, at = "", 0
    pattern = pattern.rstrip("/") or pattern
    while at < len(pattern):
        if pattern.startswith("/**/", at):
            made, at = made + "/(.*/)?", at + 4
        elif pattern.startswith("**/", at) and at == 0:
            made, at = made + "(.*/)?", at + 3
        elif pattern.startswith("**", at):
            made, at = made + ".*", at + 2
        elif pattern[at] == "*":
            made, at = made + "[^/]*", at + 1
        elif pattern[at] == "?":
            made, at = made + "[^/]", at + 1
        else:
            made, at = made + re.escape(pattern[at]), at + 1
    return made

"""Claude Code's `Bash(…)` rules.

What they mean (https://code.claude.com/docs/en/permissions, read 2026-11). `Bash(npm run build)` is that command, `Bash(npm run *)` and the older
`Bash(npm run:*)` what begins with these words, `Bash(npm*)` what begins with these letters; a `*` may stand anywhere. A line of
several commands is allowed where each of them is, and denied where one is.

How it works. checkrein parses the line and asks about every program that runs, also those inside of `sudo`, `xargs` or `sh -c`. A
rule becomes an entry of `commands:` with an effect of its own: one that denies is met by the words of a command with anything behind them, one
that allows by exactly these words. A command that no rule is about has the effect `claude-code.command`, which a gate holds;
so has a file that a line writes, unless all edits are allowed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from proxy.importers.celtext import all_of, literal, none_of
from proxy.importers.imported import Imported, ImportedCommand, ImportedGate

if TYPE_CHECKING:
    from proxy.importers.claude_code import Rule

_ODD = frozenset("\"'`$;&|<>(){}\\\n#~!")
"""Signs that a shell reads: a rule's text with one of them is not compared with words."""
_USUAL = re.compile(r"/(?:usr/(?:local/)?)?s?bin/")

DENIED, ASKED, OTHER, WRITES = (
    "claude-code.denied",
    "claude-code.asked",
    "claude-code.command",
    "claude-code.write",
)


def commands_of(rules: Sequence[Rule], mode: str, out: Imported) -> bool:
    """Adds what is asked of each command; returns whether `Bash` passes where its commands do."""
    about = [rule for rule in rules if rule.tool == "Bash"]
    allows_all = any(rule.listed == "allow" and rule.what is None for rule in about)
    allowed: list[str] = []
    for rule in about:
        if rule.what is None:
            continue  # a gate over the tool says it
        if rule.listed == "allow":
            condition = allows(rule.what)
            if condition is None:
                out.note(
                    rule.place, f"{rule.text}: has signs that a shell reads", "it allows nothing"
                )
                continue
            allowed.append(condition)
            out.taken += 1
            continue
        stopping, word = stops(rule.what)
        if _ODD & set(rule.what):
            out.note(
                rule.place,
                f"{rule.text}: has signs that a shell reads",
                f"it is about every command that begins with {word}",
            )
        else:
            out.taken += 1
        kind = DENIED if rule.listed == "deny" else ASKED
        out.commands.append(
            ImportedCommand("@any", stopping, kind, f"{rule.place} {rule.listed} {rule.text}")
        )
    if not about or mode == "bypassPermissions" or allows_all:
        passes = bool(about) or mode == "bypassPermissions"
    else:
        passes = True
        out.commands.append(ImportedCommand("@any", none_of(allowed), OTHER, "what no rule allows"))
    if passes and mode not in ("bypassPermissions", "acceptEdits") and not _edits_freely(rules):
        out.commands.append(ImportedCommand("@writes", "true", WRITES, "a file that a line writes"))
    verdict = "block" if mode == "dontAsk" else "hold"
    kinds = {command.kind for command in out.commands}
    for kind, said, does in (
        (DENIED, "An imported Bash rule denies this command.", "block"),
        (ASKED, "An imported Bash rule asks before this command.", "hold"),
        (OTHER, "No imported Bash rule allows this command.", verdict),
        (WRITES, "The line writes a file, and no imported rule allows all edits.", verdict),
    ):
        if kind in kinds:
            name = kind.replace(".", "-")
            out.gates.append(
                ImportedGate(name, f"effect.kind == {literal(kind)}", does, said, "Bash rules")
            )
    return passes


def _edits_freely(rules: Sequence[Rule]) -> bool:
    return any(
        r.listed == "allow" and r.what is None and r.tool in ("Edit", "Write") for r in rules
    )


def allows(specifier: str) -> str | None:
    """Returns when a command is one that a rule allows; None for a rule that cannot be read."""
    if _ODD & set(specifier):
        return None
    text = re.sub(r":\*\Z", " *", specifier.strip())
    words = text.split()
    if not words:
        return None
    stars = text.count("*")
    if stars == 0 or (stars == 1 and words[-1] == "*" and len(words) > 1):
        exact = stars == 0
        wanted = words if exact else words[:-1]
        return _words(wanted, exact=exact)
    joined = _pattern(text)
    plain = 'cmd.args.all(word, word != "" && !word.matches("[ \\t\\n]"))'
    return all_of([plain, f"{_line()}.matches({literal(rf'\A{joined}\z')})", 'cmd.stdin == ""'])


def stops(specifier: str) -> tuple[str, str]:
    """Returns when a command may be one that a rule denies or asks for, and the word it is told by where its text is odd."""
    text = re.sub(r":\*\Z", " *", specifier.strip())
    words = text.split() or ["*"]
    if _ODD & set(text):
        first = words[0]
        if _ODD & set(first) or "*" in first:
            return "true", "anything"
        return _program(first), f"'{first}'"
    if not text.count("*"):
        return _words(words, exact=False), ""
    return f"{_line()}.matches({literal(rf'\A{_pattern(text)}')})", ""


def _words(words: Sequence[str], *, exact: bool) -> str:
    count = len(words) - 1
    size = f"size(cmd.args) {'==' if exact else '>='} {count}"
    each = [f"cmd.args[{n}] == {literal(word)}" for n, word in enumerate(words[1:])]
    return all_of([_program(words[0]), size, *each])


def _program(word: str) -> str:
    """A program of the usual folders goes by its name (docs/shell.md, `cmd.program`)."""
    found = _USUAL.match(word)
    name = word[found.end() :] if found is not None and "/" not in word[found.end() :] else word
    return f"cmd.program == {literal(name)}"


def _line() -> str:
    return '(cmd.program + " " + cmd.text)'


def _pattern(text: str) -> str:
    """Returns a rule's text as a regular expression over a command's text; a blank and a star at the end may be missing."""
    optional = text.endswith(" *")
    body = text[:-2] if optional else text
    made = "".join(
        "(?s:.*)" if part == "*" else re.escape(part) for part in re.split(r"(\*)", body)
    )
    return made + ("( (?s:.*))? ?" if optional else " ?")


# --- cases ------------------------------------------------------------------------------------------------------
def cases_of(rules: Sequence[Rule], mode: str, out: Imported) -> None:
    """Adds a command a rule, and one that none is about."""
    about = [rule for rule in rules if rule.tool == "Bash"]
    for rule in about:
        if rule.what is not None and not _ODD & set(rule.what):
            command = _example(rule.what)
            out.case(
                "Bash",
                {"command": command},
                _decides(about, mode, command),
                f"{rule.listed} {rule.text}",
            )
            chained = f"{command} && some-other-program"
            if rule.listed == "allow":
                out.case(
                    "Bash",
                    {"command": chained},
                    _decides(about, mode, command, "some-other-program"),
                    f"{rule.text}, and another program behind it",
                )
    if about:
        out.case(
            "Bash",
            {"command": "some-other-program"},
            _decides(about, mode, "some-other-program"),
            "a command that no rule names",
        )


def _example(specifier: str) -> str:
    text = re.sub(r":\*\Z", " *", specifier.strip())
    return re.sub(r"\*", "x1", text)


def _decides(rules: Sequence[Rule], mode: str, *commands: str) -> str:
    """What Claude Code does with a line of these commands."""

    def matched(rule: Rule, command: str) -> bool:
        return rule.what is None or re.fullmatch(_source(rule.what), command) is not None

    for listed, verdict in (("deny", "block"), ("ask", "hold")):
        if any(r.listed == listed and matched(r, c) for r in rules for c in commands):
            return verdict
    allowed = [r for r in rules if r.listed == "allow"]
    if mode == "bypassPermissions" or all(any(matched(r, c) for r in allowed) for c in commands):
        return "allow"
    return "block" if mode == "dontAsk" else "hold"


def _source(specifier: str) -> str:
    text = re.sub(r":\*\Z", " *", specifier.strip())
    if text.endswith(" *") and text.count("*") == 1:
        return re.escape(text[:-2]) + "( .*)?"
    return "".join(".*" if part == "*" else re.escape(part) for part in re.split(r"(\*)", text))

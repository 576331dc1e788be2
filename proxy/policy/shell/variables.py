"""The `cmd.*` variables: one command of a shell line as rules see it.

What belongs here: their names, their types, and making them from a `Command`. All are always there.
"""

from __future__ import annotations

from collections.abc import Sequence

from cel_expr_python import cel

from proxy.policy.cel import Variables
from proxy.policy.shell.line import Command

_STRING, _BOOL, _INT, _DYN = cel.Type.STRING, cel.Type.BOOL, cel.Type.INT, cel.Type.DYN
_LIST = cel.Type.List(_STRING)
_MAX_TEXT = 20_000

COMMAND_VARIABLES: dict[str, cel.Type] = {
    "cmd.program": _STRING,
    "cmd.name": _STRING,
    "cmd.sub": _STRING,
    "cmd.words": _LIST,
    "cmd.args": _LIST,
    "cmd.flags": _LIST,
    "cmd.options": _DYN,
    "cmd.paths": _LIST,
    "cmd.urls": _LIST,
    "cmd.hosts": _LIST,
    "cmd.reads": _LIST,
    "cmd.writes": _LIST,
    "cmd.deletes": _LIST,
    "cmd.secrets": _LIST,
    "cmd.secrets_before": _LIST,
    "cmd.piped_from": _LIST,
    "cmd.piped_to": _LIST,
    "cmd.sends_data": _BOOL,
    "cmd.runs_as": _STRING,
    "cmd.host": _STRING,
    "cmd.env": _DYN,
    "cmd.stdin": _STRING,
    "cmd.text": _STRING,
    "cmd.target": _STRING,
    "cmd.depth": _INT,
    "cmd.known": _BOOL,
    "cmd.opaque": _BOOL,
    "cmd.why": _STRING,
    "item": _STRING,
}
"""`item` is what an `@` entry is asked about; empty elsewhere."""


def command_variables(command: Command, secrets_before: Sequence[str]) -> Variables:
    """Returns a command's variables; `secrets_before` is what its line read until then."""
    facts = command.facts
    args = [word.text for word in command.args[:512]]
    stdin = (command.stdin.text or "")[:_MAX_TEXT]
    text = " ".join(args)[:_MAX_TEXT]
    return {
        "cmd.program": command.program,
        "cmd.name": f"{command.program} {facts.words[0]}" if facts.words else command.program,
        "cmd.sub": facts.words[0] if facts.words else "",
        "cmd.words": list(facts.words),
        "cmd.args": args,
        "cmd.flags": list(facts.flags),
        "cmd.options": facts.options,
        "cmd.paths": list(facts.paths),
        "cmd.urls": list(facts.urls),
        "cmd.hosts": list(facts.hosts),
        "cmd.reads": list(facts.reads),
        "cmd.writes": list(facts.writes),
        "cmd.deletes": list(facts.deletes),
        "cmd.secrets": list(facts.secrets),
        "cmd.secrets_before": [*secrets_before, *facts.secrets],
        "cmd.piped_from": list(command.stdin.programs),
        "cmd.piped_to": list(command.piped_to),
        "cmd.sends_data": facts.sends_data,
        "cmd.runs_as": command.runs_as,
        "cmd.host": command.host,
        "cmd.env": dict(command.assignments),
        "cmd.stdin": stdin,
        "cmd.text": f"{text}\n{stdin}" if stdin else text,
        "cmd.target": _target(command),
        "cmd.depth": command.depth,
        "cmd.known": command.known,
        "cmd.opaque": bool(command.opaque),
        "cmd.why": command.why,
        "item": "",
    }


def _target(command: Command) -> str:
    """What a command acts on, for effects that need some target: the words behind its sub-command."""
    words = command.facts.words
    options = command.facts.options
    named = [options[name] for name in ("-f", "--filename", "-k") if name in options]
    shown = " ".join(words[2:] or words[1:] or named or words)[:200]
    return shown or command.program or "(unknown)"

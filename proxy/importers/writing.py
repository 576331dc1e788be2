"""An imported source as a rule file and a cases file.

What belongs here: their text. Names and messages of the source are quoted where they are values and shown where they are
comments (`policy/yaml_text.py`), so that neither can become anything else; a `$` in a message stands for itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from proxy.importers.imported import Imported
from proxy.policy.yaml_text import scalar, shown

_HEAD = "# yaml-language-server: $schema=./checkrein.schema.json"
_CASES_HEAD = "# yaml-language-server: $schema=./checkrein-cases.schema.json"


def rule_file(imported: Imported, pack: str, source: str) -> str:
    """Returns the rule file's text."""
    return "\n".join(_rules(imported, pack, source)) + "\n"


def _rules(imported: Imported, pack: str, source: str) -> Iterator[str]:
    yield _HEAD
    yield f"# {imported.origin}, imported from {shown(source, 120)}. Held against the source by the cases file beside it."
    for line in imported.about:
        yield f"# {line}"
    for note in imported.notes:
        yield f"# Not said as the source says it: {shown(note.place, 120)}: {shown(note.what, 200)}; {shown(note.instead, 200)}"
    yield "version: 1"
    yield f"pack: {scalar(pack)}"
    if imported.shell_tool is not None or imported.tools:
        yield "tools:"
    if imported.shell_tool is not None:
        yield f"  - {{shell: {scalar(imported.shell_tool)}, argument: args.command}}"
    for names, place in imported.tools:
        yield f"  # {shown(place, 120)}"
        yield "  - name:"
        yield from (f"      - {scalar(name)}" for name in names)
        yield "    effects: []"
    if imported.shell_tool is not None:
        yield "commands:"
        yield '  - {run: "*", effects: []}'
        for command in imported.commands:
            yield f"  # {shown(command.source, 120)}"
            yield f"  - run: {scalar(command.run)}"
            if command.when != "true":
                yield f"    when: {_expression(command.when)}"
            yield f"    effects: [{{kind: {command.kind}, target: cmd.name}}]"
    if imported.gates:
        yield "gates:"
    for gate in imported.gates:
        yield f"  # {shown(gate.source, 120)}"
        yield f"  - name: {scalar(gate.name)}"
        yield f"    when: {_expression(gate.when)}"
        yield f"    verdict: {gate.verdict}"
        yield f"    message: {_message(gate.message)}"
    yield f"unmapped: {imported.unmapped}"


def _expression(text: str) -> str:
    """An expression's own literals are ASCII; its dollar signs stand within them, where none is a variable."""
    return "'" + text.replace("'", "''") + "'"


def _message(text: str) -> str:
    return json.dumps(
        "".join(c if c.isprintable() else "?" for c in text)[:300].replace("$", "$$"),
        ensure_ascii=False,
    )


def cases_file(imported: Imported) -> str:
    """Returns the cases file's text."""
    lines = [
        _CASES_HEAD,
        "# What the source says of these calls, by its own meaning.",
        "version: 1",
        "cases:",
    ]
    names: dict[str, int] = {}
    for case in imported.cases:
        number = names[case.name] = names.get(case.name, 0) + 1
        name = case.name if number == 1 else f"{case.name} ({number})"
        lines.append(f"  - name: {_quoted(name)}")
        server = "" if case.server is None else f", server: {_quoted(case.server)}"
        arguments = _quoted_json(dict(case.arguments))
        lines.append("    steps:")
        lines.append(
            f"      - {{call: {_quoted(case.tool)}, args: {arguments}{server}, expect: {case.verdict}}}"
        )
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return scalar(text).replace("$$", "$") if "$" in text else scalar(text)


def _quoted_json(value: object) -> str:
    """JSON is YAML's flow style, but for what it does not print and the halves of letters beyond U+FFFF."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else _escaped(ord(char)) for char in text)


def _escaped(code: int) -> str:
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"

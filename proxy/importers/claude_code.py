"""Claude Code's `permissions` in settings.json.

What they mean (https://code.claude.com/docs/en/permissions, read 2026-11). Rules are asked in the order deny, ask, allow; the
first that matches decides, a more specific one does not go before. A rule is `Tool` or `Tool(specifier)`; what a specifier
says depends on the tool (`claude_bash.py`, `claude_paths.py`; `WebFetch(domain:…)`; `mcp__server`, `mcp__server__tool`,
`mcp__server__*`). Where nothing matches, tools that only read pass in the working directory, and others ask; `defaultMode` says otherwise:
`acceptEdits` lets edits pass, `dontAsk` denies what would ask, `bypassPermissions` lets pass.

How it works. deny becomes a gate that blocks, ask one that holds, and so does what no rule is about; `allow` is what those leave.
The proxy does not know the working directory: without `project`, reading a file is held unless a rule that
needs no folder allows it. A specifier that is not understood denies or asks for the whole tool, and allows nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from proxy.errors import ConfigurationError
from proxy.importers import claude_bash, claude_paths
from proxy.importers.celtext import ALWAYS, NEVER, all_of, any_of, literal, none_of
from proxy.importers.claude_paths import Folders
from proxy.importers.imported import Imported, ImportedGate
from proxy.importers.names import free, slug
from proxy.model import Json
from proxy.policy.yamlnodes import Document

_RULE = re.compile(r"(?P<tool>[^()\s]+)(?:\((?P<what>.*)\))?", re.DOTALL)
_LISTS = ("deny", "ask", "allow")
_KNOWN = frozenset(
    {
        *_LISTS,
        "defaultMode",
        "additionalDirectories",
        "disableBypassPermissionsMode",
        "disableAutoMode",
    }
)
_MODES = ("default", "acceptEdits", "plan", "auto", "dontAsk", "bypassPermissions")
QUIET = (
    "TodoWrite",
    "ExitPlanMode",
    "EnterPlanMode",
    "AskUserQuestion",
    "ToolSearch",
    "BashOutput",
    "TaskOutput",
)
"""Tools that touch nothing outside of the conversation: Claude Code does not ask for them."""

_VERDICTS = {"deny": "block", "ask": "hold"}


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of one list."""

    listed: str  # deny, ask, allow
    text: str
    tool: str
    what: str | None
    place: str


def read_claude_code(document: Document, folders: Folders | None = None) -> Imported:
    """Reads a settings.json.

    Args:
        folders: where the agent works, if that is known.

    Raises:
        ConfigurationError: there are no permissions in it, or they are not as Claude Code has them.
    """
    value = document.value
    permissions = value.get("permissions") if isinstance(value, dict) else None
    if not isinstance(permissions, dict):
        raise ConfigurationError(
            f"{document.name}: no 'permissions'; is it Claude Code's settings.json?"
        )
    imported = Imported("Claude Code permissions", shell_tool="Bash")
    mode = _mode(document, permissions)
    where = folders or Folders()
    for key in sorted(permissions.keys() - _KNOWN):
        imported.note(_place(document, key), f"'{key}' is not known here", "left out")
    more = permissions.get("additionalDirectories") or []
    if more and where.project is not None:
        where = Folders(where.project, where.home, tuple(map(str, more)))
    elif more:
        imported.note(
            _place(document, "additionalDirectories"),
            "other folders to work in",
            "left out: say --project",
        )
    if where.project is None:
        imported.about.append(
            "The working directory was not named (--project): reading a file waits unless a rule allows it."
        )
    rules = list(_rules(document, permissions))
    _Reading(rules, mode, where, imported).write()
    return imported


def _mode(document: Document, permissions: Mapping[str, Json]) -> str:
    mode = permissions.get("defaultMode", "default")
    if mode not in _MODES:
        place = _place(document, "defaultMode")
        raise ConfigurationError(
            f"{place}: 'defaultMode' is one of {', '.join(_MODES)}, got {mode!r}"
        )
    return str(mode)


def _rules(document: Document, permissions: Mapping[str, Json]) -> Iterator[Rule]:
    for listed in _LISTS:
        entries = permissions.get(listed) or []
        if not isinstance(entries, list):
            raise ConfigurationError(f"{_place(document, listed)}: '{listed}' is a list of rules")
        for number, text in enumerate(entries):
            place = f"{document.name}:{document.line(('permissions', listed, number))}"
            found = _RULE.fullmatch(text.strip()) if isinstance(text, str) else None
            if found is None:
                raise ConfigurationError(
                    f"{place}: a rule is Tool or Tool(specifier), got {text!r}"
                )
            what = found["what"]
            yield Rule(
                listed, text, found["tool"], None if what in (None, "*", "") else what, place
            )


class _Reading:
    """The rules of one file, and the gates that come of them."""

    def __init__(
        self, rules: Sequence[Rule], mode: str, folders: Folders, imported: Imported
    ) -> None:
        self._rules = rules
        self._mode = mode
        self._folders = folders
        self._out = imported
        self._names: set[str] = set()

    def write(self) -> None:
        out = self._out
        passing: list[str] = [f"tool in [{', '.join(map(literal, QUIET))}]"]
        for rule in self._rules:
            condition, exact = self._condition(rule)
            out.taken += exact
            if rule.listed == "allow":
                passing.append(condition)
            elif condition != NEVER:
                self._gate(rule, condition)
        shell = claude_bash.commands_of(self._rules, self._mode, out)
        passing += self._by_default(passes_shell=shell)
        if self._mode != "bypassPermissions":
            verdict = "block" if self._mode == "dontAsk" else "hold"
            when = all_of(['side != "http"', none_of(passing)])
            said = "No imported rule allows this call."
            out.gates.append(
                ImportedGate(
                    "claude-code-not-allowed", when, verdict, said, f"defaultMode {self._mode}"
                )
            )
        self._cases()

    def _by_default(self, *, passes_shell: bool) -> Iterator[str]:
        """Yields what passes without a rule."""
        if passes_shell:
            yield 'tool == "Bash"'  # each of its commands is asked, in `commands:`
        folders = self._folders
        if folders.project is not None:
            yield claude_paths.inside(claude_paths.READING, folders)
            if self._mode == "acceptEdits":
                yield claude_paths.inside(claude_paths.EDITING, folders)

    def _gate(self, rule: Rule, condition: str) -> None:
        name = free(f"claude-code-{rule.listed}-{slug(rule.text, 'rule')}", self._names)
        word = "denies" if rule.listed == "deny" else "asks before"
        self._out.gates.append(
            ImportedGate(
                name,
                all_of(['side != "http"', condition]),
                _VERDICTS[rule.listed],
                f"The imported rule {rule.text} {word} this.",
                f"{rule.place} {rule.listed}",
            )
        )

    def _condition(self, rule: Rule) -> tuple[str, bool]:
        """Returns which calls a rule is about, read strictly, and whether that is all it says."""
        if rule.tool == "Bash" and rule.what is not None:
            return NEVER, False  # its commands are asked one by one (`claude_bash.py`)
        if rule.tool.startswith("mcp__"):
            return self._mcp(rule)
        names = claude_paths.TOOLS.get(rule.tool, (rule.tool,))
        whole = _named(rule.tool, names if rule.listed != "allow" else (rule.tool,))
        if rule.what is None:
            return (ALWAYS if rule.tool == "*" else whole), True
        if rule.tool in claude_paths.TOOLS:
            return claude_paths.condition(rule, self._folders, self._out)
        if rule.tool == "WebFetch" and rule.what.startswith("domain:"):
            return self._domain(rule, rule.what.removeprefix("domain:").strip().lower())
        return self._not_understood(rule, whole, "its specifier is not understood")

    def _not_understood(self, rule: Rule, whole: str, why: str) -> tuple[str, bool]:
        allows = rule.listed == "allow"
        instead = "it allows nothing" if allows else f"it {_WORDS[rule.listed]} the whole tool"
        self._out.note(rule.place, f"{rule.text}: {why}", instead)
        return (NEVER if allows else whole), False

    def _mcp(self, rule: Rule) -> tuple[str, bool]:
        """A server, all of its tools, or one; as the model names it, and as its server is called."""
        _, server, *rest = rule.tool.split("__")
        tool = "__".join(rest)
        if rule.what is not None or not server:
            return self._not_understood(
                rule, f"tool.startsWith({literal('mcp__')})", "it has no such form"
            )
        if set(server) & set("*?[") or set(tool.removesuffix("*")) & set("*?["):
            if rule.listed == "allow":
                return self._not_understood(rule, NEVER, "a pattern that is not at the end")
            start = re.split(r"[*?\[]", rule.tool)[0]
            return f"tool.startsWith({literal(start)}) || side == {literal('mcp')}", False
        if tool in ("", "*"):
            return any_of(
                [f"tool.startsWith({literal(f'mcp__{server}__')})", _at_server(server)]
            ), True
        named = f"tool == {literal(rule.tool)}"
        own = f"tool == {literal(tool)}"
        if tool.endswith("*"):
            named = f"tool.startsWith({literal(rule.tool[:-1])})"
            own = f"tool.startsWith({literal(tool[:-1])})"
        return any_of([named, all_of([_at_server(server), own])]), True

    def _domain(self, rule: Rule, domain: str) -> tuple[str, bool]:
        host = "host(args.url)"
        bare = domain.removeprefix("*.")
        if not re.fullmatch(r"[a-z0-9.-]+", bare):
            return self._not_understood(rule, 'tool == "WebFetch"', "no domain")
        under = f"{host}.endsWith({literal('.' + bare)})"
        same = f"{host} == {literal(bare)}"
        if rule.listed == "allow":
            fits = under if domain.startswith("*.") else same
            return all_of(
                ['tool == "WebFetch"', "has(args.url)", "type(args.url) == string", fits]
            ), True
        unclear = "!has(args.url)"
        return all_of(['tool == "WebFetch"', any_of([unclear, same, under])]), True

    def _cases(self) -> None:
        """The calls that rules name; what no rule is about."""
        out = self._out
        verdict = {"bypassPermissions": "allow", "dontAsk": "block"}.get(self._mode, "hold")
        out.case(
            "SomeOtherTool",
            {"x": 1},
            self._bare("SomeOtherTool") or verdict,
            "a tool that no rule names",
        )
        for rule in self._rules:
            if rule.what is None and re.fullmatch(r"[A-Za-z]+", rule.tool) and rule.tool != "Bash":
                out.case(
                    rule.tool, {}, self._bare(rule.tool) or verdict, f"{rule.listed} {rule.text}"
                )
        claude_bash.cases_of(self._rules, self._mode, out)

    def _bare(self, tool: str) -> str | None:
        """Returns what rules without a specifier say of a tool; deny goes before ask, ask before allow."""
        for listed in _LISTS:
            for rule in self._rules:
                if rule.listed != listed:
                    continue
                names = (
                    claude_paths.TOOLS.get(rule.tool, (rule.tool,))
                    if listed != "allow"
                    else (rule.tool,)
                )
                if rule.what is None and (tool in names or rule.tool == "*"):
                    return {**_VERDICTS, "allow": "allow"}[listed]
                if rule.what is not None and listed != "allow" and tool in names:
                    return _VERDICTS[
                        listed
                    ]  # without its argument it cannot be told that the rule is not about it
        return None


_WORDS = {"deny": "denies", "ask": "asks before"}


def _named(tool: str, names: Sequence[str]) -> str:
    return (
        f"tool in [{', '.join(map(literal, names))}]"
        if len(names) > 1
        else f"tool == {literal(tool)}"
    )


def _at_server(server: str) -> str:
    return f'side == "mcp" && server == {literal(server)}'


def _place(document: Document, key: str) -> str:
    return f"{document.name}:{document.line(('permissions', key))}"

"""LiteLLM's `tool_permission` guardrails.

What they mean (https://docs.litellm.ai/docs/proxy/guardrails/tool_permission and `guardrail_hooks/tool_permission.py` of
BerriAI/litellm, both read 2026-11): rules are asked in order; a rule fits where the whole tool name, and the whole type, match its
patterns and, where it has `allowed_param_patterns`, each of these paths has a value and all values there match. The first that fits decides, else
`default_action`. `on_disallowed_action: rewrite` strips the call, `block` fails the response.

How it works. A call is blocked where a rule denies it and none before it allows it, and where no rule allows it and that is the
default. What a rule that allows cannot say is read as if it did not fit; of one that denies, as if it did.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from proxy.errors import ConfigurationError
from proxy.importers import celtext
from proxy.importers.celtext import ALWAYS, NEVER, all_of, literal, none_of
from proxy.importers.imported import Imported, ImportedGate
from proxy.importers.names import free, slug
from proxy.importers.regexes import example, is_surely, may_be, why_not
from proxy.model import Json
from proxy.policy.yamlnodes import Document, Path

_RULE_KEYS = frozenset({"id", "tool_name", "tool_type", "decision", "allowed_param_patterns"})
_GUARDRAIL_KEYS = frozenset(
    {
        "guardrail",
        "mode",
        "rules",
        "default_action",
        "on_disallowed_action",
        "default_on",
        "violation_message_template",
    }
)
_NOT_HTTP = 'side != "http"'


@dataclass(frozen=True, slots=True)
class _Rule:
    name: str
    place: str
    allows: bool
    tool_name: str | None
    tool_type: str | None
    params: Mapping[str, str] = field(default_factory=dict)


def read_litellm(document: Document) -> Imported:
    """Reads a LiteLLM `config.yaml`, or a guardrail of it.

    Raises:
        ConfigurationError: there is no such guardrail in it, or one that LiteLLM would not take either.
    """
    imported = Imported("LiteLLM tool_permission")
    found = list(_guardrails(document))
    if not found:
        raise ConfigurationError(
            f"{document.name}: no guardrail 'tool_permission' under 'guardrails:'; "
            "is it LiteLLM's config.yaml?"
        )
    imported.about.append(
        "Tools whose effects nobody has stated pass where LiteLLM lets them pass: `rules suggest` proposes effects."
    )
    for number, (path, params) in enumerate(found, 1):
        prefix = "litellm" if len(found) == 1 else f"litellm-{number}"
        _guardrail(document, path, params, prefix, imported)
    return imported


def _guardrails(document: Document) -> Iterator[tuple[Path, dict[str, Json]]]:
    value = document.value
    listed = value.get("guardrails") if isinstance(value, dict) else None
    for number, guardrail in enumerate(listed if isinstance(listed, list) else ()):
        params = guardrail.get("litellm_params") if isinstance(guardrail, dict) else None
        if isinstance(params, dict) and params.get("guardrail") == "tool_permission":
            yield ("guardrails", number, "litellm_params"), params


def _guardrail(
    document: Document, path: Path, params: dict[str, Json], prefix: str, imported: Imported
) -> None:
    default = str(params.get("default_action", "deny")).lower()
    for key in sorted(params.keys() - _GUARDRAIL_KEYS):
        imported.note(_place(document, (*path, key)), f"'{key}' is not known here", "left out")
    if str(params.get("on_disallowed_action", "block")).lower() == "rewrite":
        imported.note(
            _place(document, (*path, "on_disallowed_action")),
            "'rewrite' strips a call and tells the model",
            "the same: a blocked call is stripped, and the model reads why",
        )
    if params.get("default_on") is False:
        imported.note(
            _place(document, (*path, "default_on")),
            "the guardrail is for requests that name it",
            "it is for every call",
        )
    rules = [
        _rule(document, (*path, "rules", number), rule)
        for number, rule in enumerate(params.get("rules") or ())
    ]
    allowed: list[str] = []
    names: set[str] = set()
    for rule in rules:
        condition = _fits(rule, imported)
        if condition is None:
            continue
        if rule.allows:
            allowed.append(condition)
            continue
        name = free(f"{prefix}-{slug(rule.name, 'rule')}", names)
        when = all_of([_NOT_HTTP, condition, none_of(allowed)])
        message = f"Denied by the imported rule {rule.name}."
        if when != NEVER:  # a rule before it allows every call
            imported.gates.append(
                ImportedGate(name, when, "block", message, f"{rule.place} rule {rule.name}")
            )
    if default != "allow":
        when = all_of([_NOT_HTTP, none_of(allowed)])
        place = (
            _place(document, (*path, "default_action"))
            if "default_action" in params
            else _place(document, path)
        )
        name = free(f"{prefix}-not-allowed", names)
        message = "No imported rule allows this tool with these arguments."
        if when != NEVER:
            source = f"{place} default_action"
            imported.gates.append(ImportedGate(name, when, "block", message, source))
    _cases(rules, default, imported)


def _rule(document: Document, path: Path, value: Json) -> _Rule:
    place = _place(document, path)
    if not isinstance(value, dict):
        raise ConfigurationError(f"{place}: a rule is a mapping with 'id' and 'decision'")
    decision = str(value.get("decision", "")).lower()
    if decision not in ("allow", "deny"):
        raise ConfigurationError(
            f"{place}: 'decision' is allow or deny, got {value.get('decision')!r}"
        )
    unknown = sorted(value.keys() - _RULE_KEYS)
    if unknown:
        raise ConfigurationError(
            f"{place}: unknown key '{unknown[0]}' of a rule; it has {', '.join(sorted(_RULE_KEYS))}"
        )
    params = value.get("allowed_param_patterns") or {}
    if not isinstance(params, dict):
        raise ConfigurationError(
            f"{place}: 'allowed_param_patterns' is a mapping of paths to patterns"
        )
    name, kind = value.get("tool_name"), value.get("tool_type")
    return _Rule(
        str(value.get("id", "")),
        place,
        decision == "allow",
        None if name is None else str(name),
        None if kind is None else str(kind),
        {str(key): str(pattern) for key, pattern in params.items()},
    )


def _fits(rule: _Rule, imported: Imported) -> str | None:
    """Returns when a rule fits, read strictly; None where it never does."""
    parts: list[str] = []
    exact = True
    if rule.tool_type is not None:
        try:
            fits = re.fullmatch(rule.tool_type, "function") is not None
        except re.error as error:
            raise ConfigurationError(
                f"{rule.place}: 'tool_type' is no regular expression ({error})"
            ) from error
        if not fits:
            imported.note(
                rule.place,
                f"rule {rule.name} is about the tool type {rule.tool_type!r}",
                "left out: calls are functions",
            )
            return None
    if rule.tool_name is not None:
        problem = why_not(rule.tool_name)
        if problem is not None:
            exact = False
            _instead(rule, f"its tool_name {problem}", imported)
            if rule.allows:
                return None
        else:
            parts.append(_matched(rule, "tool", rule.tool_name))
    # Paths are asked only where the rule names tools (`should_check_params`).
    for path, pattern in rule.params.items() if rule.tool_name is not None else ():
        problem = why_not(pattern)
        if problem is None and (steps := _steps(path)) is not None:
            if rule.allows:
                parts.append(_all_match(steps, pattern))
            else:
                exact = False
                _instead(rule, f"it denies by values of {path!r}", imported)
            continue
        exact = False
        _instead(
            rule,
            f"its pattern for {path!r} {problem or 'is at a path that cannot be told'}",
            imported,
        )
        if rule.allows:
            return None
    imported.taken += exact
    return all_of(parts)


def _instead(rule: _Rule, what: str, imported: Imported) -> None:
    instead = "it allows nothing" if rule.allows else "it denies whatever the rest of it fits"
    imported.note(rule.place, f"rule {rule.name}: {what}", instead)


def _matched(rule: _Rule, subject: str, pattern: str) -> str:
    return is_surely(subject, pattern) if rule.allows else may_be(subject, pattern)


def _steps(path: str) -> list[str] | None:
    """Returns a path's parts: names, and `[]` for all of a list; None for one that has no single reading."""
    steps: list[str] = []
    for part in path.split("."):
        name, *lists = part.split("[]")
        if not name or any(lists) or "[" in name or "]" in name:
            return None
        steps += [name, *("[]" for _ in lists)]
    return steps


def _all_match(steps: Sequence[str], pattern: str) -> str:
    """Returns a condition: there is a value at the path, and every one there matches.

    LiteLLM compares `str(value)`: text and whole numbers are read alike here, other values do not match. A name that
    has a dot or brackets of its own would lead to the same path, so there must be none.
    """
    return _walk("args", steps, pattern, 0)


def _walk(root: str, steps: Sequence[str], pattern: str, depth: int) -> str:
    if not steps:
        text = is_surely(f"string({root})", pattern)
        return all_of([f"type({root}) in [string, int]", text])
    step, rest = steps[0], steps[1:]
    if step == "[]":
        item = f"item{depth}"
        inner = _walk(item, rest, pattern, depth + 1)
        return f"type({root}) == list && size({root}) > 0 && {root}.all({item}, {inner})"
    inner = _walk(celtext.field(root, step), rest, pattern, depth + 1)
    key = f"key{depth}"
    alone = f'{root}.all({key}, !{key}.contains(".") && !{key}.contains("["))' if rest else ALWAYS
    return all_of([f"type({root}) == map", f"{literal(step)} in {root}", alone, inner])


# --- what LiteLLM says of a call, for the cases --------------------------------------------------------------
def decides(rules: Sequence[_Rule], default: str, tool: str, arguments: Mapping[str, Json]) -> bool:
    """Whether LiteLLM lets a call pass."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _decides(rules, default, tool, arguments)


def _decides(
    rules: Sequence[_Rule], default: str, tool: str, arguments: Mapping[str, Json]
) -> bool:
    for rule in rules:
        if rule.tool_name is not None and not re.fullmatch(rule.tool_name, tool):
            continue
        if rule.tool_type is not None and not re.fullmatch(rule.tool_type, "function"):
            continue
        if rule.params and rule.tool_name is not None:
            found: dict[str, list[Json]] = {}
            _collect(dict(arguments), "", found)
            if not arguments or not all(
                found.get(path) and all(re.fullmatch(pattern, str(v)) for v in found[path])
                for path, pattern in rule.params.items()
            ):
                continue
        return rule.allows
    return default == "allow"


def _collect(value: Json, path: str, found: dict[str, list[Json]]) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _collect(item, f"{path}.{key}" if path else key, found)
    elif isinstance(value, list):
        for item in value:
            _collect(item, f"{path}[]", found)
    elif path:
        found.setdefault(path, []).append(value)


def _cases(rules: Sequence[_Rule], default: str, imported: Imported) -> None:
    strict = {note.place for note in imported.notes}
    tried: list[tuple[str, dict[str, Json], str]] = [
        ("tool_that_no_rule_names", {}, "a tool of another name")
    ]
    for rule in rules:
        name = example(rule.tool_name) if rule.tool_name is not None else "any_tool"
        if name is None:
            continue
        good: dict[str, Json] = {}
        for path, pattern in rule.params.items():
            steps, value = _steps(path), example(pattern)
            if steps is not None and value is not None:
                _put(good, steps, value)
        tried.append((name, good, f"rule {rule.name}: what it is about"))
        if rule.params:
            tried.append((name, {}, f"rule {rule.name}: without arguments"))
            bad: dict[str, Json] = {}
            for path in rule.params:
                steps = _steps(path)
                if steps is not None:
                    _put(bad, steps, "\u2603 another value")
            tried.append((name, bad, f"rule {rule.name}: other values"))
    for name, arguments, why in tried:
        allowed = decides(rules, default, name, arguments)
        if allowed and any(rule.place in strict for rule in rules):
            continue  # what is read more strictly may stop it
        imported.case(name, arguments, "allow" if allowed else "block", why)


def _put(into: dict[str, Json], steps: Sequence[str], value: Json) -> None:
    name, rest = steps[0], steps[1:]
    if not rest:
        into[name] = value
        return
    made: Json = value
    for step in reversed(rest):
        made = [made] if step == "[]" else {step: made}
    if isinstance(into.get(name), dict) and isinstance(made, dict):
        into[name].update(made)
    else:
        into[name] = made


def _place(document: Document, path: Path) -> str:
    return f"{document.name}:{document.line(path)}"

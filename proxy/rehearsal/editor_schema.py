"""What an editor knows of cases files: their JSON Schema.

What belongs here: every key of a cases file with its shape and meaning. Cases are read by hand-written readers
(`casefile`, `step_reading`, `expecting`), so this is written by hand too; tests hold it against the keys that those take.
It is never stricter than they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from proxy.policy.editor_schema.shapes import Schema, any_of, list_of, matching, ref
from proxy.rehearsal.expecting import EFFECT_KEYS
from proxy.rehearsal.step_reading import MOST_TIMES
from proxy.rehearsal.steps import TRUSTS


class Key(NamedTuple):
    """One key of a cases file."""

    shape: Schema
    meaning: str
    example: str  # YAML: what stands behind the key


_NOTHING = "null"
_NEEDED: Schema = {"type": ["string", "number"]}
_SPAN = matching(r"^[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d)$", "a time such as 30s, 15m, 24h or 7d")
_TEXT: Schema = {"type": ["string", "number", _NOTHING]}
_NONE: Schema = {"title": "nothing", "type": _NOTHING}
_FLAG: Schema = {"type": ["boolean", _NOTHING]}
_TEXTS: Schema = {"type": ["string", "array", _NOTHING], "items": {"type": "string"}}
_MAPPING: Schema = {"type": ["object", _NOTHING]}
_BY_NAME: Schema = _MAPPING | {"additionalProperties": {"type": ["string", "number"]}}
_VERDICTS = (
    ("allow", "The call passes."),
    ("hold", "It waits until a human has answered."),
    ("block", "It is refused."),
)
_VERDICT: Schema = {
    "enum": [word for word, _ in _VERDICTS],
    "enumDescriptions": [meaning for _, meaning in _VERDICTS],
}
_WHO: dict[str, Key] = {
    "session": Key(_TEXT, "Whose session; by default the case's.", "desk-1"),
    "agent": Key(_TEXT, "Which agent.", "support"),
    "human": Key(_TEXT, "For which human.", "kim"),
    "parent": Key(_TEXT, "The session above; this one is a sub-agent's.", "desk-1"),
    "trust": Key({"enum": [*TRUSTS, None]}, "How well the session is known.", "credential"),
}
_ANSWER: dict[str, Key] = {
    "result": Key(
        {}, "What it brings: a text, or a value that is written as JSON.", "{status: done}"
    ),
    "error": Key(_FLAG, "The result says that it failed.", "true"),
    "status": Key(
        {"type": ["integer", _NOTHING], "minimum": 1, "maximum": 599},
        "The HTTP status; from 400 on it failed, from 500 on it stays open whether it was done.",
        "404",
    ),
}
_EXPECT: dict[str, Key] = {
    "expect": Key(
        ref("expectation"), "What is expected; without it, that the call is allowed.", "hold"
    ),
}
_ID: dict[str, Key] = {
    "id": Key(_TEXT, "Names the call for later steps.", "first"),
}
_REASON: dict[str, Key] = {"reason": Key(_TEXT, "What they say.", "Seen and fine.")}
_CALL: dict[str, Key] = {
    "call": Key(
        _NEEDED, "The model calls a tool; `again`: the call before it once more.", "refund_order"
    ),
    "args": Key({}, "The call's arguments.", "{order_id: A-1, amount: 45}"),
    **_ID,
    "server": Key(_TEXT, "The MCP server whose tool it is.", "github"),
    "confidence": Key({"type": ["number", _NOTHING]}, "The model's own confidence.", "0.4"),
    "times": Key(
        {"type": ["integer", _NOTHING], "minimum": 1, "maximum": MOST_TIMES},
        "So often; `{n}` in arguments and names is then the number.",
        "25",
    ),
    **_EXPECT,
    **_ANSWER,
    **_WHO,
}
STEPS: dict[str, dict[str, Key]] = {
    "user": {"user": Key(_NEEDED, "What the user says.", "Please refund A-1."), **_WHO},
    "system": {
        "system": Key(_NEEDED, "What the system prompt says.", "You are a support agent."),
        **_WHO,
    },
    "call": _CALL,
    "calls": {
        "calls": Key(
            list_of(ref("step_call")),
            "Several calls in one answer of the model.",
            "[{call: get_order}, {call: get_customer}]",
        ),
        **_WHO,
    },
    "http": {
        "http": Key(
            ref("request"),
            "A request to a tool API.",
            "{method: POST, host: a.internal, path: /v1}",
        ),
        "body": Key({}, "The request's body.", "{amount: 10}"),
        **_ID,
        **_EXPECT,
        **_ANSWER,
        **_WHO,
    },
    "result": {
        "of": Key(_TEXT, "The call's `id`; without it, the last one.", "first"),
        **_ANSWER,
    },
    "approve": {
        "approve": Key(_TEXT, "A human approves: `last`, or a call's `id`.", "last"),
        **_REASON,
    },
    "deny": {"deny": Key(_TEXT, "A human denies: `last`, or a call's `id`.", "last"), **_REASON},
    "wait": {"wait": Key(_SPAN, "Time passes; what falls due is settled and expires.", "25h")},
    "freeze": {
        "freeze": Key(_TEXT, "The operator stops a session; the case's, without a name.", "desk-1"),
        **_REASON,
    },
    "thaw": {"thaw": Key(_TEXT, "The operator lets a session go on.", "desk-1"), **_REASON},
    "signal": {
        "signal": Key(_NEEDED, "Another system posts a signal.", "siem.alert"),
        "fields": Key(_MAPPING, "What it says.", "{severity: 9}"),
        **{who: _WHO[who] for who in ("session", "agent", "human")},
    },
}
"""The keys of each step, by the key that it is known by."""
REQUEST: dict[str, Key] = {
    "method": Key(_NEEDED, "The HTTP method.", "POST"),
    "host": Key(_NEEDED, "The host, without a port.", "billing.internal"),
    "path": Key(_NEEDED, "The path.", "/v1/refunds/A-4"),
    "query": Key(_BY_NAME, "The query's parameters.", "{action: refund}"),
    "headers": Key(_BY_NAME, "The request's headers.", "{content-type: application/json}"),
}
_STATE: Schema = any_of(
    {"title": "what is used after the call", "type": "number"},
    {
        "title": "a budget's state",
        "type": "object",
        "properties": {"before": {}, "after": {}, "limit": {}},
        "additionalProperties": False,
        "minProperties": 1,
    },
)
_EFFECT: Schema = any_of(
    {"title": "a kind", "type": "string"},
    {
        "title": "an effect",
        "type": "object",
        "required": ["kind"],
        "properties": {key: {} for key in EFFECT_KEYS},
        "additionalProperties": False,
    },
)
EXPECTATION: dict[str, Key] = {
    "verdict": Key(any_of(_VERDICT, _NONE), "What is decided.", "hold"),
    "rules": Key(_TEXTS, "Rules that speak against the call; there may be more.", "[refunds]"),
    "not_rules": Key(_TEXTS, "Rules that do not.", "[refunds]"),
    "reason": Key(_TEXTS, "A part of a reason's text, in any case; or several.", "135 of 100 EUR"),
    "budgets": Key(
        _MAPPING | {"additionalProperties": _STATE},
        "What is used after the call, or `before`, `after` and `limit`.",
        "{refunds: 135}",
    ),
    "warned": Key(_TEXTS, "Budgets whose `warn_at` this call has crossed.", "[refunds]"),
    "effects": Key(
        list_of(_EFFECT),
        "All effects of the call: kinds, or mappings; `[]` for none.",
        "[money.refund]",
    ),
}
CASE: dict[str, Key] = {
    "name": Key(_NEEDED, "What it shows; each name once.", "refunds add up until the limit"),
    "steps": Key(
        list_of(ref("step")), "What happens, in order.", "[{call: refund_order, expect: hold}]"
    ),
    "at": Key(
        _TEXT, "When it begins; by default Monday, 2026-01-05, 09:00 UTC.", "2026-01-05T22:30:00Z"
    ),
    **_WHO,
}
FILE: dict[str, Key] = {
    "version": Key({"enum": [1]}, "The language's version.", "1"),
    "rules": Key(
        _TEXTS,
        "The rule files, relative to this one; without it, the file beside it.",
        "[refunds.yaml]",
    ),
    "cases": Key(
        list_of(ref("case")), "A list of cases.", "[{name: a call, steps: [{call: get_order}]}]"
    ),
}


def cases_schema() -> Schema:
    """Returns the schema."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$comment": "Generated from proxy/rehearsal/editor_schema.py by `checkrein rules schema --cases`.",
        **_mapping("A cases file of checkrein", FILE, ["version", "cases"]),
        "definitions": {
            "case": _mapping("A case", CASE, ["name", "steps"])
            | _snippets(
                {
                    "a case": {
                        "name": "${1:what it shows}",
                        "steps": [
                            {"call": "${2:tool}", "args": {}, "expect": "${3|allow,hold,block|}"}
                        ],
                    }
                }
            ),
            "step": any_of(*(ref(f"step_{name}") for name in STEPS)),
            **{
                f"step_{name}": _mapping(f"A step: {name}", keys, [name]) | _answered(name)
                for name, keys in STEPS.items()
            },
            "request": _mapping("A request to a tool API", REQUEST, ["method", "host", "path"]),
            "expectation": any_of(
                _VERDICT,
                _mapping("What is expected of a call", EXPECTATION) | {"minProperties": 1},
                _NONE,
            ),
        },
    }


def _answered(step: str) -> Schema:
    """Of a call that brings something, `error` and `status` say how; alone they say nothing."""
    if step not in ("call", "http"):
        return {}
    return {"dependencies": {"error": ["result"], "status": ["result"]}}


def _mapping(title: str, keys: Mapping[str, Key], required: list[str] | None = None) -> Schema:
    made: Schema = {
        "title": title,
        "type": "object",
        "properties": {
            name: {
                "description": meaning.replace("`", ""),
                "markdownDescription": f"{meaning}\n\n```yaml\n{name}: {example}\n```",
                **({"allOf": [shape]} if "$ref" in shape else shape),
            }
            for name, (shape, meaning, example) in keys.items()
        },
        "additionalProperties": False,
    }
    return made | ({"required": required} if required else {})


def _snippets(bodies: dict[str, Any]) -> Schema:
    return {"defaultSnippets": [{"label": label, "body": body} for label, body in bodies.items()]}

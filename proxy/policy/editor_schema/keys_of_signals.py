"""The keys of `signals:` and of what they do.

What belongs here: each key's shape, type, default, meaning and an example.
"""

from __future__ import annotations

from proxy.policy import schema
from proxy.policy.editor_schema.key import Key, Part
from proxy.policy.editor_schema.keys_of_rules import KINDS, RULE_MODE
from proxy.policy.editor_schema.shapes import (
    FRACTION,
    NAMED,
    SPANNED,
    TEXT,
    Schema,
    any_of,
    list_of,
    matching,
    only,
    or_variable,
    ref,
    whole_number,
    words,
)

_FOUND = {
    "tools-changed": "A tool's definition differs from the one pinned.",
    "system-changed": "The system prompt of a later request of the same conversation differs.",
    "loop": "The same tool with the same arguments, often in a short time: count, within.",
    "errors": "Many results that are marked as errors: count, within.",
    "rate": "Many calls in a short time: count, within.",
    "low-confidence": "The model's own probability is under a mark: below.",
    "new-host": "A call speaks to a host that this agent has not spoken to.",
    "out-of-hours": "A call outside the stated hours: hours, zone.",
}
_ON: Schema = any_of(
    {
        "enum": list(schema.SIGNALS),
        "enumDescriptions": [_FOUND[name] for name in schema.SIGNALS],
    },
    {"title": "a signal that is posted"}
    | or_variable(
        matching(
            r"^(?=.*[.*?])[a-z0-9*?][a-z0-9*?._-]{0,99}$",
            "the name of a signal, or one with a dot, such as siem.alert",
        )
    ),
)
_ACTION: Schema = any_of(
    {"enum": ["freeze"], "enumDescriptions": ["Every call is blocked."]}, ref("action")
)
_SETTINGS = {
    "loop": (("count", "within"), ()),
    "errors": (("count", "within"), ()),
    "rate": (("count", "within"), ()),
    "low-confidence": (("below",), ("value",)),
    "out-of-hours": (("hours",), ("zone",)),
}
_SPECIAL = ("count", "within", "below", "value", "hours", "zone")
"""Keys that some signals need, or may have, and all others must not."""


def _settings(name: str, needed: tuple[str, ...], may: tuple[str, ...]) -> Schema:
    others = [key for key in _SPECIAL if key not in (*needed, *may)]
    return {
        "if": {"required": ["on"], "properties": {"on": {"title": name, "const": name}}},
        "then": {
            "required": list(needed),
            "not": {"anyOf": [{"required": [key]} for key in others]},
        },
    }


SIGNAL = Part(
    name="signal",
    title="What makes the rules stricter",
    model=schema.Signal,
    required=("on", "do"),
    keys=(
        Key(
            "on",
            _ON,
            "name or glob",
            "required",
            "What sets it off. A name with a dot, or a glob, is posted from outside.",
            "loop",
        ),
        Key(
            "do",
            any_of(_ACTION, list_of(_ACTION, least=1)),
            "action or list",
            "required",
            "What happens then.",
            "{scale: autonomy, by: 0.5}",
        ),
        Key(
            "name",
            NAMED,
            "name",
            "what `on` says",
            "Stands in the log and in reasons.",
            "agent-loops",
        ),
        Key(
            "when",
            TEXT,
            "CEL",
            "true",
            "A condition over `signal.*`; an error counts as met.",
            'signal.tool != "poll_status"',
        ),
        Key(
            "count",
            whole_number(2, 1000),
            "2 to 1000",
            "required",
            "Of `loop`, `errors` and `rate`: how often.",
            "5",
        ),
        Key(
            "within",
            SPANNED,
            "span",
            "required",
            "Of `loop`, `errors` and `rate`: in which time.",
            "10m",
        ),
        Key(
            "below",
            or_variable({"type": "number", "exclusiveMinimum": 0, "maximum": 1}),
            "number over 0 to 1",
            "required",
            "Of `low-confidence`: the mark.",
            "0.6",
        ),
        Key(
            "value",
            TEXT,
            "CEL",
            "the answer's probability",
            "Of `low-confidence`: the argument that says how sure it is.",
            "args.confidence",
        ),
        Key(
            "hours",
            TEXT,
            "hours",
            "required",
            "Of `out-of-hours`: when calls are expected.",
            "Mon-Fri 08:00-18:00",
        ),
        Key("zone", TEXT, "time zone", "UTC", "Of `out-of-hours`: where.", "Europe/Berlin"),
        Key(
            "per",
            words(
                ("session", "A session with its sub-sessions."),
                ("agent", "All sessions of one agent."),
                ("human", "All sessions of one human; of the agent, where none is known."),
                ("fleet", "Everybody."),
            ),
            "`session`, `agent`, `human`, `fleet`",
            "`session`",
            "For whom it is counted, and who is stopped.",
            "agent",
        ),
        Key("for", SPANNED, "span", "until a human has looked", "How long it acts.", "15m"),
        RULE_MODE,
    ),
    together={
        "allOf": [
            *(_settings(name, *_SETTINGS.get(name, ((), ()))) for name in schema.SIGNALS),
        ]
    },
    snippets={
        "a signal": {"on": "${1:tools-changed}", "do": "${2:freeze}"},
        "a signal for loops": {
            "on": "loop",
            "count": "^${1:5}",
            "within": "${2:10m}",
            "do": "${3:freeze}",
        },
    },
)

ACTION = Part(
    name="action",
    title="What a signal does",
    model=schema.ActionPart,
    keys=(
        Key(
            "freeze",
            only(True),
            "`true`",
            "",
            "Every call is blocked; `do: freeze` says the same.",
            "true",
        ),
        Key("scale", NAMED, "budget", "", "The budget's limit is multiplied by `by`.", "autonomy"),
        Key(
            "by", FRACTION, "number, 0 to 1", "", "The factor of `scale`; 0 leaves nothing.", "0.5"
        ),
        Key(
            "raise",
            NAMED,
            "gate",
            "",
            "Where that gate holds a call it blocks it.",
            "large-payment",
        ),
        Key(
            "hold",
            KINDS,
            "kind, glob or list",
            "",
            "Calls with an effect of these kinds are held.",
            '"money.*"',
        ),
        Key(
            "block",
            KINDS,
            "kind, glob or list",
            "",
            "Calls with an effect of these kinds are blocked.",
            "data.egress",
        ),
    ),
    together={
        "oneOf": [{"required": [key]} for key in ("freeze", "scale", "raise", "hold", "block")],
        "dependencies": {"scale": ["by"], "by": ["scale"]},
    },
    snippets={
        "scale a budget": {"scale": "${1:autonomy}", "by": "^${2:0.5}"},
        "raise a gate": {"raise": "${1:large-payment}"},
        "hold kinds of effects": {"hold": "${1:money.*}"},
        "block kinds of effects": {"block": "${1:data.egress}"},
    },
)

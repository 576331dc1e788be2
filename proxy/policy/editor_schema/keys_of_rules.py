"""The keys of `gates:`, `budgets:`, `chains:` and `requires:`.

What belongs here: each key's shape, type, default, meaning and an example.
"""

from __future__ import annotations

from proxy.policy import schema
from proxy.policy.editor_schema.key import Key, Part
from proxy.policy.editor_schema.shapes import (
    MODE,
    NAMED,
    SPANNED,
    TEXT,
    VERDICT,
    Schema,
    any_of,
    matching,
    one_or_list,
    only,
    or_variable,
    ref,
    words,
)
from proxy.policy.named_values import AMOUNT

KINDS = one_or_list(ref("kinds"))
NAME = Key("name", NAMED, "name", "required", "Once in a set.", "large-refund")
RULE_MODE = Key(
    "mode",
    MODE,
    "`enforce`, `shadow`",
    "the file's",
    "With `shadow` it is evaluated and logged, and stops nothing; a budget counts.",
    "shadow",
)
MESSAGE = Key(
    "message",
    TEXT,
    "text",
    "none",
    "What the agent and the approver read.",
    "Somebody of billing looks at it.",
)
_KIND_TYPE = "kind, glob or list"


def _verdict(name: str) -> Key:
    meaning = "What happens to the call: it waits for a human, or is refused."
    return Key(name, VERDICT, "`hold`, `block`", "`hold`", meaning, "block")


GATE = Part(
    name="gate",
    title="A condition on one call",
    model=schema.Gate,
    required=("name", "when"),
    keys=(
        NAME,
        Key(
            "when",
            TEXT,
            "CEL",
            "required",
            "Asked for every effect, and once with an empty `effect` where a call has none.",
            'effect.kind == "money.refund" && effect.amount > 500',
        ),
        _verdict("verdict"),
        Key("message", TEXT, "text", "the condition", MESSAGE.meaning, MESSAGE.example),
        RULE_MODE,
    ),
    snippets={
        "a gate": {
            "name": "${1:large-refund}",
            "when": 'effect.kind == "${2:money.refund}" && effect.amount > ${3:500}',
            "verdict": "${4|hold,block|}",
            "message": "${5:What the agent and the approver read.}",
        }
    },
)

_LIMIT: Schema = or_variable(matching(AMOUNT, "a number over 0, or with its unit: 100 EUR")) | {
    "type": ["number", "string"],
    "exclusiveMinimum": 0,
}
BUDGET = Part(
    name="budget",
    title="A limit over effects",
    model=schema.Budget,
    required=("name", "limit"),
    keys=(
        Key(
            "name",
            NAMED,
            "name",
            "required",
            "Once in a set: the ledger counts under it.",
            "refunds",
        ),
        Key("of", KINDS, _KIND_TYPE, '`"*"`', "Which effects.", "money.refund"),
        Key(
            "count",
            only(True),
            "`true`",
            "",
            "Each effect is one. Exactly one of `count`, `sum`, `distinct`.",
            "true",
        ),
        Key(
            "sum",
            ref("summed"),
            "unit",
            "",
            "Adds amounts in this unit; `points` adds prices.",
            "EUR",
        ),
        Key("distinct", only("target"), "`target`", "", "Counts different targets.", "target"),
        Key(
            "limit",
            _LIMIT,
            "number over 0, or with its unit",
            "required",
            "The call that would pass it is held or blocked.",
            "100 EUR",
        ),
        Key(
            "per",
            words(
                ("call", "Each call by itself."),
                ("session", "A session; a sub-session also charges all sessions above it."),
                ("agent", "All sessions of one agent."),
                ("human", "All sessions of one human; an unknown one is charged as the agent."),
                ("fleet", "Everybody."),
            ),
            "`call`, `session`, `agent`, `human`, `fleet`",
            "`session`",
            "Whose effects are counted together.",
            "agent",
        ),
        Key(
            "window",
            SPANNED,
            "span",
            "for ever",
            "How far back it counts; rolling. Not with `per: call`.",
            "24h",
        ),
        Key(
            "warn_at",
            or_variable({"type": "number", "exclusiveMinimum": 0, "maximum": 1}),
            "share, over 0 to 1",
            "none",
            "Marks the decision that reaches this share of the limit.",
            "0.8",
        ),
        Key(
            "since",
            only("checkpoint"),
            "`checkpoint`",
            "",
            "Full again when a human has looked: an approval refills it.",
            "checkpoint",
        ),
        _verdict("on_exceed"),
        Key(
            "was",
            one_or_list(TEXT),
            "name or list",
            "none",
            "Former names: what the ledger counted under them is taken over.",
            "refunds-eur",
        ),
        RULE_MODE,
    ),
    together={
        "oneOf": [{"required": [key]} for key in ("count", "sum", "distinct")],
        "not": {
            "required": ["per", "window"],
            "properties": {"per": {"title": "each call by itself", "const": "call"}},
        },
    },
    snippets={
        "a budget over amounts": {
            "name": "${1:refunds}",
            "of": "${2:money.refund}",
            "sum": "${3:EUR}",
            "limit": "^${4:100}",
            "per": "${5|session,call,agent,human,fleet|}",
            "window": "${6:24h}",
        },
        "a budget over points": {
            "name": "${1:autonomy}",
            "sum": "points",
            "limit": "^${2:100}",
            "since": "checkpoint",
        },
        "a budget that counts": {
            "name": "${1:mails}",
            "of": "${2:message.external}",
            "count": True,
            "limit": "^${3:20}",
            "window": "${4:1h}",
        },
    },
)

CHAIN = Part(
    name="chain",
    title="An ordered pattern of effects",
    model=schema.Chain,
    required=("name", "steps"),
    keys=(
        Key(
            "name",
            NAMED,
            "name",
            "required",
            "Once in a set: its state in the ledger stands under it.",
            "secret-leaves",
        ),
        Key(
            "steps",
            {"type": "array", "minItems": 2, "items": any_of(KINDS, ref("step"))},
            "list",
            "required",
            "Two or more, in order, with anything in between. A step is a kind, a glob, a list of alternatives, or "
            "a mapping of `of` or `label`, and `when`.",
            "[data.read.secret, data.egress]",
        ),
        Key("same", only("target"), "`target`", "", "All steps on one target.", "target"),
        Key(
            "within",
            any_of(
                words(("session", "One session."), ("agent", "One agent.")), SPANNED, ref("within")
            ),
            "`session`, `agent`, span, `{per: …, window: …}`",
            "`session`",
            "Where the steps belong together; a span counts from the first step.",
            "{per: agent, window: 1h}",
        ),
        Key(
            "unless",
            KINDS,
            _KIND_TYPE,
            "none",
            "A step in between that makes it harmless; `checkpoint` is a human's approval.",
            "checkpoint",
        ),
        Key(
            "flow",
            words(
                ("order", "The steps, in order."),
                (
                    "possible",
                    "Also: the call carries something that neither the user nor the system said.",
                ),
                (
                    "observed",
                    "Also: a part of the call's data comes from a result of the first step.",
                ),
            ),
            "`order`, `possible`, `observed`",
            "`order`",
            "What must be seen besides the order.",
            "observed",
        ),
        _verdict("on_match"),
        MESSAGE,
        RULE_MODE,
    ),
    snippets={
        "a chain": {
            "name": "${1:secret-leaves}",
            "steps": ["${2:data.read.secret}", "${3:data.egress}"],
            "flow": "${4|order,possible,observed|}",
            "on_match": "${5|hold,block|}",
        }
    },
)

STEP = Part(
    name="step",
    title="A step of a chain",
    model=schema.StepPart,
    keys=(
        Key(
            "of",
            KINDS,
            _KIND_TYPE,
            "",
            "Effects that are the step; not with `label`.",
            "data.egress",
        ),
        Key(
            "label",
            one_or_list(TEXT),
            "label, glob or list",
            "",
            "Of the first step: a result with this data class was observed.",
            '"secret.*"',
        ),
        Key(
            "when",
            TEXT,
            "CEL",
            "true",
            "A condition on the effect; an error counts as met.",
            "effect.amount > 100",
        ),
    ),
    together={"oneOf": [{"required": ["of"]}, {"required": ["label"]}]},
)

REQUIRE = Part(
    name="require",
    title="Effects that need evidence first",
    model=schema.Require,
    required=("name", "for", "evidence"),
    keys=(
        Key("name", NAMED, "name", "required", "Once in a set.", "look-first"),
        Key("for", KINDS, _KIND_TYPE, "required", "Effects that need it.", "money.refund"),
        Key(
            "evidence",
            KINDS,
            _KIND_TYPE,
            "required",
            "An earlier effect whose *result* is the evidence.",
            "order.read",
        ),
        Key(
            "when",
            TEXT,
            "CEL",
            "it did not fail",
            "Must be true of the evidence.",
            'evidence.result.json.status == "returned"',
        ),
        Key(
            "same",
            words(
                ("target", "The evidence must be about the same target."),
                ("session", "Any of the session's will do."),
            ),
            "`target`, `session`",
            "`target`",
            "Whether the evidence must be about the same target.",
            "session",
        ),
        Key("within", SPANNED, "span", "for ever", "How old the result may be.", "15m"),
        _verdict("otherwise"),
        MESSAGE,
        RULE_MODE,
    ),
    snippets={
        "a requirement": {
            "name": "${1:look-first}",
            "for": "${2:money.refund}",
            "evidence": "${3:order.read}",
            "within": "${4:15m}",
        }
    },
)

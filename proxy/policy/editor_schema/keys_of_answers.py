"""The keys of `approvals:` and `waiting:`.

What belongs here: each key's shape, type, default, meaning and an example.
"""

from __future__ import annotations

from proxy.policy import schema
from proxy.policy.editor_schema.key import Key, Part
from proxy.policy.editor_schema.shapes import (
    NAMED,
    SPANNED,
    TEXT,
    one_or_list,
    only,
    ref,
    whole_number,
)

_PEOPLE = one_or_list(TEXT)
_WAIT = "How long the connection is kept for an answer, instead of `--hold-wait`."

ESCALATE = Part(
    name="escalate",
    title="Who is asked when nobody has answered",
    model=schema.EscalatePart,
    required=("to", "after"),
    keys=(
        Key(
            "to", _PEOPLE, "names", "required", "Groups or people that may answer then, too.", "ops"
        ),
        Key("after", SPANNED, "span", "required", "How long after the hold began.", "10m"),
    ),
)

APPROVAL = Part(
    name="approval",
    title="Who answers what some rules hold",
    model=schema.ApprovalPart,
    required=("name", "for"),
    keys=(
        Key("name", NAMED, "name", "required", "Once in a set.", "money"),
        Key(
            "for",
            one_or_list(TEXT),
            "names or globs",
            "required",
            "Rules by their names; `unmapped` and the like are names, too.",
            "[unmapped, large-*]",
        ),
        Key(
            "by",
            _PEOPLE,
            "names",
            "anybody",
            "Groups or people, one of which must answer.",
            "leads",
        ),
        Key(
            "approvals",
            whole_number(1, 10),
            "whole number",
            "1",
            "How many different people have to say yes.",
            "2",
        ),
        Key(
            "escalate",
            ref("escalate"),
            "mapping",
            "none",
            "Who may answer, too, when nobody has for a while.",
            "{to: ops, after: 10m}",
        ),
        Key("wait", SPANNED, "span", "the run's", _WAIT, "2m"),
        Key(
            "any_session",
            only(True),
            "`true`",
            "its own alone",
            "The agent may make the approved call in a new session, once.",
            "true",
        ),
    ),
    snippets={
        "who answers": {
            "name": "${1:money}",
            "for": ["${2:unmapped}"],
            "by": ["${3:leads}"],
            "approvals": 2,
        }
    },
)

WAITING = Part(
    name="waiting",
    title="How long a client is kept waiting",
    model=schema.WaitingPart,
    required=("client",),
    keys=(
        Key(
            "client",
            TEXT,
            "glob",
            "required",
            "Over the User-Agent, in any case of letters. The first entry that fits counts.",
            '"openai/*"',
        ),
        Key(
            "wait",
            SPANNED,
            "span",
            "its profile's",
            f"{_WAIT} It must be below the client's own timeout.",
            "2m",
        ),
        Key("keepalive", SPANNED, "span", "its profile's", "How often it hears something.", "10s"),
    ),
    snippets={"a client": {"client": "${1:openai/*}", "wait": "${2:2m}"}},
)

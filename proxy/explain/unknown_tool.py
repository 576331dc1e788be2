"""The lines that a rule file needs for a tool that it does not know, tried before they are told.

What belongs here: writing an entry for the tool of a call, and judging the call by the same rules with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from proxy.explain.listening import ListeningRules
from proxy.explain.trial import Asking, Trials
from proxy.explain.way import Way
from proxy.model import Json, Verdict
from proxy.policy.load import load_texts
from proxy.policy.problems import RuleErrors

type Texts = Sequence[tuple[str, str]]

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_NAME = "what-if.yaml"
_TARGETS = ("id", "target", "to", "path", "url", "name")


def entry_for(asking: Asking, texts: Texts, trials: Trials) -> Way | None:
    """Returns the entry with which the tool is known; None where the rules do not load with it."""
    name = asking.call.name
    written = name if _PLAIN.fullmatch(name) else json.dumps(name, ensure_ascii=False)
    lines = ("tools:", f"  - name: {written}", "    effects: []")
    text = "\n".join(("version: 1", "pack: what-if", *lines, ""))
    try:
        rules = ListeningRules(load_texts([*texts, (_NAME, text)]))
    except RuleErrors:
        return None
    with trials.under(rules):
        outcome = trials.outcome(asking)
    way = Way(
        "entry",
        "an entry under 'tools:'; [] means that it changes nothing, else name its effects",
        "unmapped",
        allows=outcome.verdict is Verdict.ALLOW,
        remaining=tuple(sorted(outcome.stopping - {"unmapped"})),
        yaml=(*lines, f"    # or: effects: [{{kind: {_kind(name)}{_target(asking.arguments)}}}]"),
    )
    return None if "unmapped" in outcome.stopping else way


def _kind(name: str) -> str:
    """Returns a kind as an example: `close_ticket` is `ticket.close`."""
    words = [w for w in re.split(r"[^A-Za-z0-9]+", name.rpartition("__")[2].lower()) if w]
    return ".".join(reversed(words[:2])) if len(words) > 1 else f"{(words or ['some'])[0]}.change"


def _target(arguments: Json) -> str:
    if not isinstance(arguments, dict):
        return ""
    named = [key for key in arguments if isinstance(key, str) and key.isidentifier()]
    ends = [key for end in _TARGETS for key in named if key == end or key.endswith(f"_{end}")]
    return f", target: args.{ends[0]}" if ends else ""

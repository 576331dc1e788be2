"""Values as text: results as JSON, arguments with a number in them, calls and reasons in a line."""

from __future__ import annotations

from proxy.model import Json, Reason, Verdict
from proxy.rehearsal.conversation import Judged
from proxy.wire.jsontext import encode

_SHOWN_CHARS = 120


def json_text(value: Json) -> str:
    """Returns compact JSON; amounts with a fraction are written as numbers."""
    return encode(value).decode("utf-8", "replace")


def shown(text: str) -> str:
    """Returns a text in one line, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARS else f"{line[: _SHOWN_CHARS - 1]}…"


def with_number(value: Json, number: int) -> Json:
    """Returns a value with `{n}` in its texts replaced by a number."""
    if isinstance(value, str):
        return value.replace("{n}", str(number))
    if isinstance(value, dict):
        return {key: with_number(item, number) for key, item in value.items()}
    if isinstance(value, list):
        return [with_number(item, number) for item in value]
    return value


def call_line(judged: Judged) -> str:
    """Returns what was decided about a call and what it does, in a line."""
    effects = ", ".join(_effect(dict(effect)) for effect in judged.effects)
    rules = ", ".join(dict.fromkeys(r.rule for r in judged.reasons if r.verdict > Verdict.ALLOW))
    budgets = ", ".join(
        f"{state.name} {state.after:f}/{state.limit:f}" for state in judged.decision.budgets
    )
    parts = [f"by {rules}" if rules else "", f"[{effects or 'no effects'}]", budgets]
    if not judged.named:
        parts = ["(no route names it)"]
    return " ".join([judged.verdict.label, *filter(None, parts)])


def _effect(effect: dict[str, Json]) -> str:
    amount = f" {effect['amount']} {effect['unit'] or ''}".rstrip() if effect["amount"] else ""
    target = f" on {effect['target']}" if effect["target"] is not None else ""
    return f"{effect['kind']}{amount}{target}"


def reason_line(reason: Reason) -> str:
    """Returns a reason with its rule and where that stands."""
    where = f" ({reason.file}:{reason.line})" if reason.file is not None else ""
    return f"{reason.verdict.label} by {reason.rule}{where}: {reason.text}"

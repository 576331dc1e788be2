"""How the steps of a case stand in its file.

What belongs here: one reader a step, and `STEPS`, which says by which key it is known.
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.model import Json
from proxy.rehearsal.expecting import read_expectation
from proxy.rehearsal.part import Part
from proxy.rehearsal.steps import (
    TRUSTS,
    Answer,
    CallStep,
    FreezeStep,
    HttpStep,
    HumanStep,
    ResultStep,
    Say,
    SignalStep,
    Step,
    Together,
    Wait,
    Who,
)
from proxy.rehearsal.written import json_text

MOST_TIMES = 10_000


def read_who(part: Part) -> Who:
    return Who(
        part.text("session"),
        part.text("agent"),
        part.text("human"),
        part.text("parent"),
        part.word("trust", TRUSTS),
    )


def _read_say(speaker: str) -> Callable[[Part], Step]:
    return lambda part: Say(part.place, read_who(part), speaker, part.need_text(speaker))


def _read_answer(part: Part) -> Answer:
    value = part.take("result")
    text = value if isinstance(value, str) else json_text(value)
    status = part.count("status", most=599)
    failed = part.flag("error") or (status is not None and status >= 400)
    return Answer(text, failed, status is None or status < 500)


def _read_call(part: Part) -> CallStep:
    name = part.need_text("call")
    if name == "again" and part.has("args"):
        part.fault("args", "'call: again' makes the call before it again, with its arguments")
    return CallStep(
        place=part.place,
        who=read_who(part),
        name=name,
        arguments=part.take("args") if part.value.get("args") is not None else _empty(part),
        id=part.text("id"),
        server=part.text("server"),
        confidence=part.number("confidence"),
        times=part.count("times", most=MOST_TIMES) or 1,
        expect=read_expectation(part),
        answer=_read_answer(part) if part.has("result") else None,
    )


def _empty(part: Part) -> Json:
    part.take("args")
    return {}


def _read_calls(part: Part) -> Step:
    steps: list[CallStep] = []
    for inner in part.parts("calls", f"{part.what}: call"):
        step = _read_call(inner)
        if step.name == "again" or step.times > 1:
            inner.fault(None, "'again' and 'times' are for calls that are made one by one")
        inner.end()
        steps.append(step)
    return Together(part.place, read_who(part), tuple(steps))


def _read_http(part: Part) -> Step:
    route = part.part("http", f"{part.what}: http")
    step = HttpStep(
        place=part.place,
        who=read_who(part),
        method=route.need_text("method").upper(),
        host=route.need_text("host"),
        path=route.need_text("path"),
        query=route.texts_by_name("query"),
        headers=route.texts_by_name("headers"),
        body=part.take("body"),
        id=part.text("id"),
        expect=read_expectation(part),
        answer=_read_answer(part) if part.has("result") else None,
    )
    route.end()
    return step


def _read_result(part: Part) -> Step:
    return ResultStep(part.place, part.text("of"), _read_answer(part))


def _read_human(key: str) -> Callable[[Part], Step]:
    return lambda part: HumanStep(
        part.place, key == "approve", part.text(key) or "last", part.text("reason")
    )


def _read_wait(part: Part) -> Step:
    return Wait(part.place, part.duration_s("wait"))


def _read_freeze(key: str) -> Callable[[Part], Step]:
    return lambda part: FreezeStep(part.place, key == "freeze", part.text(key), part.text("reason"))


def _read_signal(part: Part) -> Step:
    about = {key: part.text(key) for key in ("session", "agent", "human")}
    named = {key: value for key, value in about.items() if value is not None}
    fields = part.mapping("fields")
    return SignalStep(part.place, part.need_text("signal"), {**fields, **named})


STEPS: dict[str, Callable[[Part], Step]] = {
    "user": _read_say("user"),
    "system": _read_say("system"),
    "call": _read_call,
    "calls": _read_calls,
    "http": _read_http,
    "result": _read_result,
    "approve": _read_human("approve"),
    "deny": _read_human("deny"),
    "wait": _read_wait,
    "freeze": _read_freeze("freeze"),
    "thaw": _read_freeze("thaw"),
    "signal": _read_signal,
}
"""What a step may be, by the key that names it; where several stand in one step, the first counts."""

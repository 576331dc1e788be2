"""Refused calls put back into Anthropic histories, judged by a validator of the API's own rules."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.wire.anthropic.protocol import PROTOCOL
from proxy.wire.codec import RefusedCall, RefusedResponse

REF = "cr_" + "cd" * 16
TEXT = f"Refused by rule 'cap': 100 EUR are used up. [{REF}]"
TEXT_2 = f"Refused by rule 'egress': not there. [{REF}]"
USER = {"role": "user", "content": "pay them"}

T1 = {"type": "tool_use", "id": "t1", "name": "pay", "input": {"to": "a"}}
T2 = {"type": "tool_use", "id": "t2", "name": "pay", "input": {"to": "b"}}
T3 = {"type": "tool_use", "id": "t3", "name": "mail", "input": {}}
THINKING = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
REDACTED = {"type": "redacted_thinking", "data": "eHg="}
SEARCH = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []}
CACHED = {"cache_control": {"type": "ephemeral"}}


def say(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **more}


def assistant(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def result(call_id: str, text: str = "ok", **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": text, **more}


def failed(call_id: str, text: str = TEXT) -> dict[str, Any]:
    return result(call_id, text, is_error=True)


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def memory(*original: dict[str, Any], **refused: str) -> RefusedResponse:
    calls = {b["id"]: b for b in original if b["type"] == "tool_use"}
    return RefusedResponse(
        ref=REF,
        provider="anthropic.messages",
        keys=(f"ref:{REF}", "response:msg_1", *(f"call:{i}" for i in calls if i not in refused)),
        original={"role": "assistant", "content": list(original)},
        refused=tuple(
            RefusedCall(call_id=i, name=calls[i]["name"], kind="function", text=text)
            for i, text in refused.items()
        ),
    )


def restored(messages: list[Any], *memories: RefusedResponse, **more: Any) -> list[Any] | None:
    """Restores, and restores again: the second time there must be nothing to do."""
    body = {"model": "m", "max_tokens": 9, "messages": messages, **more}
    request = PROTOCOL.parse_request(json.dumps(body).encode())
    new = PROTOCOL.restore(request, memories)
    if new is None:
        return None
    assert PROTOCOL.restore(PROTOCOL.parse_request(new), memories) is None
    document = json.loads(new)
    assert {k: v for k, v in document.items() if k != "messages"} == {
        k: v for k, v in body.items() if k != "messages"
    }
    made: list[Any] = document["messages"]
    return made


def complaints(messages: list[Any]) -> list[str]:
    """What the API would answer 400 to, by its pages and by the words of its errors."""
    merged: list[tuple[str, list[dict[str, Any]]]] = []
    for message in messages:
        content = message["content"]
        blocks = [say(content)] if isinstance(content, str) else content
        if merged and merged[-1][0] == message["role"]:
            merged[-1][1].extend(blocks)
        else:
            merged.append((message["role"], list(blocks)))
    wrong: list[str] = []
    seen: set[str] = set()
    for n, (role, blocks) in enumerate(merged):
        if not blocks:
            wrong.append(f"{n}: empty content")
        wrong += [
            f"{n}: empty text" for b in blocks if b["type"] == "text" and not b["text"].strip()
        ]
        uses = [b["id"] for b in blocks if b["type"] == "tool_use"]
        results = [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"]
        if role == "assistant":
            wrong += [f"{n}: {i} twice" for i in uses if i in seen or uses.count(i) > 1]
            seen.update(uses)
            following = merged[n + 1] if n + 1 < len(merged) else ("", [])
            answered = [b["tool_use_id"] for b in following[1] if b["type"] == "tool_result"]
            kinds = [b["type"] for b in blocks]
            if uses and "text" in kinds[kinds.index("tool_use") :]:
                wrong.append(f"{n}: text behind tool_use")
            if uses and following[0] != "user":
                wrong.append(f"{n}: no user message behind tool_use")
            elif sorted(uses) != sorted(answered):
                wrong.append(f"{n}: tool_use {uses} but tool_result {answered}")
            if any(b["type"] in ("thinking", "redacted_thinking") for b in blocks[1:]) and blocks[
                0
            ]["type"] not in ("thinking", "redacted_thinking"):
                wrong.append(f"{n}: does not start with thinking")
            served = {b["id"] for b in blocks if b["type"] == "server_tool_use"}
            wrong += [
                f"{n}: result without server_tool_use"
                for b in blocks
                if b["type"] == "web_search_tool_result" and b["tool_use_id"] not in served
            ]
        elif results:
            first = [b["type"] == "tool_result" for b in blocks]
            if first != sorted(first, reverse=True):
                wrong.append(f"{n}: text before tool_result")
            if n == 0 or merged[n - 1][0] != "assistant":
                wrong.append(f"{n}: tool_result without tool_use")
    return wrong


def breakpoints(value: Any) -> int:
    return json.dumps(value).count("cache_control")


GO_ON = say("go on")


@pytest.mark.parametrize(
    ("given", "remembered", "expected"),
    [
        pytest.param(
            [USER, assistant(say(TEXT)), user(GO_ON)],
            memory(T1, t1=TEXT),
            [USER, assistant(T1), user(failed("t1"), GO_ON)],
            id="only-call",
        ),
        pytest.param(
            [USER, assistant(say("I pay."), say(TEXT), T2), user(result("t2"), GO_ON)],
            memory(say("I pay."), T1, T2, t1=TEXT),
            [USER, assistant(say("I pay."), T1, T2), user(result("t2"), failed("t1"), GO_ON)],
            id="first-of-two",
        ),
        pytest.param(
            [USER, assistant(T1, say(TEXT)), user(result("t1"))],
            memory(T1, T2, t2=TEXT),
            [USER, assistant(T1, T2), user(result("t1"), failed("t2"))],
            id="second-of-two",
        ),
        pytest.param(
            [USER, assistant(say(TEXT), say(TEXT_2)), USER],
            memory(T1, T3, t1=TEXT, t3=TEXT_2),
            [
                USER,
                assistant(T1, T3),
                user(failed("t1"), failed("t3", TEXT_2), say("pay them")),
            ],
            id="both-user-text-is-a-string",
        ),
        pytest.param(
            [USER, assistant(say(TEXT), say(TEXT)), USER],
            memory(T1, T2, t1=TEXT, t2=TEXT),
            [USER, assistant(T1, T2), user(failed("t1"), failed("t2"), say("pay them"))],
            id="both-with-the-same-text",
        ),
        pytest.param(
            [USER, {"role": "assistant", "content": f"I pay.\n\n{TEXT}"}, USER],
            memory(say("I pay."), T1, t1=TEXT),
            [USER, assistant(say("I pay."), T1), user(failed("t1"), say("pay them"))],
            id="texts-merged-into-a-string",
        ),
        pytest.param(
            [USER, assistant(say(f"I pay. {TEXT} {TEXT_2} Done."), T2), user(result("t2"))],
            memory(say("I pay."), T1, T3, say("Done."), T2, t1=TEXT, t3=TEXT_2),
            [
                USER,
                assistant(say("I pay."), say("Done."), T1, T3, T2),
                user(result("t2"), failed("t1"), failed("t3", TEXT_2)),
            ],
            id="texts-merged-into-a-block",
        ),
        pytest.param(
            [USER, assistant(say(TEXT.replace(" ", "\n"))), USER],
            memory(T1, t1=TEXT),
            [USER, assistant(T1), user(failed("t1"), say("pay them"))],
            id="white-space-changed",
        ),
        pytest.param(
            [USER, assistant(say(TEXT))],
            memory(T1, t1=TEXT),
            [USER, assistant(T1), user(failed("t1"))],
            id="last-message",
        ),
        pytest.param(
            [USER, assistant(T2), user(result("t2"))],
            memory(T1, T2, t1=TEXT),
            [USER, assistant(T1, T2), user(result("t2"), failed("t1"))],
            id="client-dropped-our-text-before",
        ),
        pytest.param(
            [USER, assistant(T2, say("x")), user(result("t2"))],
            memory(T2, T1, say("x"), t1=TEXT),
            [USER, assistant(say("x"), T2, T1), user(result("t2"), failed("t1"))],
            id="client-dropped-our-text-behind",
        ),
        pytest.param(
            [
                USER,
                assistant(say("I pay.")),
                assistant(say(TEXT)),
                assistant(T2),
                user(result("t2")),
            ],
            memory(say("I pay."), T1, T2, t1=TEXT),
            [
                USER,
                assistant(say("I pay.")),
                assistant(T1),
                assistant(T2),
                user(result("t2"), failed("t1")),
            ],
            id="a-message-a-block",
        ),
        pytest.param(
            [USER, assistant(T2, say(TEXT)), user(result("t2")), user(GO_ON)],
            memory(T2, T1, t1=TEXT),
            [USER, assistant(T2, T1), user(result("t2"), failed("t1")), user(GO_ON)],
            id="two-user-messages",
        ),
        pytest.param(
            [
                USER,
                assistant(say(TEXT)),
                user(GO_ON),
                assistant(say(f"I was refused: {TEXT} Sorry.")),
                USER,
            ],
            memory(T1, t1=TEXT),
            [
                USER,
                assistant(T1),
                user(failed("t1"), GO_ON),
                assistant(say(f"I was refused: {TEXT} Sorry.")),
                USER,
            ],
            id="quoted-later",
        ),
        pytest.param(
            [USER, assistant(THINKING, say("so"), say(TEXT), T2), user(result("t2"))],
            memory(THINKING, T1, say("so"), T2, t1=TEXT),
            [
                USER,
                assistant(THINKING, say("so"), T1, T2),
                user(result("t2"), failed("t1")),
            ],
            id="thinking-blocks-ordered-anew",
        ),
        pytest.param(
            [USER, {"role": "assistant", "content": TEXT}, USER],
            memory(THINKING, REDACTED, T1, t1=TEXT),
            [USER, assistant(THINKING, REDACTED, T1), user(failed("t1"), say("pay them"))],
            id="thinking-dropped-by-the-client",
        ),
        pytest.param(
            [USER, assistant(THINKING), assistant(say(TEXT)), assistant(T2), user(result("t2"))],
            memory(THINKING, T1, T2, t1=TEXT),
            [USER, assistant(THINKING, T1, T2), user(result("t2"), failed("t1"))],
            id="thinking-a-message-a-block",
        ),
        pytest.param(
            [USER, assistant(THINKING, SEARCH, FOUND, say(TEXT)), USER],
            memory(THINKING, SEARCH, FOUND, say(" "), T1, t1=TEXT),
            [USER, assistant(THINKING, SEARCH, FOUND, T1), user(failed("t1"), say("pay them"))],
            id="thinking-server-tools-and-an-empty-text",
        ),
        pytest.param(
            [
                USER,
                assistant(say("before")),
                assistant(THINKING, T2),
                user(result("t2")),
            ],
            memory(THINKING, T1, T2, t1=TEXT),
            None,
            id="thinking-our-text-dropped",
        ),
    ],
)
def test_restore(given: list[Any], remembered: RefusedResponse, expected: list[Any] | None) -> None:
    """The refused call is where it was, its failed result in the one next user message."""
    made = restored(given, remembered)
    assert made is not None
    if expected is None:  # a foreign message ahead of the turn is kept
        assert made[1] == assistant(say("before"))
        assert made[2:] == [assistant(THINKING, T1, T2), user(result("t2"), failed("t1"))]
        return
    assert complaints(made) == []
    assert made == expected


@pytest.mark.parametrize(
    ("given", "remembered"),
    [
        pytest.param([USER, assistant(say("hello")), USER], memory(T1, t1=TEXT), id="not-there"),
        pytest.param(
            [USER, assistant(say(f"see {REF}")), USER], memory(T1, t1=TEXT), id="reference-quoted"
        ),
        pytest.param(
            [USER, user(say(TEXT)), assistant(say("x"))],
            memory(T1, t1=TEXT),
            id="in-a-user-message",
        ),
        pytest.param(
            [USER, assistant(T1), user(failed("t1"))], memory(T1, t1=TEXT), id="is-there-already"
        ),
        pytest.param([], memory(T1, t1=TEXT), id="no-messages"),
        pytest.param([USER, assistant(say("")), USER], memory(say(""), T1, t1=TEXT), id="empty"),
    ],
)
def test_nothing_to_restore(given: list[Any], remembered: RefusedResponse) -> None:
    """A turn that is not there, or whole already, leaves the body as it is."""
    assert restored(given, remembered) is None


def test_memories_of_other_apis_do_not_apply() -> None:
    """Only this API's memories have this API's shape."""
    foreign = RefusedResponse(REF, "openai.chat", (f"ref:{REF}",), {"role": "assistant"}, ())
    assert restored([USER, assistant(say(TEXT)), USER], foreign) is None


def test_two_turns() -> None:
    """Every refused turn of a history is restored, also when the client changed the first message."""
    other = "cr_" + "ef" * 16
    second = RefusedResponse(
        other,
        "anthropic.messages",
        (f"ref:{other}",),
        {"role": "assistant", "content": [T3]},
        (RefusedCall("t3", "mail", "function", f"no [{other}]"),),
    )
    given = [USER, assistant(say(TEXT)), USER, assistant(say(f"no [{other}]")), USER]
    made = restored(given, memory(T1, t1=TEXT), second)
    assert made is not None
    assert complaints(made) == []
    assert [m["content"][0].get("id") for m in made if m["role"] == "assistant"] == ["t1", "t3"]


@pytest.mark.parametrize(
    ("given", "remembered", "carrier"),
    [
        pytest.param(
            [USER, assistant(say("a", **CACHED), say(TEXT, **CACHED)), USER],
            memory(say("a"), T1, t1=TEXT),
            "t1",
            id="patched",
        ),
        pytest.param(
            [USER, assistant(THINKING, say(TEXT, **CACHED)), USER],
            memory(THINKING, T1, t1=TEXT),
            "t1",
            id="whole",
        ),
        pytest.param(
            [USER, assistant(THINKING, say(TEXT), T2 | CACHED), user(result("t2"))],
            memory(THINKING, T1, T2, t1=TEXT),
            "t2",
            id="on-another-block",
        ),
        pytest.param(
            [USER, assistant(THINKING, say(TEXT, **CACHED), say(TEXT_2, **CACHED)), USER],
            memory(THINKING, T1, T3, t1=TEXT, t3=TEXT_2),
            "t3",
            id="two-on-ours",
        ),
    ],
)
def test_cache_breakpoints(given: list[Any], remembered: RefusedResponse, carrier: str) -> None:
    """A breakpoint stays with what stands for its block, and there are never more than before."""
    made = restored(given, remembered)
    assert made is not None
    assert complaints(made) == []
    assert breakpoints(made) <= breakpoints(given)
    (block,) = [b for b in made[1]["content"] if b.get("id") == carrier]
    assert block["cache_control"] == CACHED["cache_control"]
    assert not any("cache_control" in b for b in made[1]["content"] if b["type"] == "thinking")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param([user(GO_ON)], [user(failed("t1"), GO_ON)], id="text"),
        pytest.param(
            [user(result("t2"), GO_ON)],
            [user(result("t2"), failed("t1"), GO_ON)],
            id="a-result-of-another-call",
        ),
        pytest.param([], [user(failed("t1"))], id="nothing"),
    ],
)
def test_history_kept_by_the_server(given: list[Any], expected: list[Any]) -> None:
    """Where the server still holds the call (`thread`), only its result is added, on every branch."""
    thread = {"type": "continue", "previous_message_id": "msg_1"}
    assert restored(given, memory(T1, T2, t1=TEXT), thread=thread) == expected
    other = thread | {"previous_message_id": "msg_0"}
    assert restored(given, memory(T1, T2, t1=TEXT), thread=other) is None


def test_the_validator_finds_what_it_is_for() -> None:
    """A validator that accepts everything would prove nothing."""
    assert complaints([USER, assistant(T1), USER])
    assert complaints([USER, assistant(T1), user(GO_ON, result("t1"))])
    assert complaints([USER, assistant(say("x")), user(result("t1"))])
    assert complaints([USER, assistant(say(" "))])
    assert complaints([USER, assistant(T1)])
    assert complaints([USER, assistant(T1, say("x")), user(result("t1"))])
    assert complaints([USER, assistant(say("x"), THINKING)])

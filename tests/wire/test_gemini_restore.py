"""Refused calls put back into Gemini histories, whatever the client has made of the turn."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.wire.codec import RefusedCall, RefusedResponse
from proxy.wire.detect import protocol_for

REF = "cr_" + "ef" * 16
SIGN = "c2lnbmF0dXJl+/=="

type Part = dict[str, Any]


def text_of(n: int) -> str:
    return f"[checkrein {REF}] The call f{n} was refused and did not run."


def call(n: int, *, ids: bool = True, signed: bool = False) -> Part:
    made: Part = {"functionCall": {"name": f"f{n}", "args": {"n": n}}}
    if ids:
        made["functionCall"]["id"] = f"id{n}"
    return {**made, "thoughtSignature": SIGN} if signed else made


def result(n: int, *, ids: bool = True, **response: Any) -> Part:
    made: Part = {"name": f"f{n}", "response": response or {"output": "fine"}}
    return {"functionResponse": {**({"id": f"id{n}"} if ids else {}), **made}}


def failed(n: int, *, ids: bool = True) -> Part:
    return result(n, ids=ids, error=text_of(n))


def memory(parts: list[Part], *refused: int) -> RefusedResponse:
    calls = [parts[n]["functionCall"] for n in refused]
    return RefusedResponse(
        ref=REF,
        provider="google.gemini",
        keys=(f"ref:{REF}",),
        original={"contents": [{"role": "model", "parts": parts}], "refused": [list(refused)]},
        refused=tuple(
            RefusedCall(c.get("id"), c["name"], "function", text_of(c["args"]["n"])) for c in calls
        ),
    )


def restored(contents: list[Any], *memories: RefusedResponse, path: str = "") -> list[Any] | None:
    protocol = protocol_for("POST", path or "/v1beta/models/m:generateContent")
    assert protocol is not None
    body: dict[str, Any] = {"contents": contents}
    if "internal" in path:
        body = {"model": "m", "request": body}
    request = protocol.parse_request(json.dumps(body).encode())
    made = protocol.restore(request, memories)
    if made is None:
        return None
    document = json.loads(made)
    found: list[Any] = (document.get("request") or document)["contents"]
    return found


def user(*parts: Part) -> Part:
    return {"role": "user", "parts": list(parts)}


def model(*parts: Part) -> Part:
    return {"role": "model", "parts": list(parts)}


LEAD: Part = {"text": "Let me see."}
ASK = user({"text": "hello"})
GO = {"text": "go on"}


@pytest.mark.parametrize("ids", [True, False], ids=["ids", "no ids"])
@pytest.mark.parametrize(
    "echo",
    [
        [model(LEAD, {"text": text_of(1)})],
        [model(LEAD), model({"text": text_of(1)}), model({"text": ""})],
        [model({"text": "Let me see." + text_of(1)})],
        [model({"text": "Let me see.\n\n" + text_of(1).replace(" ", "\n")})],
        [model({"text": text_of(1)})],
        [{"role": "model", "parts": {"text": text_of(1)}}],
    ],
    ids=["as sent", "chunk by chunk", "merged", "wrapped", "text dropped", "one part"],
)
def test_all_refused(echo: list[Part], ids: bool) -> None:
    """The whole turn comes back, and the failed result stands ahead of the user's next words."""
    kept = [LEAD, call(1, ids=ids, signed=True)]
    made = restored([ASK, *echo, user(GO)], memory(kept, 1))
    assert made == [ASK, model(*kept), user(failed(1, ids=ids), GO)]


def test_nothing_behind_the_turn() -> None:
    kept = [call(1, signed=True)]
    made = restored([ASK, model({"text": text_of(1)})], memory(kept, 0))
    assert made == [ASK, model(*kept), user(failed(1))]


@pytest.mark.parametrize("ids", [True, False], ids=["ids", "no ids"])
@pytest.mark.parametrize("refused", [(1,), (2,), (3,), (1, 3), (2, 3)], ids=str)
def test_some_refused(refused: tuple[int, ...], ids: bool) -> None:
    """All results stand in call order in one content; the signature is on the first call again."""
    kept = [LEAD, call(1, ids=ids, signed=True), call(2, ids=ids), call(3, ids=ids)]
    echo = [LEAD] + [{"text": text_of(n)} if n in refused else kept[n] for n in (1, 2, 3)]
    given = [result(n, ids=ids) for n in (3, 2, 1) if n not in refused]
    made = restored([ASK, model(*echo), user(*given, GO)], memory(kept, *refused))
    wanted = [failed(n, ids=ids) if n in refused else result(n, ids=ids) for n in (1, 2, 3)]
    assert made == [ASK, model(*kept), user(*wanted, GO)]


def test_results_in_several_contents_become_one() -> None:
    kept = [call(1, signed=True), call(2), call(3)]
    contents = [
        ASK,
        model(kept[0], {"text": text_of(2)}, kept[2]),
        {"role": "function", "parts": [result(1)]},
        {"role": "function", "parts": [result(3)]},
    ]
    made = restored(contents, memory(kept, 1))
    assert made is not None
    assert made[2:] == [{"role": "function", "parts": [result(1), failed(2), result(3)]}]


def test_known_by_a_call_where_the_client_drops_texts() -> None:
    """The text is gone: the id of the call that lives tells the turn."""
    kept = [call(1, signed=True), call(2)]
    made = restored([ASK, model(call(2)), user(result(2))], memory(kept, 0))
    assert made == [ASK, model(*kept), user(failed(1), result(2))]


def test_known_by_a_signature_in_the_other_alphabet() -> None:
    kept = [call(1, ids=False, signed=True), call(2, ids=False)]
    signed = call(1, ids=False) | {"thoughtSignature": SIGN.replace("+", "-").replace("/", "_")}
    made = restored([ASK, model(signed), user(result(1, ids=False))], memory(kept, 1))
    assert made == [ASK, model(*kept), user(result(1, ids=False), failed(2, ids=False))]


def test_ids_that_a_client_made_up_stay() -> None:
    """pydantic-ai gives ids to calls that have none: call and result keep them."""
    kept = [call(1, ids=False, signed=True), call(2, ids=False)]
    mine = call(2, ids=False)
    mine["functionCall"]["id"] = "pyd_ai_1"
    answer = result(2, ids=False)
    answer["functionResponse"]["id"] = "pyd_ai_1"
    made = restored([ASK, model({"text": text_of(1)}, mine), user(answer)], memory(kept, 0))
    assert made is not None
    assert made[1]["parts"][0] == kept[0]
    assert made[1]["parts"][1]["functionCall"]["id"] == "pyd_ai_1"
    assert made[2]["parts"] == [failed(1, ids=False), answer]


def test_snake_case_is_read() -> None:
    kept = [call(1, signed=True), call(2)]
    echo = {"function_call": kept[1]["functionCall"]}
    answer = {"function_response": result(2)["functionResponse"]}
    made = restored([ASK, model({"text": text_of(1)}, echo), user(answer)], memory(kept, 0))
    assert made == [ASK, model(*kept), user(failed(1), answer)]


def test_other_conversations_are_left_alone() -> None:
    """The same call in a history that never lost one is no sign."""
    kept = [call(1, ids=False, signed=True), call(2, ids=False)]
    contents = [ASK, model(call(1, ids=False), call(2, ids=False)), user(result(1), result(2))]
    assert restored(contents, memory(kept, 1)) is None


def test_a_quoted_reference_is_no_sign() -> None:
    contents = [ASK, model({"text": f"I saw {REF} in the log."}), user(GO)]
    assert restored(contents, memory([call(1)], 0)) is None


def test_every_turn_of_a_long_history() -> None:
    """A later request repeats the stripped turn: it is mended each time, the other turns stay."""
    kept = [LEAD, call(1, signed=True)]
    later = [model({"text": "I could not."}), user({"text": "and now?"})]
    made = restored([ASK, model(LEAD, {"text": text_of(1)}), user(GO), *later], memory(kept, 1))
    assert made == [ASK, model(*kept), user(failed(1), GO), *later]


def test_thoughts_come_back_only_where_the_client_sends_them() -> None:
    thought: Part = {"text": "hmm", "thought": True}
    kept = [thought, LEAD, call(1, signed=True)]
    without = restored([ASK, model(LEAD, {"text": text_of(1)}), user(GO)], memory(kept, 2))
    assert without is not None
    assert without[1] == model(LEAD, kept[2])
    sent = restored([ASK, model(thought, LEAD, {"text": text_of(1)}), user(GO)], memory(kept, 2))
    assert sent is not None
    assert sent[1] == model(*kept)


def test_cloud_codes_wrapping_stays() -> None:
    kept = [call(1, signed=True)]
    contents = [ASK, model({"text": text_of(1)}), user(GO)]
    made = restored(contents, memory(kept, 0), path="/v1internal:generateContent")
    assert made == [ASK, model(*kept), user(failed(1), GO)]


def test_a_second_candidate_is_mended_where_it_was_chosen() -> None:
    first, second = [call(1, signed=True)], [LEAD, call(2, signed=True)]
    both = memory(first, 0)
    both.original["contents"].append({"role": "model", "parts": second})
    both.original["refused"].append([1])
    whole = RefusedResponse(
        both.ref,
        both.provider,
        both.keys,
        both.original,
        (*both.refused, RefusedCall("id2", "f2", "function", text_of(2))),
    )
    made = restored([ASK, model(LEAD, {"text": text_of(2)}), user(GO)], whole)
    assert made == [ASK, model(*second), user(failed(2), GO)]


def read(body: dict[str, Any], path: str = "/v1beta/models/Gemini-3:generateContent") -> Any:
    protocol = protocol_for("POST", path)
    assert protocol is not None
    return protocol.parse_request(json.dumps(body).encode())


def test_results_are_matched_by_id_then_by_name() -> None:
    """Two turns with the same names: each result has its own call's digest."""
    one, two = call(1, ids=False), call(1, ids=False)
    two["functionCall"]["args"] = {"n": 2}
    contents = [ASK, model(one, two), user(result(1, ids=False), result(1, ids=False, error="no"))]
    results = read({"contents": contents}).results
    assert [(r.call_id, r.name, r.is_error, r.text) for r in results] == [
        (None, "f1", False, "fine"),
        (None, "f1", True, "no"),
    ]
    assert len({r.args_sha256 for r in results}) == 2
    by_id = read({"contents": [ASK, model(call(1), call(2)), user(result(2), result(1))]}).results
    assert [(r.call_id, r.name) for r in by_id] == [("id2", "f2"), ("id1", "f1")]


def test_what_a_request_says() -> None:
    body = {
        "contents": [ASK, model(LEAD), user(GO)],
        "system_instruction": {"parts": {"text": "Be kind."}},
        "tools": [
            {"functionDeclarations": [{"name": "a"}, {"name": "b"}]},
            {"function_declarations": {"name": "c"}},
            {"googleSearch": {}},
        ],
    }
    request = read(body)
    assert request.model == "Gemini-3"
    assert request.system_text == "Be kind."
    assert request.user_text == "go on"
    assert request.opening == "Be kind.\n\nhello"
    assert [t.name for t in request.tools] == ["a", "b", "c", "googleSearch"]
    inner = {"model": "g", "request": {"contents": [ASK], "session_id": "s1"}}
    wrapped = read(inner, "/v1internal:streamGenerateContent")
    assert (wrapped.model, wrapped.hints, wrapped.stream) == ("g", {"session_id": "s1"}, True)

"""The Assistants API through a real proxy with openai's own helpers: polled and streamed, each verdict.

The upstream wants the outputs of exactly the calls it asked for, so a run that goes on shows that the
refused calls' outputs were added.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import openai
import pytest
from openai import AssistantEventHandler

from tests.e2e.conftest import Proxy
from tests.e2e.test_sdk_verdicts import make_proxy
from tests.upstreams.assistants import AssistantsModel

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.xdist_group("assistants"),
    pytest.mark.filterwarnings("ignore:The Assistants API:DeprecationWarning"),
]

TOOL = {"allow": "look_up", "block": "forbidden", "approve": "refund_order", "deny": "refund_order"}


@dataclass(frozen=True, slots=True)
class Line:
    proxy: Proxy
    model: AssistantsModel


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with AssistantsModel() as model:
        proxy = make_proxy(tmp_path_factory.mktemp("assistants"), "--upstream", model.url).start()
        yield Line(proxy, model)
        proxy.stop()


def client_of(line: Line, session: str | None) -> openai.OpenAI:
    headers = {"X-Checkrein-Session": session} if session else {}
    return openai.OpenAI(
        api_key=f"sk-{session}",
        base_url=line.proxy.url + "/v1",
        max_retries=0,
        timeout=60,
        default_headers=headers,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    )


def calls_of(run: Any) -> list[Any]:
    return list(run.required_action.submit_tool_outputs.tool_calls) if run.required_action else []


def drain(stream: Any) -> tuple[Any, str]:
    text = ""
    with stream as events:
        for event in events:
            if event.event == "thread.message.delta":
                text += event.data.delta.content[0].text.value
        return events.current_run, text


def start(client: openai.OpenAI, thread: str, script: str, *, stream: bool) -> Any:
    runs = client.beta.threads.runs
    if not stream:
        return runs.create_and_poll(thread_id=thread, assistant_id="asst_1", instructions=script)
    asked = runs.stream(
        thread_id=thread,
        assistant_id="asst_1",
        instructions=script,
        event_handler=AssistantEventHandler(),
    )
    return drain(asked)[0]


def answer(client: openai.OpenAI, thread: str, run: Any, *, stream: bool) -> Any:
    """Hands in an output for every call that the SDK shows."""
    runs = client.beta.threads.runs
    outputs: Any = [
        {"tool_call_id": c.id, "output": f"ran {c.function.name}"} for c in calls_of(run)
    ]
    if not stream:
        return runs.submit_tool_outputs_and_poll(
            run_id=run.id, thread_id=thread, tool_outputs=outputs
        )
    asked = runs.submit_tool_outputs_stream(
        run_id=run.id,
        thread_id=thread,
        tool_outputs=outputs,
        event_handler=AssistantEventHandler(),
    )
    run, text = drain(asked)
    assert run.status != "completed" or text == "All done."
    return run


@pytest.mark.parametrize("stream", [False, True], ids=["poll", "stream"])
@pytest.mark.parametrize("case", TOOL)
@pytest.mark.parametrize("beside", ["", "look_up,"], ids=["alone", "beside another"])
def test_a_run(line: Line, case: str, stream: bool, beside: str) -> None:
    """The SDK gets the call exactly when the verdict lets it pass, and the run goes on to its end."""
    session = f"{case}-{stream}-{bool(beside)}"
    thread = f"thread_{session}"
    before = len(line.model.rejected)
    human = None
    if case in ("approve", "deny"):
        kwargs = {"reason": "Not this one." if case == "deny" else None}
        human = threading.Thread(target=line.proxy.answer, args=(case,), kwargs=kwargs)
        human.start()
    with client_of(line, session) as client:
        run = start(client, thread, beside + TOOL[case], stream=stream)
        if human is not None:
            human.join(20)
        passed = case in ("allow", "approve")
        names = [c.function.name for c in calls_of(run)]
        assert names == [*([beside[:-1]] if beside else []), *([TOOL[case]] if passed else [])]
        assert run.status == "requires_action"
        run = answer(client, thread, run, stream=stream)
        assert run.status == "completed"
    assert line.model.rejected[before:] == []
    outputs = {one["tool_call_id"]: one["output"] for one in line.model.outputs[-1]}
    told = outputs[f"call_{run.id}_0_{1 if beside else 0}"]
    if passed:
        assert told == f"ran {TOOL[case]}"
    else:
        says = {"block": "Nothing is deleted here.", "deny": "Not this one."}[case]
        assert says in told
    if beside:
        assert outputs[f"call_{run.id}_0_0"] == "ran look_up"


@pytest.mark.parametrize("stream", [False, True], ids=["poll", "stream"])
def test_rounds_are_kept_apart(line: Line, stream: bool) -> None:
    """A run that asks four times, refused, allowed, refused: each submission has its own outputs."""
    session = f"rounds-{stream}"
    with client_of(line, session) as client:
        before = len(line.model.outputs)
        run = start(
            client, "thread_R", "forbidden;look_up;look_up,forbidden;forbidden", stream=stream
        )
        for left in ([], ["look_up"], ["look_up"], []):
            assert [c.function.name for c in calls_of(run)] == left
            run = answer(client, "thread_R", run, stream=stream)
        assert run.status == "completed"
    rounds = [[one["tool_call_id"] for one in given] for given in line.model.outputs[before:]]
    assert [len(one) for one in rounds] == [1, 1, 2, 1]
    assert line.model.rejected == []


def test_polls_without_a_session_of_their_own_decide_once(line: Line) -> None:
    """The run in the path is what links a poll to the session of the run's start."""
    with client_of(line, None) as client:
        run = start(client, "thread_P", "look_up", stream=False)
        for _ in range(3):
            again = client.beta.threads.runs.retrieve(run.id, thread_id="thread_P")
            assert [c.function.name for c in calls_of(again)] == ["look_up"]
        listed = client.beta.threads.runs.list("thread_P").data
        assert [c.function.name for one in listed for c in calls_of(one)] == ["look_up"]
        run = answer(client, "thread_P", run, stream=False)
        assert run.status == "completed"
        steps = client.beta.threads.runs.steps.list(run.id, thread_id="thread_P").data
        assert len(steps) == 1
    polled = [
        r
        for r in line.proxy.records("decision")
        if r["call"]["id"] == f"call_{run.id}_0_0" and r["session"].startswith("opening:")
    ]
    assert len(polled) == 1


def test_a_run_can_be_cancelled(line: Line) -> None:
    """The way out where a client will not answer."""
    with client_of(line, "cancel") as client:
        run = start(client, "thread_C", "forbidden", stream=False)
        assert "Nothing is deleted here." in run.last_error.message
        assert client.beta.threads.runs.cancel(run.id, thread_id="thread_C").status == "cancelled"


def test_azure(line: Line) -> None:
    """The Azure client's paths are gated too."""
    with openai.AzureOpenAI(
        api_key="k",
        api_version="2025-03-01-preview",
        azure_endpoint=line.proxy.url,
        max_retries=0,
        default_headers={"X-Checkrein-Session": "azure"},
        http_client=openai.DefaultHttpxClient(trust_env=False),
    ) as client:
        run = start(client, "thread_Z", "forbidden,look_up", stream=True)
        assert [c.function.name for c in calls_of(run)] == ["look_up"]
        assert answer(client, "thread_Z", run, stream=True).status == "completed"
    assert "/openai/threads/thread_Z/runs" in line.model.paths

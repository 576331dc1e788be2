"""Traffic with models that no codec reads, through a real proxy: the SDK raises what it reads."""

from __future__ import annotations

import json

import httpx
import openai
import pytest

from tests.e2e.conftest import RULES, StartProxy
from tests.e2e.wire.conftest import RawUpstream, plain

pytestmark = pytest.mark.e2e


@pytest.fixture
def upstream() -> RawUpstream:
    return RawUpstream()


@pytest.mark.parametrize(
    ("more", "passes"),
    [
        pytest.param("", True, id="another-host"),
        pytest.param("model_hosts: 127.0.0.1", False, id="named"),
        pytest.param("model_hosts: 127.0.0.1\nunparsed: allow", True, id="named-and-allowed"),
    ],
)
def test_behind_upstream(
    start_proxy: StartProxy, upstream: RawUpstream, more: str, passes: bool
) -> None:
    """As a base URL: the upstream counts where the rules name it; what is understood passes."""
    with upstream:
        proxy = start_proxy("--upstream", upstream.url, rules=RULES + more + "\n", hold_wait="0s")
        client = openai.OpenAI(api_key="k", base_url=proxy.url + "/v1", max_retries=0)
        upstream.answer = plain(json.dumps({"object": "list", "data": []}).encode())
        assert list(client.models.list()) == []
        if passes:
            client.files.content("file-1")
        else:
            with pytest.raises(openai.PermissionDeniedError, match="403"):
                client.files.content("file-1")
    found = [r for r in proxy.records("decision") if r["call"]["kind"] == "unparsed"]
    verdicts = [r["verdict"] for r in found]
    assert verdicts == {"": [], "model_hosts: 127.0.0.1": ["block"]}.get(more, ["allow"])
    assert ("/v1/files/file-1/content" in [s.path for s in upstream.seen]) is passes


@pytest.mark.parametrize(
    "body",
    [
        '{"model": "m", "messages": [{"role": "user", "content": "x"}]}'.encode("utf-16"),
        b'\xef\xbb\xbf{"model": "m", "messages": [{"role": "user", "content": "x"}]}',
        b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "messages": 0}',
    ],
    ids=["utf-16", "bom", "key-twice"],
)
def test_a_models_body_that_only_servers_read(
    start_proxy: StartProxy, upstream: RawUpstream, body: bytes
) -> None:
    """On a path and host that nobody knows."""
    with upstream:
        proxy = start_proxy(rules=RULES, hold_wait="0s")
        with httpx.Client(proxy=proxy.url, trust_env=False, timeout=20) as client:
            answer = client.post(upstream.url + "/gateway", content=body)
    assert answer.status_code == 403
    assert answer.json()["checkrein"]["reasons"][0]["rule"] == "unparsed"
    assert upstream.seen == []


def test_hold_and_approve(start_proxy: StartProxy, upstream: RawUpstream) -> None:
    """A human lets exactly this request through, once."""
    with upstream:
        rules = RULES + "unparsed: hold\n"
        proxy = start_proxy(rules=rules, hold_wait="0s")
        with httpx.Client(proxy=proxy.url, trust_env=False, timeout=20) as client:
            url = upstream.url + "/v1/batches"
            first = client.post(url, json={"input_file_id": "f"})
            assert first.json()["checkrein"]["retry"] == "after-approval"
            proxy.answer("approve")
            statuses = [client.post(url, json={"input_file_id": f}).status_code for f in "gff"]
    assert statuses == [403, 200, 403]
    assert len(upstream.seen) == 1

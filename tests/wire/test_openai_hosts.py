"""OpenAI's and Anthropic's endpoints beside the models: which can bring no call, and which might."""

from __future__ import annotations

import pytest

from proxy.wire.hosts import is_understood

OPENAI, ANTHROPIC = "api.openai.com", "api.anthropic.com"


@pytest.mark.parametrize(
    ("host", "method", "path"),
    [
        (OPENAI, "POST", "/v1/vector_stores"),
        (OPENAI, "GET", "/v1/vector_stores/vs_1/file_batches/b_1/files"),
        (OPENAI, "POST", "/v1/vector_stores/vs_1/search"),
        (OPENAI, "GET", "/v1/containers/cntr_1/files/cfile_1/content"),
        (OPENAI, "POST", "/v1/assistants"),
        (OPENAI, "POST", "/v1/threads"),
        (OPENAI, "GET", "/v1/threads/thread_1/messages?order=asc"),
        ("x.openai.azure.com", "POST", "/openai/threads/thread_1/messages?api-version=1"),
        (ANTHROPIC, "POST", "/v1/skills?beta=true"),
        (ANTHROPIC, "GET", "/v1/skills/s_1/versions"),
        (ANTHROPIC, "GET", "/v1/files/file_1/content"),
    ],
)
def test_understood(host: str, method: str, path: str) -> None:
    """What was set up, uploaded or written by code passes."""
    assert is_understood(host, method, path)


@pytest.mark.parametrize(
    ("host", "method", "path"),
    [
        (OPENAI, "POST", "/v1/threads/runs"),
        (OPENAI, "POST", "/v1/threads/thread_1/runs"),
        (OPENAI, "GET", "/v1/threads/thread_1/runs/run_1/steps"),
        (OPENAI, "GET", "/v1/files/file_1/content"),
        (OPENAI, "GET", "/v1/conversations/c_1/items"),
        (OPENAI, "GET", "/v1/responses/resp_1"),
        (OPENAI, "POST", "/v1/vector_stores/../responses"),
        (ANTHROPIC, "GET", "/v1/messages/batches/b_1/results"),
        (ANTHROPIC, "POST", "/v1/messages"),
    ],
)
def test_not_understood(host: str, method: str, path: str) -> None:
    """Calls can stand in these answers: a codec reads them or the rules decide."""
    assert not is_understood(host, method, path)

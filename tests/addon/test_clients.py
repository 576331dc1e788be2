"""Each client is kept waiting for less time than it takes to give up."""

from __future__ import annotations

import pytest

from proxy.pipeline.clients import profile_of


@pytest.mark.parametrize(
    ("user_agent", "name", "gives_up_s", "silence_s"),
    [
        ("GeminiCLI/0.61.0 (linux; x64)", "gemini-cli", 60, 60),
        ("claude-cli/2.1.330 (external, cli)", "claude-code", 600, 180),
        ("codex_cli_rs/0.169.0", "codex", 600, 300),
        ("OpenAI/Python 3.54.0", "openai-python", 600, 120),
        ("AsyncOpenAI/Python 3.54.0", "openai-python", 600, 120),
        ("Anthropic/Python 2.12.0", "anthropic-python", 600, 300),
        ("AsyncAnthropic/Python 2.12.0", "anthropic-python", 600, 300),
        ("node", "unknown", 60, 60),
        ("", "unknown", 60, 60),
    ],
)
def test_profiles(user_agent: str, name: str, gives_up_s: float, silence_s: float) -> None:
    """The profile is the client's, and lies below the timeouts that clients.md lists for it."""
    profile = profile_of(user_agent)
    assert profile.name == name
    assert profile.longest_wait_s < gives_up_s
    assert profile.keepalive_s < silence_s


@pytest.mark.parametrize("user_agent", ["my-tool (like claude-cli/2)", "x" * 100_000, "\ud800"])
def test_odd_agents_are_unknown(user_agent: str) -> None:
    """A name somewhere in the text is no profile: it gets the shortest wait."""
    assert profile_of(user_agent).name == "unknown"

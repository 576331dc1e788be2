"""How long each client can be kept waiting, and how often it must hear something.

Measured or read in the clients' sources; a profile is picked by the User-Agent. The *form* of a
keep-alive is the codec's business (`ResponseGate.keepalive`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClientProfile:
    name: str
    keepalive_s: float
    longest_wait_s: float  # below the client's own timeout for a whole answer


_PROFILES: tuple[tuple[str, ClientProfile], ...] = (
    # Gemini CLI gives up when headers take 60 s.
    ("geminicli", ClientProfile("gemini-cli", 5.0, 45.0)),
    # Claude Code: 600 s an answer, 180 s without a byte.
    ("claude-cli", ClientProfile("claude-code", 10.0, 540.0)),
    # Codex: 300 s without a parsed event.
    ("codex", ClientProfile("codex", 10.0, 540.0)),
    # The SDKs read for 600 s; LangChain wraps them and gives up after 120 s without a parsed chunk.
    ("openai/python", ClientProfile("openai-python", 5.0, 540.0)),
    ("asyncopenai/python", ClientProfile("openai-python", 5.0, 540.0)),
    ("anthropic/python", ClientProfile("anthropic-python", 5.0, 540.0)),
    ("asyncanthropic/python", ClientProfile("anthropic-python", 5.0, 540.0)),
)
_UNKNOWN = ClientProfile("unknown", 5.0, 50.0)


def profile_of(user_agent: str) -> ClientProfile:
    """Returns the profile of the client with this User-Agent."""
    agent = user_agent.lower()
    return next((p for start, p in _PROFILES if agent.startswith(start)), _UNKNOWN)

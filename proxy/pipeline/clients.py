"""How long each client can be kept waiting, and how often it must hear something.

Measured or read in the clients' sources; a profile is picked by the User-Agent. Rules may say otherwise (`waiting:`), and for what a
rule holds (`wait:` under `approvals:`). The *form* of a keep-alive is the codec's business (`ResponseGate.keepalive`): it sends what
every client of its API takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from proxy.model import Hold
from proxy.policy.answers import Waiting
from proxy.settings import Settings


@dataclass(frozen=True, slots=True)
class ClientProfile:
    name: str
    keepalive_s: float
    longest_wait_s: float  # below the client's own timeout for a whole answer
    wait_s: float | None = None  # as rules say for this client
    keepalive_is_stated: bool = False  # by rules: the run's own interval is not asked

    def wait_s_for(self, hold: Hold, settings: Settings) -> float:
        """Returns how long this client is kept for a hold: as its rules say, else the client's, else the run's."""
        stated = [ask.wait_ms / 1000 for ask in hold.asks if ask.wait_ms is not None]
        usual = settings.hold_wait_s if self.wait_s is None else self.wait_s
        return min(min(stated, default=usual), self.longest_wait_s)

    def keepalive_s_for(self, settings: Settings) -> float:
        """Returns how often this client hears something."""
        if self.keepalive_is_stated:
            return self.keepalive_s
        return min(self.keepalive_s, settings.keepalive_s)


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


def profile_of(user_agent: str, waiting: Sequence[Waiting] = ()) -> ClientProfile:
    """Returns the profile of the client with this User-Agent; `waiting` are the rules' own."""
    agent = user_agent.lower()
    profile = next((p for start, p in _PROFILES if agent.startswith(start)), _UNKNOWN)
    stated = next((one for one in waiting if one.is_for(user_agent)), None)
    if stated is None:
        return profile
    if stated.wait_s is not None:
        profile = replace(profile, wait_s=stated.wait_s, longest_wait_s=stated.wait_s)
    if stated.keepalive_s is not None:
        profile = replace(profile, keepalive_s=stated.keepalive_s, keepalive_is_stated=True)
    return profile

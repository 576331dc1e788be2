"""Who is asking: from what a connection, its headers and its body claim to one `Identity`.

What belongs here: the order of sources (most trusted first) and the vendors' session headers. Pure:
everything looked up (a credential's digest, a response id seen before) comes in as a value.

Two questions are answered apart. *Agent*: a minted credential, else the digest of the API key it
presents, else the address it comes from; nothing the agent can freely choose, so that a changed
header never resets an agent's budget. *Session*: the credential's, else what the agent says of
itself, else the session in which the provider's own id was given out, else a digest of how the
conversation opens.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from proxy.model import Identity, Trust

SESSION_HEADERS = (
    "x-checkrein-session",
    "x-claude-code-session-id",  # Claude Code
    "session-id",  # Codex
    "session_id",  # Codex, older
    "thread-id",  # Codex
    "x-opencode-session-id",  # OpenCode
    "x-session-id",  # OpenCode
    "mcp-session-id",  # MCP SDKs
)
PARENT_HEADERS = (
    "x-codex-parent-thread-id",
    "x-opencode-parent-session-id",
    "x-parent-session-id",
)
BODY_HINTS = ("session_id", "conversation", "prompt_cache_key", "user_id")
"""Names a request body may carry for its session, strongest first."""

_KEY_HEADERS = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_PRINTABLE = re.compile(r"[\x21-\x7e]{1,128}")
_SIGV4 = re.compile(r"\s*AWS4-[A-Z0-9-]+\s.*?Credential=([^/\s,]+)/", re.IGNORECASE)
_SCHEME = re.compile(r"bearer(?:[ \t]+|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Claims:
    """All that one request says about who sent it."""

    headers: Mapping[str, str] = field(default_factory=dict)  # lower-case names
    query_keys: tuple[str, ...] = ()  # API keys in the query (Gemini's `?key=`)
    peer: str = "unknown"  # the client's address, without the port
    credential: tuple[str, str] | None = None  # (session, agent) of a verified credential
    human: str | None = None  # who started the run, as its credential says
    hints: Mapping[str, str] = field(default_factory=dict)  # from the body (ParsedRequest.hints)
    linked_session: str | None = None  # where a previous_response_id was given out
    opening: str = ""  # how the conversation opens
    key_is_checked: bool = True  # a model API refuses a made-up key; any other API may not look


def identify(claims: Claims) -> Identity:
    """Returns the identity a request is judged under."""
    agent, agent_trust = _agent(claims)
    session, session_trust = _session(claims, agent)
    parent = next((_name(claims.headers[h]) for h in PARENT_HEADERS if h in claims.headers), None)
    if claims.credential is not None:
        parent = None  # a run's sub-agents are in the run; a header must not move it elsewhere
    return Identity(
        session=session,
        agent=agent,
        session_trust=session_trust,
        agent_trust=agent_trust,
        human=claims.human if claims.credential is not None else None,
        parent=parent,
    )


def _agent(claims: Claims) -> tuple[str, Trust]:
    if claims.credential is not None:
        return claims.credential[1], Trust.CREDENTIAL
    keys = {_key(claims.headers[header]) for header in _KEY_HEADERS if header in claims.headers}
    keys.update(key.strip() for key in claims.query_keys)
    keys.discard("")
    # Of two keys only one is looked at upstream; the other would be a name of the agent's choice.
    if claims.key_is_checked and len(keys) == 1:
        return "key:" + _short(keys.pop(), 12), Trust.API_KEY
    return "peer:" + claims.peer, Trust.PEER


def _session(claims: Claims, agent: str) -> tuple[str, Trust]:
    if claims.credential is not None:
        return claims.credential[0], Trust.CREDENTIAL
    for header in SESSION_HEADERS:
        if value := claims.headers.get(header):
            return _name(value), Trust.CLAIMED
    if claims.linked_session is not None:
        return claims.linked_session, Trust.CONTENT
    for hint in BODY_HINTS:
        if value := claims.hints.get(hint):
            return _name(value), Trust.CLAIMED
    if match := _TRACEPARENT.fullmatch(claims.headers.get("traceparent", "")):
        return "trace:" + match[1], Trust.CLAIMED
    if claims.opening:
        return "opening:" + _short(agent + "\0" + claims.opening, 16), Trust.CONTENT
    return "agent:" + agent, Trust.PEER


def _key(header: str) -> str:
    """The key in a header, however its scheme is written: another spelling is no other agent.

    An AWS signature is another one each time; the access key in it is who signs.
    """
    if signed := _SIGV4.match(header):
        return signed[1]
    return _SCHEME.sub("", header.strip(), count=1).strip()


def _name(value: str) -> str:
    """A claimed name as it is if it is harmless in a log line, else its digest."""
    return value if _PRINTABLE.fullmatch(value) else "digest:" + _short(value, 16)


def _short(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]

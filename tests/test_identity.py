"""Who is asking: the most trusted source wins, and no spelling makes a new agent."""

from __future__ import annotations

import itertools

import pytest

from proxy.identity import SESSION_HEADERS, Claims, identify
from proxy.model import Trust

RUN = ("run-1", "agent-1")


@pytest.mark.parametrize(
    ("claims", "session", "trust"),
    [
        pytest.param(
            Claims({"x-checkrein-session": "mine"}, credential=RUN),
            "run-1",
            Trust.CREDENTIAL,
            id="a-header-does-not-change-a-credentials-session",
        ),
        pytest.param(
            Claims({"x-checkrein-session": "a"}, hints={"conversation": "b"}, linked_session="c"),
            "a",
            Trust.CLAIMED,
            id="header-before-link-and-body",
        ),
        pytest.param(
            Claims(hints={"conversation": "b"}, linked_session="c"), "c", Trust.CONTENT, id="link"
        ),
        pytest.param(
            Claims(hints={"user_id": "u", "session_id": "s"}), "s", Trust.CLAIMED, id="body"
        ),
        pytest.param(
            Claims({"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}),
            "trace:" + "a" * 32,
            Trust.CLAIMED,
            id="traceparent",
        ),
        pytest.param(
            Claims({"traceparent": "00-zz"}), "agent:peer:unknown", Trust.PEER, id="no-traceparent"
        ),
        pytest.param(Claims(), "agent:peer:unknown", Trust.PEER, id="nothing"),
    ],
)
def test_session_sources(claims: Claims, session: str, trust: Trust) -> None:
    """The order of sources is the order of trust."""
    identity = identify(claims)
    assert (identity.session, identity.session_trust) == (session, trust)


@pytest.mark.parametrize("header", SESSION_HEADERS)
def test_every_vendors_header_is_read(header: str) -> None:
    """Each header that clients.md lists names the session."""
    assert identify(Claims({header: "s-1"})).session == "s-1"


@pytest.mark.parametrize(
    "name",
    ["a\nb", "a\n", "\na", "a b", "a\x1b[2J", "ü", "\ud800", "x" * 129, "a\x00"],
    ids=[
        "newline",
        "last-newline",
        "first-newline",
        "space",
        "escape",
        "umlaut",
        "surrogate",
        "long",
        "nul",
    ],
)
def test_a_name_unfit_for_a_log_line_is_a_digest(name: str) -> None:
    """What could forge a line or a terminal is shown as a digest, each name another one."""
    made = identify(Claims(hints={"session_id": name})).session
    assert made.startswith("digest:")
    assert made.isprintable()
    assert made != identify(Claims(hints={"session_id": name + "x"})).session


@pytest.mark.parametrize(
    "value",
    ["Bearer k1", "bearer k1", "BEARER k1", "BeArEr  k1", " Bearer k1 ", "Bearer\tk1", "k1"],
)
def test_another_spelling_is_no_other_agent(value: str) -> None:
    """A key is one agent, however its scheme is written."""
    usual = identify(Claims({"authorization": "Bearer k1"}))
    assert identify(Claims({"authorization": value})).agent == usual.agent
    assert usual.agent_trust is Trust.API_KEY


@pytest.mark.parametrize(
    ("claims", "agent", "trust"),
    [
        pytest.param(
            Claims({"authorization": "Bearer k"}, credential=RUN),
            "agent-1",
            Trust.CREDENTIAL,
            id="credential-before-key",
        ),
        pytest.param(
            Claims({"authorization": "Bearer made-up", "x-api-key": "true"}, peer="p"),
            "peer:p",
            Trust.PEER,
            id="two-keys-name-nobody",
        ),
        pytest.param(
            Claims({"authorization": "Bearer k"}, peer="p", key_is_checked=False),
            "peer:p",
            Trust.PEER,
            id="a-key-nobody-checks",
        ),
        pytest.param(
            Claims({"authorization": "Bearer "}, peer="p"), "peer:p", Trust.PEER, id="empty"
        ),
    ],
)
def test_agent_sources(claims: Claims, agent: str, trust: Trust) -> None:
    """Only what the agent cannot choose freely names it."""
    identity = identify(claims)
    assert (identity.agent, identity.agent_trust) == (agent, trust)


def test_nothing_an_agent_claims_changes_the_agent() -> None:
    """Every header and hint of its choice leaves the agent's name as it is."""
    base = {"authorization": "Bearer k"}
    claimed = [{h: "x"} for h in (*SESSION_HEADERS, "x-parent-session-id", "traceparent")]
    agents = {
        identify(Claims({**base, **one, **two}, hints={"user_id": "y"}, opening="z")).agent
        for one, two in itertools.combinations(claimed, 2)
    }
    assert agents == {identify(Claims(base)).agent}


def test_openings_of_two_agents_are_two_sessions() -> None:
    """Equal prompts of different agents do not share a session."""
    one, two = (
        identify(Claims({"x-api-key": key}, opening="You are a helpful assistant"))
        for key in ("k1", "k2")
    )
    assert one.session != two.session

"""The words of the design as values: calls, effects, verdicts, reasons, budgets' states.

What belongs here: immutable values that more than one room speaks of. Nothing here decides
anything, touches a socket, a clock or a file. Times are integers, milliseconds since the epoch in
UTC (`*_ms`); amounts are `Decimal`, never floats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any

type Json = Any
"""A JSON value as Python holds it. Numbers with a fraction are `Decimal` in call arguments."""


SHADOW = "shadow:"
"""Stands before the kind of an effect that only rule files in shadow know of, and before the name of
what a signal in shadow would have set in force. No rule file can write it: no name or kind has a colon.
"""


class Side(StrEnum):
    """From where a call was seen."""

    MODEL = "model"
    MCP = "mcp"
    HTTP = "http"


class Speaker(StrEnum):
    """Who said a text that a session has met."""

    USER = "user"
    SYSTEM = "system"
    RESULT = "result"  # a tool's


class Verdict(IntEnum):
    """What happens to a call; the strictest of several wins, so they are ordered."""

    ALLOW = 0
    HOLD = 1
    BLOCK = 2

    @property
    def label(self) -> str:
        return self.name.lower()


class Trust(IntEnum):
    """How much an identity is worth, least first."""

    CONTENT = 0  # a digest of the conversation's opening
    PEER = 1  # only the address it came from
    CLAIMED = 2  # what the agent says of itself: headers, body fields
    API_KEY = 3  # the digest of the key it presents upstream
    LISTENER = 4
    MTLS = 5
    CREDENTIAL = 6  # minted by `checkrein exec`

    @property
    def label(self) -> str:
        return self.name.lower().replace("_", "-")


class Reversibility(StrEnum):
    REVERSIBLE = "reversible"
    COMPENSABLE = "compensable"
    IRREVERSIBLE = "irreversible"


def derived_id(name: str, args_sha256: str) -> str:
    """Returns the id that stands for a call without one: its result is found by name and arguments.

    Equal calls share it; the n-th result in a history is then the n-th call's.
    """
    return f"{name}:{args_sha256[:16]}"


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call as one side shows it.

    `arguments` is the parsed value: an object for functions, a `str` for free-text (custom) tools,
    the vendor's own object for built-in tools (`action`, `operation`). It is `None` and `fault`
    says why when the bytes have no single reading: such a call is refused, never guessed at.
    """

    id: str | None  # as on the wire; None where the wire has none (legacy function_call)
    name: str
    arguments: Json
    provider: str  # "openai.chat", "openai.responses", "anthropic.messages", "http"
    args_sha256: str = ""  # over the arguments' canonical JSON (RFC 8785)
    side: Side = Side.MODEL
    kind: str = "function"  # function, legacy_function, custom, shell_call, mcp_call, http …
    response_id: str | None = None  # the answer that asked for it, where the provider names one
    executor: str = "client"  # "provider": a server-side tool; seen and logged, cannot be held
    namespace: str | None = None  # MCP server label and the like
    fault: str | None = None
    id_is_derived: bool = False  # the wire has none: `id` is `derived_id`
    confidence: Decimal | None = None  # the model's own, 0 to 1, where the answer has logprobs


@dataclass(frozen=True, slots=True)
class ToolResult:
    """One tool result found in a request's history, in order of appearance."""

    call_id: str | None
    name: str | None
    text: str  # what the model will read, all text parts joined
    is_error: bool = False
    args_sha256: str | None = None  # of the call it answers, where the history shows that call


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """One tool the request offers to the model; `digest` covers name, description and schema."""

    name: str
    digest: str
    document: Mapping[str, Json] | None = field(default=None, compare=False, repr=False)
    """As on the wire; the digest stands for it wherever definitions are compared."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a call does to the world."""

    kind: str
    reversibility: Reversibility = Reversibility.REVERSIBLE
    amount: Decimal | None = None
    unit: str | None = None
    target: str | None = None
    points: Decimal = Decimal(0)
    labels: tuple[str, ...] = ()
    rule: str = (
        ""  # "pack/tool-name#index": finds the `settle` expressions again, after a restart too
    )


@dataclass(frozen=True, slots=True)
class Source:
    """One place that text came from: a message, a tool's result, or a labelled span of one."""

    speaker: Speaker
    tool: str | None = None  # results: the tool's name
    call_key: str | None = None  # results: the ledger's key of the call
    kinds: tuple[str, ...] = ()  # results: the effect kinds of the call that brought it
    trusted: bool = False  # results: as the rules say; what user and system say is always
    labels: tuple[str, ...] = ()  # data classes: "secret.key", "pii.email", "instructions" …
    at_ms: int = 0  # when it was observed
    id: int = 0  # the ledger's


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the parts of a value came from, all parts taken together."""

    user: bool = False
    system: bool = False
    result: bool = False
    trusted: bool = False  # some part is known from a trusted result
    untrusted: bool = False  # some part of note is known from untrusted results alone
    model: bool = False  # some part of note has no known origin
    tools: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a verdict is what it is; `rule` is what the operator greps for."""

    rule: str
    text: str
    verdict: Verdict
    file: str | None = None
    line: int | None = None
    shadow: bool = False  # its rule is in shadow: told and logged, it stops nothing


class Measure(StrEnum):
    COUNT = "count"
    SUM = "sum"
    DISTINCT = "distinct"


@dataclass(frozen=True, slots=True)
class Charge:
    """What one effect costs one budget: the ledger's unit of account.

    `scope` is the full key of who pays ("session:…", "agent:…", "call"); `amount` is what is added
    (1 for counts); `member` is what a distinct budget counts.
    """

    budget: str
    scope: str
    measure: Measure
    amount: Decimal
    limit: Decimal
    on_exceed: Verdict
    unit: str | None = None
    member: str | None = None
    window_ms: int | None = None  # None: for the whole life of the scope
    warn_at: Decimal | None = None  # a share of the limit, 0 < x <= 1
    file: str | None = None
    line: int | None = None
    shadow: bool = False  # it is counted, and stops nothing


@dataclass(frozen=True, slots=True)
class BudgetState:
    """A budget before and after one call, as decided and logged."""

    name: str
    scope: str
    before: Decimal
    after: Decimal
    limit: Decimal
    on_exceed: Verdict
    unit: str | None = None
    warned: bool = False  # this call crossed warn_at
    file: str | None = None
    line: int | None = None
    shadow: bool = False  # it stops nothing

    @property
    def exceeded(self) -> bool:
        return self.after > self.limit


@dataclass(frozen=True, slots=True)
class ChargedEffect:
    """An effect with all it costs; a call is reserved as a whole or not at all."""

    effect: Effect
    charges: tuple[Charge, ...] = ()


@dataclass(frozen=True, slots=True)
class Settlement:
    """What an observed result says of one effect. `ok` None: the result does not say."""

    ok: bool | None
    amount: Decimal | None = None
    fault: str | None = None  # an expression failed: commit what was reserved, and say so


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is asking: the session, the agent, the human behind it, and how much each is worth."""

    session: str
    agent: str
    session_trust: Trust
    agent_trust: Trust
    human: str | None = None
    parent: str | None = None  # the session that started this one
    ancestors: tuple[str, ...] = ()  # the ledger's word: its parent, that one's parent, … the root


@dataclass(frozen=True, slots=True)
class HttpCall:
    """One HTTP request to a tool API, as route rules see it."""

    method: str
    host: str
    path: str  # percent-decoded, without the query
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Sequence[tuple[str, str]] = ()
    body: Json = None  # parsed JSON or form; None when there is none


class HoldState(StrEnum):
    """Where a hold is in its life; `proxy/holds.py` has the transitions."""

    PENDING = "pending"
    APPROVED = "approved"  # by a human; waits for its call to be made (again)
    USED = "used"  # the approved call was let through, once
    DENIED = "denied"
    EXPIRED = "expired"
    ABANDONED = "abandoned"  # the client went away while it waited, and did not come back
    SUPERSEDED = (
        "superseded"  # the rules say something else of its call now: another hold stands for it
    )


@dataclass(frozen=True, slots=True)
class Ask:
    """What one rule asks of the answer to a hold; `proxy/approval.py` says when it is met."""

    rule: str
    by: tuple[str, ...] = ()  # groups, or people, one of which must answer; empty: whoever may
    approvals: int = 1  # by how many different people
    escalate_to: tuple[str, ...] = ()  # who may answer, too, when nobody has for a while
    escalate_after_ms: int | None = None
    wait_ms: int | None = (
        None  # how long the client's connection is kept, instead of the run's time
    )
    any_session: bool = False  # the agent may make the call in a new session


@dataclass(frozen=True, slots=True)
class Consent:
    """One person's yes to a hold."""

    by: str
    at_ms: int
    groups: tuple[str, ...] = ()  # that they were in when they said it
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """A call waiting for a human. It binds to session, agent, tool name and argument digest."""

    id: str
    state: HoldState
    session: str
    agent: str
    name: str
    args_sha256: str
    provider: str
    side: Side
    call_id: str | None
    arguments: Json  # redacted, for the approver's eyes
    reasons: tuple[Reason, ...]
    budgets: tuple[BudgetState, ...]
    effects: tuple[Effect, ...]
    rules_digest: str  # the rule-set version it was judged by
    created_at_ms: int
    expires_at_ms: int  # pending: when it is denied; approved: when the approval lapses
    decided_at_ms: int | None = None
    decided_by: str | None = None
    reason: str | None = None  # the human's words
    namespace: str | None = None  # the call's: a tool of this name on another server is another
    human: str | None = None  # for whom the agent works, where that is known
    asks: tuple[Ask, ...] = ()  # what the rules that hold it ask of an answer
    consents: tuple[Consent, ...] = ()  # so far; the last one that was needed approves it
    asked: Json = None  # what was looked up of the session's past, as in its decision record
    superseded_by: str | None = None  # the id of the hold that stands for its call now


class GrantKind(StrEnum):
    CALLS = "calls"  # calls like one that was held
    TOP_UP = "top-up"  # more of a budget


@dataclass(frozen=True, slots=True)
class Grant:
    """What a human allows beyond one call, for a while; `proxy/grants.py` says what it covers."""

    id: str
    kind: GrantKind
    scope: str  # who may use it: "session:…" or "agent:…"; of a top-up the account: also "human:…", "fleet"
    by: str
    created_at_ms: int
    expires_at_ms: int
    hold: str  # that it was given on
    rules: tuple[str, ...] = ()  # that it answers: those that the human was shown
    reason: str | None = None  # the human's words
    tool: str | None = None
    namespace: str | None = None
    side: Side | None = None
    kinds: tuple[str, ...] = ()  # of effects that such a call may have
    target: str | None = None  # that each of them has; None: any
    amount: Decimal | None = None  # at most, of each effect; None: any
    unit: str | None = None
    budget: str | None = None
    extra: Decimal | None = None  # of a top-up: how much more
    uses: int = 0
    revoked_at_ms: int | None = None
    revoked_by: str | None = None


class EntryState(StrEnum):
    RESERVED = "reserved"
    COMMITTED = "committed"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Entry:
    """One effect of one call in the ledger."""

    id: str
    session: str
    agent: str
    call_key: str  # the decision it belongs to
    call_id: str | None
    name: str
    args_sha256: str
    side: Side
    effect: Effect
    state: EntryState
    reserved_at_ms: int
    settle_by_ms: int
    settled_at_ms: int | None = None
    bound_by: str | None = None  # the call_key on the other side that is the same action

"""Bringing a call to where it is judged: out of the blue, after a recorded session, in a case, in a decision log.

What belongs here: for each of these, a rehearsal that has come to the moment before the call, and the call. How it works: the
steps are played as they always are, and the rehearsal halts at the call that is asked for, before it is judged. Nothing
of the call's own is in the ledger then, so that it can be judged as often as wanted (`trial.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from proxy.canonical import digest
from proxy.explain.given import Given
from proxy.explain.listening import ListeningRules
from proxy.explain.trial import Asking
from proxy.model import Call, Effect, HttpCall, Json, Side
from proxy.rehearsal.conversation import Conversation, Judged
from proxy.rehearsal.rehearsal import Rehearsal


class _ReachedError(Exception):
    """The call that is asked for is the next to be judged."""

    def __init__(self, asking: Asking) -> None:
        super().__init__()
        self.asking = asking


class HaltingRehearsal(Rehearsal):
    """A rehearsal that can be told to stop before a call is judged."""

    calls_left: int | None = None  # until it halts; None: it does not

    def decide(
        self,
        conversation: Conversation,
        call: Call,
        key: str,
        http: HttpCall | None = None,
        *,
        costs: Sequence[Effect] | None = None,
    ) -> Judged:
        if self.calls_left is not None:
            if self.calls_left == 0:
                self.calls_left = None
                raise _ReachedError(Asking(call, conversation.identity, http, costs))
            self.calls_left -= 1
        return super().decide(conversation, call, key, http, costs=costs)

    def halted(self, play: Callable[[], object], calls: int) -> Asking | None:
        """Plays until the call that comes after so many others; None where there is no such call."""
        self.calls_left = calls
        try:
            play()
        except _ReachedError as reached:
            return reached.asking
        finally:
            self.calls_left = None
        return None


@dataclass(frozen=True, slots=True)
class Logged:
    """What a decision log says of the call."""

    record: Mapping[str, Json]
    replayed: int  # records before it that were played
    alone: bool = False  # nothing before it was given


@dataclass(frozen=True, slots=True)
class Scene:
    """The moment before a call."""

    rehearsal: HaltingRehearsal
    rules: ListeningRules
    asking: Asking
    where: str = ""  # in words, where it is not out of the blue
    logged: Logged | None = None
    unrouted: bool = False  # a request that no route names


def scene_of_call(rules: ListeningRules, given: Given, *, said: Sequence[str] = ()) -> Scene:
    """A call in a session that has none before it; `said` is what the user has said."""
    rehearsal = HaltingRehearsal(rules)
    conversation = rehearsal.session()
    for text in said:
        conversation.user(text)
    return scene_with(rehearsal, rules, conversation, given, "")


def scene_with(
    rehearsal: HaltingRehearsal,
    rules: ListeningRules,
    conversation: Conversation,
    given: Given,
    where: str,
) -> Scene:
    rehearsal.step()
    identity = conversation.identity
    if given.call is not None:
        call = given.call
        if call.id is None and call.side is Side.MODEL:
            call = replace(call, id=f"call_{rehearsal.number()}")
        return Scene(rehearsal, rules, Asking(call, identity), where)
    http = given.http or HttpCall("GET", "", "/")
    arguments: Json = {"path": http.path, "query": dict(http.query), "body": http.body}
    name = rules.route_name(http.method, http.host, http.path)
    call = Call(
        id=None,
        name=name or f"{http.method} {http.host}{http.path}",
        arguments=arguments,
        provider="http",
        args_sha256=digest(arguments),
        side=Side.HTTP,
        kind="http",
    )
    unrouted = not rules.is_call(http)
    return Scene(rehearsal, rules, Asking(call, identity, http), where, unrouted=unrouted)

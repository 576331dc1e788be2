"""The moment before a call of a recorded session: it is played as `rules replay` plays it."""

from __future__ import annotations

from pathlib import Path

from proxy.errors import ConfigurationError
from proxy.explain.given import Given
from proxy.explain.lines import read_lines
from proxy.explain.listening import ListeningRules
from proxy.explain.scene import HaltingRehearsal, Scene, scene_with
from proxy.rehearsal.conversation import Conversation
from proxy.rehearsal.recorded import RecordedSession, RecordingError, read_session
from proxy.rehearsal.sessions import rehearse_session


def scene_of_session(
    rules: ListeningRules, path: Path, name: str | None, number: int | None, given: Given | None
) -> Scene:
    """The moment before a call of a recorded session.

    Args:
        rules: the rules.
        path: the file, a session a line.
        name: the session's; None: the file's only one.
        number: which call, from 1; None: the last.
        given: another call, to be explained after that one (by default after all).

    Raises:
        ConfigurationError: there is no such session or call.
    """
    session = _session(path, name)
    total = sum(len(turn.calls) for turn in session.turns)
    if number is not None and not 1 <= number <= total:
        raise ConfigurationError(f"{path}: session '{session.id}' has {total} calls, no {number}")
    rehearsal = HaltingRehearsal(rules)
    if given is None:
        if total == 0:
            raise ConfigurationError(f"{path}: session '{session.id}' has no call")
        calls = (number or total) - 1
        asking = rehearsal.halted(lambda: rehearse_session(rehearsal, session), calls)
        if asking is None:
            raise ConfigurationError(f"{path}: session '{session.id}' is refused before that call")
        return Scene(rehearsal, rules, asking, f"{path}: session '{session.id}', call {calls + 1}")
    after = number or total
    reached = rehearsal.halted(lambda: rehearse_session(rehearsal, session), after)
    conversation = (
        Conversation(rehearsal, reached.identity)
        if reached is not None
        else rehearsal.session(session.id, agent="replay")
    )
    where = f"{path}: session '{session.id}', after call {after}"
    return scene_with(rehearsal, rules, conversation, given, where)


def _session(path: Path, name: str | None) -> RecordedSession:
    found: list[RecordedSession] = []
    names: list[str] = []
    for where, value in read_lines(path):
        try:
            session = read_session(value, where)
        except RecordingError as error:
            raise ConfigurationError(str(error)) from error
        names.append(session.id)
        if name in (None, session.id):
            found.append(session)
        if len(found) > 1 and name is None:
            raise ConfigurationError(f"{path}: several sessions; name one with --session")
    if not found:
        known = f"; there is {', '.join(names[:5])}" if names else ""
        raise ConfigurationError(
            f"{path}: no session '{name}'{known}" if name else f"{path}: empty"
        )
    return found[-1]

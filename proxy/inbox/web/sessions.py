"""Who is signed in: sessions in memory, known by a random id that only the browser and its cookie have.

What belongs here: making, finding and ending sessions; `now_ms` comes in. The id is 256 random bits, and only its digest is kept, so that a
dump of memory lets nobody in. A session ends after half an hour without a request, after twelve hours in any case, and when the proxy does.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from proxy.approval import Approver
from proxy.model import Json
from proxy.people.people import People

IDLE_MS = 30 * 60_000
LONGEST_MS = 12 * 3_600_000
_MOST = 10_000


@dataclass(slots=True)
class Session:
    """One signed-in browser.

    `proof` is what its password was held against, `claims` what an identity provider said: each is looked at again at every request, so that
    an edit of the people file counts at once.
    """

    name: str
    csrf: str
    began_ms: int
    seen_ms: int
    proof: str | None = None
    claims: Mapping[str, Json] | None = None

    def person_in(self, people: People) -> Approver | None:
        """Returns who this is, as the people file says now."""
        if self.claims is not None:
            issuer = people.oidc.issuer if people.oidc is not None else None
            return people.by_claims(self.claims) if self.claims.get("iss") == issuer else None
        return people.approver(self.name) if people.proof_of(self.name) == self.proof else None


class Sessions:
    """All that are signed in."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, Session] = OrderedDict()

    def begin(
        self,
        person: Approver,
        now_ms: int,
        *,
        proof: str | None = None,
        claims: Mapping[str, Json] | None = None,
    ) -> str:
        """Returns the id of a new session."""
        made = secrets.token_urlsafe(32)
        self._open[_digest(made)] = Session(
            person.name,
            secrets.token_urlsafe(32),
            now_ms,
            now_ms,
            proof,
            claims,
        )
        if len(self._open) > _MOST:
            self._open.popitem(last=False)
        return made

    def find(self, session_id: str, now_ms: int, *, in_use: bool = True) -> Session | None:
        """Returns a session that has not ended, and notes that somebody uses it; what a page asks by itself is no use."""
        name = _digest(session_id)
        session = self._open.get(name)
        if session is None:
            return None
        if now_ms - session.seen_ms > IDLE_MS or now_ms - session.began_ms > LONGEST_MS:
            del self._open[name]
            return None
        if in_use:
            session.seen_ms = now_ms
        return session

    def end(self, session_id: str) -> None:
        self._open.pop(_digest(session_id), None)


def _digest(session_id: str) -> str:
    return sha256(session_id.encode("utf-8", "surrogatepass")).hexdigest()

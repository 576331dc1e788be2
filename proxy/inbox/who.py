"""Who answers over the admin socket: the operator, or with a people file whoever has an API token of it.

Without a people file the file system says who may: the socket's mode is 0600, and the name is the one that is given. With one, a name proves
nothing: two names would be two people. Freezing needs no token: it is the kill switch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request

from proxy.approval import Approver, operator
from proxy.errors import HoldError

if TYPE_CHECKING:
    from proxy.people.current import CurrentPeople


class Unknown(HoldError):
    """Nobody that may answer: 401."""


def approver_of(request: Request, by: str | None, people: CurrentPeople | None) -> Approver:
    """Returns who answers; `by` is the name in the request.

    Raises:
        Unknown: a token is needed, or it is nobody's, or somebody else's than `by`.
    """
    if people is None or people.asks_nobody:
        return operator(by or "operator")
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unknown(
            "this proxy knows its people: an answer needs an API token; set CHECKREIN_TOKEN, or answer in the inbox"
        )
    person = people.people.by_token(token.strip())
    if person is None:
        raise Unknown("this API token is nobody's in the people file")
    if by is not None and by != person.name:
        raise Unknown(f"this API token is {person.name}'s, not {by}'s")
    return person

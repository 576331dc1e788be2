"""Links in messages: signed, for one use, and for a while.

What belongs here: making a link and opening it. How it works. A link says which hold it shows and to which notice it was sent, when it
ends, and a number of its own; all of it is signed with a key of the ledger's. Opening it leaves a row in the ledger, in the transaction of
whoever opens it, so that no second opening is possible, at whichever proxy and after whatever restart.

A link answers nothing and signs nobody in: it leads to a hold's page. Mail scanners and chat programs fetch links ahead of people; so whoever
serves it opens it only when somebody has signed in, and sends others to sign in first.
"""

from __future__ import annotations

import secrets
from hashlib import sha256

from itsdangerous import BadData, URLSafeSerializer

from proxy.errors import HoldError
from proxy.ledger.store import Transaction

LASTS_MS = 24 * 3_600_000
_MOST_CHARS = 1_000


class Links:
    """Makes links and opens them."""

    def __init__(self, key: bytes, url: str) -> None:
        """
        Args:
            key: the ledger's own (`tx.state_key("links")`).
            url: what links begin with.
        """
        self._url = url.rstrip("/")
        self._tokens = URLSafeSerializer(
            key, salt="checkrein notice link", signer_kwargs={"digest_method": sha256}
        )

    def make(self, hold_id: str, for_: str, now_ms: int) -> str:
        """Returns a link to a hold, for one notice."""
        said = [hold_id, for_, now_ms + LASTS_MS, secrets.token_urlsafe(12)]
        return f"{self._url}/l/{self._tokens.dumps(said)}"

    def open_in(self, tx: Transaction, token: str, now_ms: int) -> str:
        """Uses a link up; returns the hold's id.

        Raises:
            HoldError: it was not made here, has expired, or was used.
        """
        hold_id, ends_at_ms, number = self._read(token)
        if now_ms >= ends_at_ms:
            raise HoldError("this link has expired; `checkrein holds list` shows what waits")
        # What was signed and not the token: a token can be written in several ways.
        if not tx.use_link(sha256(f"{hold_id} {number}".encode()).hexdigest(), now_ms):
            raise HoldError("this link has been used; `checkrein holds list` shows what waits")
        return hold_id

    def _read(self, token: str) -> tuple[str, int, str]:
        try:
            if len(token) > _MOST_CHARS:
                raise BadData("too long")
            said = self._tokens.loads(token)
            if self._tokens.dumps(said) != token:
                raise BadData("written in another way")
            hold_id, _for, ends_at_ms, number = said
        except (BadData, ValueError, TypeError) as error:
            raise HoldError("this link was not made here") from error
        return hold_id, ends_at_ms, number

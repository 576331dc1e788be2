"""Which field names say that their value is a secret.

What belongs here: one question, answered by the words of a name however it is written
(`clientSecret`, `CLIENT_SECRET`, `x-client-secret`). A name *about* a secret (`secret_name`,
`max_tokens`, `password_policy`) is none: the approver needs to see which secret a call reads.
"""

from __future__ import annotations

import re
from functools import lru_cache

_MAX_NAME = 128  # longer is text, not a name; it is searched as text
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

_SECRET_WORDS = frozenset((
    "password", "passwd", "passwords", "pwd", "pw", "pass", "passphrase", "passcode", "secret",
    "secrets", "authorization", "cookie", "cookies", "credential", "credentials", "creds",
    "apikey", "jwt", "otp", "totp", "cvv", "cvc", "bearer", "pgpassword", "privatekey",
))  # fmt: skip
_KEY_OWNERS = frozenset((
    "api", "access", "private", "secret", "signing", "encryption", "account", "auth", "shared",
    "session", "master", "ssh", "service", "subscription", "license", "deploy", "storage", "x",
))  # fmt: skip
_NO_SECRET_TOKEN = frozenset((
    "max", "min", "page", "next", "previous", "prev", "continuation", "cursor", "sync", "stop",
    "start", "end", "eos", "bos", "pad", "num", "number", "count", "prompt", "completion",
    "input", "output", "total", "cached", "reasoning", "limit", "per",
))  # fmt: skip
_ABOUT = frozenset((
    "name", "names", "count", "type", "length", "policy", "path", "arn", "version", "expiry",
    "expires", "expiration", "ttl", "hint", "limit", "budget", "usage", "strength", "label",
    "rotation", "enabled", "required", "kind", "format", "size", "age", "created", "updated",
    "reset", "field", "fields", "manager", "url", "uri", "endpoint", "policies", "days",
))  # fmt: skip
# Written in one word, in the middle of longer names too ("userpassword", "myapikey1").
_JOINED = re.compile(
    r"password|passwd|passphrase|apikey|secretkey|accesskey|privatekey|signingkey|clientsecret"
    r"|authtoken|accesstoken|refreshtoken|sessiontoken|connectionstring"
)


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Tells whether a field of this name holds a secret."""
    if len(name) > _MAX_NAME:
        return False
    words: list[str] = [w.lower() for w in _WORD.findall(name)]
    if not words:
        return False
    while len(words) > 1 and words[-1].isdigit():
        words.pop()
    last = words[-1]
    if len(words) > 1 and last in _ABOUT:
        return False
    # Which one it is. Not so `secret_id`: that of a Vault AppRole is a secret.
    if last in ("id", "ids") and words[-2:-1] in (["credential"], ["credentials"]):
        return False
    if not _SECRET_WORDS.isdisjoint(words):
        return True
    if last in ("token", "tokens"):
        if len(words) == 1:
            return last == "token"
        return words[-2] not in _NO_SECRET_TOKEN
    if last in ("key", "keys", "keyid") and len(words) > 1 and words[-2] in _KEY_OWNERS:
        return True
    if last == "pin" or words[-2:] == ["pin", "code"]:
        return True
    if last == "auth" and len(words) <= 2:
        return True
    return _JOINED.search("".join(words)) is not None

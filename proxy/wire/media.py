"""The media type of an answer, as a gate is chosen by it.

What belongs here: the one reading of a Content-Type header. SDKs decode a body by the charset that
stands there (cohere's event reader takes any that Python knows, httpx the same), so that other bytes
would be text for them than for us: everything but UTF-8 is refused.
"""

from __future__ import annotations

from email.message import Message

from proxy.errors import WireError

_UTF8 = frozenset({"", "utf-8", "utf8", "us-ascii", "ascii"})


def media_type(content_type: str, what: str) -> str:
    """Returns the type in lower case, without parameters; "" where there is none.

    Raises:
        WireError: a charset other than UTF-8.
    """
    lowered = content_type.lower()
    if "charset" in lowered:
        message = Message()
        message["content-type"] = lowered
        named = [message.get_content_charset("")]
        # cohere takes the first `charset=` wherever it stands, httpx asks the email package.
        named += [
            part.partition("=")[2].strip(" \t\"'")
            for part in lowered.replace(",", ";").split(";")
            if "charset" in part
        ]
        if any(name not in _UTF8 for name in named):
            raise WireError(f"{what}: charset of {content_type!r} is not UTF-8")
    return lowered.partition(";")[0].strip()

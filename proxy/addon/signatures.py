"""Requests whose body is signed: what AWS SigV4 covers cannot be changed without the agent's keys.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
(read 2026-11): the signature covers the body's digest and the headers that it lists.
"""

from __future__ import annotations

from mitmproxy import http


def is_signed(request: http.Request) -> bool:
    """Whether changing the body, or a header that is signed, would make the upstream refuse it."""
    scheme = request.headers.get("authorization", "").strip().lower()
    return scheme.startswith("aws4-") or "x-amz-signature=" in request.path.lower()

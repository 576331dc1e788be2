"""How a refused exchange answers: in the API's own error shape, or as an RFC 9457 problem document.

`type` is a URN that never changes: `urn:checkrein:problem:` and `call-held`, `call-refused`, `unreadable`,
`unparsed` or `refused`. A program reads what to do next from `checkrein.retry`.
"""

from __future__ import annotations

from mitmproxy import http

from proxy.canonical import canonical_json
from proxy.model import HoldState, Verdict
from proxy.pipeline.decision import Decision
from proxy.pipeline.records import budget_record, reason_record
from proxy.pipeline.texts import refusal_text
from proxy.wire.codec import WireProtocol

_NO_RETRY = {"x-should-retry": "false"}  # honoured by the openai and anthropic SDKs

PROBLEM = "urn:checkrein:problem:"


def api_error(protocol: WireProtocol | None, status: int, text: str) -> http.Response:
    """Returns an error that this API's SDKs raise with the text."""
    if protocol is None:
        return problem(status, "checkrein refused this request", text)
    headers = {"content-type": "application/json", **_NO_RETRY}
    return http.Response.make(status, protocol.error_body(status, text), headers)


def problem(
    status: int, title: str, detail: str, *, kind: str = "refused", **more: object
) -> http.Response:
    """Returns a problem document (RFC 9457); `kind` ends the `type` that programs compare."""
    body = {"type": PROBLEM + kind, "title": title, "status": status, "detail": detail, **more}
    headers = {"content-type": "application/problem+json", **_NO_RETRY}
    return http.Response.make(status, canonical_json(body), headers)


def refused_call(decision: Decision) -> http.Response:
    """Returns the answer to a tool request that was not let through: 403, readable by a program."""
    hold = decision.hold
    pending = hold is not None and hold.state is HoldState.PENDING
    return problem(
        403,
        "The call waits for a human's approval" if pending else "The call was refused",
        refusal_text(decision, None),
        kind="call-held" if pending else "call-refused",
        checkrein={
            "verdict": (Verdict.HOLD if pending else Verdict.BLOCK).label,
            "hold": hold.id if hold is not None else None,
            "reasons": [reason_record(r) for r in decision.reasons],
            "budgets": [budget_record(b) for b in decision.budgets],
            # Exactly the same request passes once, when a human has said yes; else a retry is no use.
            "retry": "after-approval" if pending else "never",
        },
    )

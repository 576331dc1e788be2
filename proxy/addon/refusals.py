"""How a refused exchange answers: in the API's own error shape, or as an RFC 9457 problem document."""

from __future__ import annotations

from mitmproxy import http

from proxy.canonical import canonical_json
from proxy.model import HoldState, Verdict
from proxy.pipeline.decision import Decision
from proxy.pipeline.records import budget_record, reason_record
from proxy.pipeline.texts import refusal_text
from proxy.wire.codec import WireProtocol

_NO_RETRY = {"x-should-retry": "false"}  # honoured by the openai and anthropic SDKs


def api_error(protocol: WireProtocol | None, status: int, text: str) -> http.Response:
    """Returns an error that this API's SDKs raise with the text."""
    if protocol is None:
        return problem(status, "checkrein refused this request", text)
    headers = {"content-type": "application/json", **_NO_RETRY}
    return http.Response.make(status, protocol.error_body(status, text), headers)


def problem(status: int, title: str, detail: str, **more: object) -> http.Response:
    """Returns a problem document (RFC 9457)."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
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
        checkrein={
            "verdict": (Verdict.HOLD if pending else Verdict.BLOCK).label,
            "hold": hold.id if hold is not None else None,
            "reasons": [reason_record(r) for r in decision.reasons],
            "budgets": [budget_record(b) for b in decision.budgets],
        },
    )

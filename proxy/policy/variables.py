"""What expressions see of a call: its arguments, who asks, the request, the GraphQL field, the past.

What belongs here: the variables of one call by their names in rule files. Every name is always there, empty
where a call has no such thing, because a name that is missing is an error in CEL.
"""

from __future__ import annotations

from collections.abc import Iterable

from proxy.model import Call, HttpCall, Identity
from proxy.policy.cel import Variables
from proxy.policy.facts import Seen
from proxy.policy.graphql import RootField
from proxy.policy.routes import Match


def call_variables(
    call: Call, identity: Identity, http: HttpCall | None, match: Match | None, seen: Seen
) -> Variables:
    made: Variables = {
        "args": call.arguments,
        "tool": call.name,
        "server": call.namespace or "",
        "side": str(call.side),
        "provider": call.provider,
        "session": identity.session,
        "agent": identity.agent,
        "human": identity.human or "",
        "identity.session_trust": identity.session_trust.label,
        "identity.agent_trust": identity.agent_trust.label,
        "seen.kinds": list(seen.kinds),
        "seen.tools": list(seen.tools),
        "seen.labels": list(seen.labels),
        "seen.untrusted": seen.untrusted,
        "seen.calls": seen.calls,
        "user.text": seen.user_text,
        "body": {},
        "path": {},
        "query": {},
        "headers": {},
        "method": "",
        "host": "",
        **_NO_GRAPHQL,
    }
    if http is not None:
        body = {} if http.body is None else http.body
        made["args"] = made["body"] = body
        made["path"] = match.variables if match is not None else {}
        made["query"] = dict(http.query)
        made["headers"] = _headers(http.headers)
        made["method"] = http.method.upper()
        made["host"] = match.host if match is not None else http.host
    return made


_NO_GRAPHQL: Variables = {
    "graphql.operation": "",
    "graphql.type": "",
    "graphql.field": "",
    "graphql.fields": [],
    "graphql.args": {},
    "graphql.variables": {},
}


def field_variables(field: RootField, names: tuple[str, ...]) -> Variables:
    return {
        "graphql.operation": field.operation,
        "graphql.type": field.type,
        "graphql.field": field.name,
        "graphql.fields": list(names),
        "graphql.args": field.args,
        "graphql.variables": field.variables,
    }


def _headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Lower-case names; repeated ones joined as RFC 9110 section 5.3 joins them."""
    made: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        made[key] = f"{made[key]}, {value}" if key in made else value
    return made

"""The keys of `tools:`, `commands:` and `statements:`, with routes, effects and what results are worth.

What belongs here: each key's shape, type, default, meaning and an example.
"""

from __future__ import annotations

from proxy.policy import schema
from proxy.policy.editor_schema.key import Key, Part
from proxy.policy.editor_schema.shapes import (
    FIELD_PATH,
    HOST,
    LABELLED,
    METHOD_NAME,
    PATH,
    TEXT,
    Schema,
    any_of,
    by_name,
    list_of,
    matching,
    number,
    one_or_list,
    or_variable,
    ref,
    words,
)
from proxy.policy.labels.schema import FIELD, Returns, TrustBy
from proxy.policy.sql.schema import DIALECTS
from proxy.policy.sql.statement import TYPES

WAYS = ("name", "http", "shell", "sql", "fetch", "guess")
"""Keys of which a tool's entry has exactly one."""
_GLOBS = one_or_list(TEXT)
_GLOB_TYPE = "text, glob or list"
_EFFECTS = list_of(ref("effect"))
_A_EFFECT = "[{kind: money.refund, amount: args.amount, unit: EUR}]"


def _needs(*keys: str) -> Schema:
    return {"required": list(keys)}


def _only_with(key: str, *ways: str) -> Schema:
    """A key goes with some of the ways of naming tools alone."""
    return {"if": _needs(key), "then": {"anyOf": [_needs(way) for way in ways]}}


TOOL = Part(
    name="tool",
    title="A tool, or a request to a tool API, and its effects",
    model=schema.Tool,
    keys=(
        Key(
            "name",
            _GLOBS,
            _GLOB_TYPE,
            "",
            "The model's or MCP tool's name, case counts.",
            "refund_order",
        ),
        Key(
            "http",
            ref("http"),
            "mapping",
            "",
            "A request to a tool API.",
            "{method: POST, host: billing.internal, path: /v1/refunds}",
        ),
        Key(
            "shell",
            _GLOBS,
            _GLOB_TYPE,
            "",
            "A tool that runs a shell line; its effects come from `commands`.",
            "Bash",
        ),
        Key(
            "sql",
            _GLOBS,
            _GLOB_TYPE,
            "",
            "A tool that runs SQL; its effects come from `statements`.",
            "run_query",
        ),
        Key(
            "fetch",
            _GLOBS,
            _GLOB_TYPE,
            "",
            "A tool that makes any HTTP request; its effects read `req.*`.",
            "http_request",
        ),
        Key(
            "guess",
            _GLOBS,
            _GLOB_TYPE,
            "",
            "Tools that no entry names: what they do is read from their names and arguments.",
            '"*"',
        ),
        Key("argument", TEXT, "CEL", "required", "Of `shell` and `sql`: the text.", "args.command"),
        Key(
            "dialect",
            or_variable({"enum": list(DIALECTS)}),
            "name",
            "`any`",
            "Of `sql`: the database.",
            "postgres",
        ),
        Key("url", TEXT, "CEL", "`args.url`", "Of `fetch`: where it goes.", "args.url"),
        Key("method", TEXT, "CEL", "GET", "Of `fetch`: the request's method.", "args.method"),
        Key("body", TEXT, "CEL", "none", "Of `fetch`: the request's body.", "args.body"),
        Key("headers", TEXT, "CEL", "none", "Of `fetch`: the request's headers.", "args.headers"),
        Key(
            "undo",
            ref("undo"),
            "mapping",
            "none",
            "The call that makes good what a call of it did; for `sessions undo`.",
            "{tool: reopen_ticket, args: {id: args.id}}",
        ),
        Key(
            "returns",
            ref("returns"),
            "mapping",
            "by `trust`",
            "What its results are worth.",
            "{trust: trusted}",
        ),
        Key(
            "effects",
            _EFFECTS,
            "list",
            "required",
            "What a call does. `[]`: known and harmless. Not with `shell`, `sql` and `guess`.",
            _A_EFFECT,
        ),
    ),
    together={
        "oneOf": [_needs(way) for way in WAYS],
        "allOf": [
            _only_with("argument", "shell", "sql"),
            _only_with("dialect", "sql"),
            *(_only_with(key, "fetch") for key in ("url", "method", "body", "headers")),
            _only_with("effects", "name", "http", "fetch"),
            *({"if": _needs(way), "then": _needs("argument")} for way in ("shell", "sql")),
            *({"if": _needs(way), "then": _needs("effects")} for way in ("name", "http", "fetch")),
        ],
    },
    snippets={
        "a tool by its name": {
            "name": "${1:refund_order}",
            "effects": [
                {
                    "kind": "${2:money.refund}",
                    "amount": "${3:args.amount}",
                    "unit": "${4:EUR}",
                    "target": "${5:args.order_id}",
                    "reversibility": "${6|reversible,compensable,irreversible|}",
                }
            ],
        },
        "a harmless tool": {"name": "${1:get_order}", "effects": []},
        "a request to a tool API": {
            "http": {
                "method": "${1:POST}",
                "host": "${2:billing.internal}",
                "path": "${3:/v1/refunds/{id\\}}",
            },
            "effects": [{"kind": "${4:money.refund}", "target": "${5:path.id}"}],
        },
        "a tool that runs shell lines": {"shell": "${1:Bash}", "argument": "${2:args.command}"},
        "a tool that runs SQL": {
            "sql": "${1:query}",
            "argument": "${2:args.sql}",
            "dialect": "${3:any}",
        },
    },
)

HTTP = Part(
    name="http",
    title="A request to a tool API",
    model=schema.Http,
    required=("method", "host", "path"),
    keys=(
        Key(
            "method",
            one_or_list(METHOD_NAME),
            "text or list",
            "required",
            "`*` is any method.",
            "POST",
        ),
        Key(
            "host",
            one_or_list(HOST),
            _GLOB_TYPE,
            "required",
            "Without a port; a rule is for every port. The host connected to and the Host header both count.",
            "billing.internal",
        ),
        Key(
            "path",
            PATH,
            "template",
            "required",
            "Plain segments, or one `{name}` for a whole segment.",
            '"/v1/refunds/{id}"',
        ),
        Key(
            "query",
            by_name(one_or_list(TEXT), least=1),
            "mapping",
            "none",
            'Parameters that the query must have, with a value, a list of them, or `"*"` for any.',
            "{action: [refund, void]}",
        ),
        Key(
            "graphql",
            ref("graphql"),
            "mapping",
            "none",
            "What a GraphQL document must ask for.",
            "{operation: refundOrder, type: mutation}",
        ),
    ),
)

GRAPHQL = Part(
    name="graphql",
    title="What a GraphQL document must ask for",
    model=schema.Graphql,
    required=("operation",),
    keys=(
        Key(
            "operation",
            _GLOBS,
            "name, glob or list",
            "required",
            "Root fields by their own names; an operation's name and aliases match nothing.",
            "refundOrder",
        ),
        Key(
            "type",
            one_or_list(or_variable({"enum": ["query", "mutation", "subscription"]})),
            "`query`, `mutation`, `subscription` or a list",
            "all",
            "The kind of operation that the fields stand in.",
            "mutation",
        ),
    ),
)

EFFECT = Part(
    name="effect",
    title="An effect of a call",
    model=schema.EffectPart,
    required=("kind",),
    keys=(
        Key(
            "kind",
            ref("kind"),
            "dotted text",
            "required",
            "What it does, such as `money.refund`.",
            "money.refund",
        ),
        Key(
            "amount",
            TEXT | {"type": ["string", "number"], "minimum": 0},
            "CEL or number",
            "none",
            "How much of it; needs `unit` beside it.",
            "args.amount",
        ),
        Key(
            "unit",
            any_of(
                ref("unit"),
                {
                    "type": "object",
                    "properties": {"from": TEXT},
                    "required": ["from"],
                    "additionalProperties": False,
                },
            ),
            "text or `{from: CEL}`",
            "none",
            "ISO 4217 code, `tokens`, `bytes`, `rows`, `requests` or a name of yours.",
            "EUR",
        ),
        Key(
            "target",
            TEXT,
            "CEL",
            "none",
            "What is acted on; missing or empty holds the call.",
            "args.order_id",
        ),
        Key(
            "reversibility",
            words(
                ("reversible", "It can be undone."),
                ("compensable", "It can be made good, at a cost."),
                ("irreversible", "It cannot be undone."),
            ),
            "`reversible`, `compensable`, `irreversible`",
            "`reversible`",
            "Whether it can be undone; part of its price in points.",
            "irreversible",
        ),
        Key("points", number(minimum=0), "number", "from `prices`", "The price in autonomy.", "5"),
        Key(
            "labels",
            one_or_list(TEXT),
            "text or list",
            "none",
            "Labels of the data.",
            "customer-data",
        ),
        Key(
            "when",
            TEXT,
            "CEL",
            "true",
            "No effect where it is false; an error counts the effect and holds the call.",
            "args.amount > 0",
        ),
        Key("data", TEXT, "CEL", "all arguments", "The part that carries data along.", "args.body"),
        Key(
            "settle",
            ref("settle"),
            "mapping",
            "commit",
            "How the result settles what was reserved.",
            '{ok: "!result.is_error", amount: result.json.refunded}',
        ),
    ),
    together={
        "dependencies": {"amount": ["unit"], "unit": ["amount"]},
    },
    snippets={"an effect": {"kind": "${1:money.refund}", "target": "${2:args.order_id}"}},
)

SETTLE = Part(
    name="settle",
    title="How a result settles what was reserved",
    model=schema.Settle,
    keys=(
        Key(
            "ok",
            TEXT,
            "CEL",
            "true",
            "False gives the reservation back. An error commits.",
            '"!result.is_error"',
        ),
        Key(
            "amount", TEXT, "CEL", "the reserved amount", "The real amount.", "result.json.refunded"
        ),
    ),
)

RETURNS = Part(
    name="returns",
    title="What a tool's results are, and who could write them",
    model=Returns,
    keys=(
        Key(
            "trust",
            words(
                ("trusted", "Nobody outside could have written it."),
                ("untrusted", "Somebody outside could have written it."),
            ),
            "`trusted`, `untrusted`",
            "`untrusted`",
            "Whether somebody outside could have written it.",
            "trusted",
        ),
        Key(
            "labels",
            one_or_list(LABELLED, least=0),
            "label or list",
            "none",
            "Labels of the whole result.",
            "[customer-data]",
        ),
        Key(
            "fields",
            by_name(one_or_list(LABELLED, least=0)) | {"propertyNames": matching(FIELD)},
            "labels by field",
            "none",
            "Labels of fields: a dotted path; `*` is one step, `**` any number.",
            "{customer.email: pii.email}",
        ),
        Key(
            "untrusted_fields",
            one_or_list(FIELD_PATH, least=0),
            "field or list",
            "none",
            "Fields that a stranger can write, in a result that is otherwise trusted.",
            "[body]",
        ),
        Key(
            "trust_by",
            ref("trust_by"),
            "mapping",
            "none",
            "A field that says who wrote it decides.",
            '{field: from, own: "*@example.com"}',
        ),
    ),
)

_OWN = matching(r"^(?=.*[^*])\S(?:.*\S)?$", "a glob such as *@example.com")
TRUST_BY = Part(
    name="trust_by",
    title="Who wrote a record decides what it is worth",
    model=TrustBy,
    required=("field", "own"),
    keys=(
        Key(
            "field",
            FIELD_PATH,
            "field",
            "required",
            "The field that says who wrote a record.",
            "from",
        ),
        Key(
            "record",
            FIELD_PATH,
            "field",
            "the object it stands in",
            "The record, where the field stands deeper.",
            "messages",
        ),
        Key(
            "own",
            one_or_list(_OWN),
            "glob or list",
            "required",
            "One's own authors.",
            '"*@example.com"',
        ),
    ),
)

_RUN = Key(
    "run",
    _GLOBS,
    "text or list",
    "required",
    "A program, or a program and the words that lead its arguments; each may be a glob. Or `@any`, `@reads`, "
    "`@writes`, `@deletes`, `@secrets`, `@hosts`, `@urls`.",
    '"git push"',
)
_LISTED = Key(
    "effects", _EFFECTS, "list", "required", "As of a tool; `[]` says known and harmless.", "[]"
)
COMMAND = Part(
    name="command",
    title="What a command in a shell line does",
    model=schema.CommandPart,
    required=("run", "effects"),
    keys=(
        _RUN,
        Key(
            "when",
            TEXT,
            "CEL",
            "always",
            "A condition over `cmd.*` and the call's own variables.",
            "'\"-f\" in cmd.flags'",
        ),
        _LISTED,
    ),
    snippets={"a command": {"run": "${1:git push}", "effects": []}},
)

STATEMENT = Part(
    name="statement",
    title="What a SQL statement does",
    model=schema.StatementPart,
    required=("statement", "effects"),
    keys=(
        Key(
            "statement",
            one_or_list(or_variable({"enum": list(TYPES)})),
            "type or list",
            "required",
            "The statement's type.",
            "[update, delete]",
        ),
        Key(
            "when",
            TEXT,
            "CEL",
            "always",
            "A condition over `stmt.*` and the call's own variables.",
            "stmt.has_where",
        ),
        _LISTED,
    ),
    snippets={"a statement": {"statement": "${1:select}", "effects": []}},
)

# --- undo --------------------------------------------------------------------------------------------------
_LEAVES: Schema = {"title": "a value, or a mapping or list of them"}
_LEAVES_TYPE = "CEL in its texts"
_HEADERS = Key(
    "headers",
    by_name(TEXT),
    "mapping",
    "none",
    "As they are, or `env:NAME`: a variable of whoever runs it.",
    "{authorization: env:TICKETS_TOKEN}",
)
UNDO = Part(
    name="undo",
    title="How a call is undone",
    model=schema.UndoPart,
    together={"oneOf": [_needs(way) for way in ("tool", "http", "mcp")]},
    keys=(
        Key("tool", TEXT, "name", "", "A tool that the agent, or a human, calls.", "reopen_ticket"),
        Key(
            "args",
            _LEAVES,
            _LEAVES_TYPE,
            "none",
            "Of `tool`: its arguments, over `args` and `result`.",
            "{id: result.json.id}",
        ),
        Key(
            "http",
            ref("undo_http"),
            "mapping",
            "",
            "A request, which `sessions undo --run` makes.",
            "{method: DELETE, url: \"'https://tickets.internal/' + string(result.json.id)\"}",
        ),
        Key(
            "mcp",
            ref("undo_mcp"),
            "mapping",
            "",
            "A tool call to an MCP server, which `sessions undo --run` makes.",
            "{url: https://tickets.internal/mcp, tool: reopen, args: {id: args.id}}",
        ),
    ),
)
UNDO_HTTP = Part(
    name="undo_http",
    title="A request that undoes a call",
    model=schema.UndoHttp,
    required=("method", "url"),
    keys=(
        Key("method", METHOD_NAME, "method", "required", "The HTTP method.", "DELETE"),
        Key(
            "url",
            TEXT,
            "CEL",
            "required",
            "The whole URL, over `args` and `result`.",
            "\"'https://x.internal/' + args.id\"",
        ),
        _HEADERS,
        Key("body", _LEAVES, _LEAVES_TYPE, "none", "Sent as JSON.", "{why: \"'undo'\"}"),
    ),
)
UNDO_MCP = Part(
    name="undo_mcp",
    title="An MCP call that undoes a call",
    model=schema.UndoMcp,
    required=("url", "tool"),
    keys=(
        Key(
            "url",
            matching(r"^https?://\S+$", "an http or https URL"),
            "URL",
            "required",
            "The server's endpoint.",
            "https://tickets.internal/mcp",
        ),
        Key("tool", TEXT, "name", "required", "The tool.", "reopen"),
        Key("args", _LEAVES, _LEAVES_TYPE, "none", "Its arguments.", "{id: args.id}"),
        _HEADERS,
    ),
)

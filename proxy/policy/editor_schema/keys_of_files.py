"""The keys of a whole rule file, with `vars:`, `prices:`, `lexicon:` and `model_prices:`.

What belongs here: each key's shape, type, default, meaning and an example. Sections whose entries are rules are in
`keys_of_tools.py`, `keys_of_rules.py` and `keys_of_signals.py`.
"""

from __future__ import annotations

from proxy.model import Reversibility
from proxy.policy import schema
from proxy.policy.editor_schema.key import Key, Part
from proxy.policy.editor_schema.shapes import (
    HOST,
    KIND_NAME,
    MODE,
    NAMED,
    NOTHING,
    TEXT,
    Schema,
    any_of,
    by_name,
    list_of,
    matching,
    number,
    one_or_list,
    only,
    or_variable,
    ref,
    whole,
    words,
)
from proxy.policy.guess.schema import ACTS, ASKED, DOMAINS, NATURES, PLACES, LexiconPart
from proxy.policy.model_prices import ModelPricePart
from proxy.policy.named_values import AMOUNT
from proxy.policy.values import SPAN

_UNKNOWN = (
    ("allow", "It passes."),
    ("hold", "It waits until a human has answered."),
    ("block", "It is refused."),
)
_HOSTS = one_or_list(HOST)
_SECTIONS = {
    "tools": ("which call has which effects", "[{name: get_order, effects: []}]"),
    "gates": ("conditions on one call", '[{name: no-mail, when: tool == "send_mail"}]'),
    "budgets": ("limits over effects", "[{name: refunds, of: money.refund, sum: EUR, limit: 100}]"),
    "chains": (
        "ordered patterns of effects",
        "[{name: leak, steps: [data.read.secret, data.egress]}]",
    ),
    "requires": (
        "effects that need evidence first",
        "[{name: look-first, for: money.refund, evidence: order.read}]",
    ),
    "signals": (
        "what shrinks a budget, raises a gate or freezes a session",
        "[{on: tools-changed, do: freeze}]",
    ),
    "approvals": (
        "who answers what rules hold, and how many have to",
        "[{name: strangers, for: unmapped, by: leads, approvals: 2}]",
    ),
    "waiting": (
        "how long clients are kept waiting for an answer",
        '[{client: "openai/*", wait: 2m}]',
    ),
    "commands": (
        "what a shell line's commands do",
        '[{run: "git push", effects: [{kind: repo.push}]}]',
    ),
    "statements": (
        "what SQL statements do",
        "[{statement: select, effects: [{kind: data.query, target: stmt.target}]}]",
    ),
    "model_prices": ("what models cost", '[{model: "acme-*", input: 2, output: 8}]'),
}


def _section(name: str) -> Key:
    meaning, example = _SECTIONS[name]
    default = "shipped" if name == "model_prices" else "none"
    shape = list_of(ref("waiting" if name == "waiting" else name.removesuffix("s")))
    return Key(name, shape, "list", default, meaning[0].upper() + meaning[1:] + ".", example)


FILE = Part(
    name="file",
    title="A rule file of checkrein",
    model=schema.File,
    required=("version",),
    keys=(
        Key("version", only(1), "`1`", "required", "The language's version.", "1"),
        Key(
            "pack",
            NAMED,
            "name",
            "the file's name",
            "Stands in rule ids, `pack/tool#0`; once in a set.",
            "our-desk",
        ),
        Key(
            "extends",
            one_or_list(ref("pack_name")),
            "pack or list",
            "none",
            "Packs that this file starts from. An entry with the name of one of theirs states only the keys it "
            "changes, or `off: true` to take it away.",
            "support-desk",
        ),
        Key(
            "vars",
            ref("variables"),
            "mapping",
            "none",
            "Values with names: `$name` stands for one, as a whole value, in an expression and in a message.",
            "{refund_limit: 100 EUR}",
        ),
        Key(
            "mode",
            MODE,
            "`enforce`, `shadow`",
            "`enforce`",
            "With `shadow` this file's rules decide and are logged, and stop nothing.",
            "shadow",
        ),
        *map(_section, tuple(_SECTIONS)[:-1]),
        Key(
            "prices",
            ref("prices"),
            "mapping",
            "`rules/prices.yaml`",
            "What effects cost in points. A table stated here replaces the shipped one.",
            "{trust: {untrusted: 3}}",
        ),
        Key(
            "lexicon",
            ref("lexicon"),
            "mapping",
            "`rules/lexicon.yaml`",
            "Words by which unmapped tools are read. A table stated here replaces the shipped one.",
            "{vendors: acme}",
        ),
        _section("model_prices"),
        Key(
            "trust",
            words(
                ("trusted", "They are as good as the user's word."),
                ("untrusted", "Somebody else may have written them."),
            ),
            "`trusted`, `untrusted`",
            "`untrusted`",
            "What results of tools without `returns` are worth.",
            "untrusted",
        ),
        Key(
            "unmapped",
            words(*_UNKNOWN),
            "`allow`, `hold`, `block`",
            "`hold`",
            "A tool that no rule knows. Of several files the strictest that is stated.",
            "hold",
        ),
        Key(
            "unparsed",
            words(*_UNKNOWN),
            "`allow`, `hold`, `block`",
            "`block`",
            "A request to a model that no codec reads.",
            "block",
        ),
        Key(
            "wait_tool",
            only(True),
            "`true`",
            "off",
            "Agents are offered the tool `wait_for_approval`, with which they wait for a hold's answer.",
            "true",
        ),
        Key(
            "model_hosts",
            _HOSTS,
            "host, glob or list",
            "none",
            "Hosts that serve models, beside those checkrein knows.",
            "models.internal",
        ),
        Key(
            "opaque",
            words(_UNKNOWN[0], _UNKNOWN[2]),
            "`allow`, `block`",
            "`block`",
            "Tunnels that cannot be opened. Of several files the strictest that is stated.",
            "block",
        ),
        Key(
            "pass_through",
            _HOSTS,
            "host, glob or list",
            "none",
            "TLS to these hosts is not opened. Of several files all.",
            '"*.bank.example"',
        ),
    ),
    snippets={
        "a rule file": {
            "version": 1,
            "pack": "${1:name}",
            "tools": [{"name": "${2:tool}", "effects": []}],
            "unmapped": "hold",
        }
    },
)

# --- vars ---------------------------------------------------------------------------------------------
_AMOUNT_TEXT: Schema = {"type": "string", "pattern": whole(AMOUNT)}
_SPAN_TEXT: Schema = {"type": "string", "pattern": whole(SPAN)}
_SOME_TEXT: Schema = {"type": "string", "minLength": 1}
_SOME_TEXTS: Schema = {"type": "array", "items": {"type": "string"}, "minItems": 1}
_TYPES: dict[str, tuple[str, Schema]] = {
    "number": ("A number.", {"type": "number"}),
    "amount": ("An amount with its unit: 100 EUR.", _AMOUNT_TEXT),
    "span": ("A span of time: 30s, 15m, 24h, 7d.", _SPAN_TEXT),
    "text": ("Text.", {"type": "string"}),
    "texts": ("A list of texts.", _SOME_TEXTS),
    "bool": ("True or false.", {"type": "boolean"}),
}
_DECLARED: Schema = {
    "type": "object",
    "required": ["type"],
    "additionalProperties": False,
    "properties": {
        "type": {
            "enum": list(_TYPES),
            "enumDescriptions": [meaning for meaning, _ in _TYPES.values()],
            "description": "What values it may have.",
        },
        "default": {
            "description": "Its value, where the file that extends this one states none. "
            "Without a default one must be given."
        },
        "about": {"description": "What it is for."},
    },
    "allOf": [
        {
            "if": {"properties": {"type": {"title": kind, "const": kind}}, "required": ["type"]},
            "then": {"properties": {"default": any_of(shape, NOTHING)}},
        }
        for kind, (_, shape) in _TYPES.items()
    ],
}
VARIABLES: Schema = {
    "type": "object",
    "propertyNames": {"pattern": "^[a-z_][a-z0-9_]*$"},
    "additionalProperties": {
        "description": "A value: its type is that of its default, and a file that extends this one states others "
        "of the same type. Or a mapping of `type`, `default` and `about`.",
        "anyOf": [
            {"type": "number"},
            {"type": "boolean"},
            _SOME_TEXT,
            _SOME_TEXTS,
            _DECLARED,
        ],
    },
}

# --- prices, model_prices, lexicon --------------------------------------------------------------------
_FACTORS = by_name(number(minimum=0), least=1)
PRICES = Part(
    name="prices",
    title="What effects cost in points: kind x reversibility x data class x trust",
    model=schema.PricesPart,
    keys=(
        Key(
            "kinds",
            _FACTORS,
            "numbers by kind or glob",
            "shipped",
            "Points of an effect's kind; the longest name that fits counts.",
            '{"money.*": 10}',
        ),
        Key(
            "reversibility",
            _FACTORS,
            "numbers by word",
            "shipped",
            "Factors of `reversible`, `compensable` and `irreversible`.",
            "{irreversible: 2.5}",
        ),
        Key(
            "labels",
            _FACTORS,
            "numbers by label",
            "shipped",
            "Factors of the most sensitive label of the data.",
            '{"secret.*": 4}',
        ),
        Key(
            "trust",
            _FACTORS,
            "numbers by word",
            "shipped",
            "Factors of where the data comes from.",
            "{untrusted: 2}",
        ),
    ),
)

_PRICE = number(minimum=0, maximum=1_000_000)
MODEL_PRICE = Part(
    name="model_price",
    title="What a model's tokens cost, in USD for a million",
    model=ModelPricePart,
    required=("model", "input", "output"),
    keys=(
        Key(
            "model",
            one_or_list(TEXT),
            "name, glob or list",
            "required",
            "The model's name, or a glob over names.",
            '"acme-gpt-*"',
        ),
        Key(
            "input",
            _PRICE,
            "number",
            "required",
            "USD for a million tokens that the model reads.",
            "2.50",
        ),
        Key(
            "output",
            _PRICE,
            "number",
            "required",
            "USD for a million tokens that the model writes.",
            "10",
        ),
        Key(
            "cached_input",
            _PRICE,
            "number",
            "`input`",
            "USD for a million tokens that come from the prompt cache.",
            "0.25",
        ),
        Key(
            "cache_write",
            _PRICE,
            "number",
            "`input`",
            "USD for a million tokens that are written to the prompt cache.",
            "3.10",
        ),
    ),
    snippets={
        "a model's price": {"model": "${1:name}", "input": "^${2:2.50}", "output": "^${3:10}"}
    },
)

_WORDS: Schema = {"type": "string"}
_PATTERNS: Schema = {**list_of({"type": "string", "maxLength": 1000}), "maxItems": 50}
_UNDOING = words(*((str(word), "") for word in Reversibility))
_KIND_OF = or_variable(KIND_NAME)


def _table(name: str, names: tuple[str, ...], by: str, meaning: str, example: str) -> Key:
    shape = by_name(_WORDS, names, least=1)
    return Key(name, shape, f"words by {by}", "shipped", meaning, example)


def _words(name: str, meaning: str, example: str) -> Key:
    return Key(name, _WORDS, "words", "shipped", meaning, example)


_ACT_KINDS: Schema = {
    "type": "object",
    "minProperties": 1,
    "propertyNames": {
        "pattern": rf"^(?:{'|'.join((*ACTS, 'fetch'))})(?:\.(?:{'|'.join(DOMAINS)})?)?$"
    },
    "additionalProperties": _KIND_OF,
}
_PAIR = or_variable(
    matching(
        rf"^\s*(?:{'|'.join(ACTS)})\s+(?:{'|'.join(DOMAINS)})\s*$",
        "an act and a domain, such as 'send message'",
    )
)

LEXICON = Part(
    name="lexicon",
    title="Words by which tools that no entry names are read",
    model=LexiconPart,
    keys=(
        _table(
            "names",
            tuple(ACTS),
            "act",
            "Tools that are known by their whole name.",
            "{none: think}",
        ),
        _table(
            "acts",
            tuple(ACTS),
            "act",
            "The first acting word of a tool's name says what it does.",
            "{destroy: purge wipe}",
        ),
        _table(
            "nature",
            NATURES,
            "nature",
            "Which acts go out, cannot be undone, or are never done unasked.",
            "{hard: pay destroy}",
        ),
        Key(
            "reversibility",
            by_name(_UNDOING, tuple(ACTS), least=1),
            "reversibility by act",
            "shipped",
            "Whether what an act does can be undone.",
            "{destroy: irreversible}",
        ),
        _table(
            "domains",
            tuple(DOMAINS),
            "domain",
            "Words that say what a tool is about.",
            "{money: invoice payout}",
        ),
        _words(
            "shared",
            "With `create`, `add`, `make`, `new`, `write` or `reply`: others read it.",
            "issue comment",
        ),
        _words(
            "handover",
            "`transfer` of one of these hands over control; it pays nobody.",
            "repo domain",
        ),
        _words("opened_to_read", "`open` with one of these only looks.", "page link"),
        _words("people", "A call to one of these asks for a human; nothing is done.", "human"),
        _words(
            "things",
            "Readers' verbs that are mostly things: the word behind them acts.",
            "log status",
        ),
        _words(
            "contents",
            "Arguments that bring something along: a reader with one of them and somebody to send to is not understood.",
            "body note",
        ),
        Key(
            "kinds",
            _ACT_KINDS,
            "kinds by act, or act.domain",
            "shipped",
            "The kind of effect that an act has.",
            "{pay.money: money.pay}",
        ),
        Key(
            "acts_of_kinds",
            by_name(_PAIR, least=1),
            "act and domain by kind or glob",
            "shipped",
            "What an effect of a named tool does, for `act.is` and `act.domain`.",
            '{"money.*": pay money}',
        ),
        _table(
            "targets",
            PLACES,
            "place",
            "Names of arguments that say where a call goes, by kind of place.",
            "{party: recipient payee}",
        ),
        _words(
            "carries_out",
            "An act with one of these arguments goes out, whatever its verb is.",
            "recipient cc",
        ),
        _words("weak", "Words of a target that do not say whose it is.", "file page"),
        _words(
            "own",
            "Results of tools with one of these words, and none of `strangers`, are trusted.",
            "order balance",
        ),
        _words(
            "strangers",
            "Results of tools with one of these words can be written by somebody else.",
            "email feed",
        ),
        _table(
            "asks",
            ASKED,
            "what is asked for",
            "The user's words that ask for an act of a domain.",
            "{money: pay transfer}",
        ),
        Key(
            "asks_patterns",
            by_name(_PATTERNS, ASKED, least=1),
            "patterns by what is asked for",
            "shipped",
            "The same by RE2 patterns: what a word alone does not say.",
            '{money: ["send .{1,20} euros"]}',
        ),
        _words("common", "Verbs so common that they ask for nothing in particular.", "add make"),
        _words("vendors", "Words of tools' names that are a product's, not a deed's.", "acme"),
        Key(
            "delegates",
            _PATTERNS,
            "patterns",
            "shipped",
            "RE2 patterns by which the user hands over the deciding.",
            '["as you see fit"]',
        ),
        Key(
            "owes",
            _PATTERNS,
            "patterns",
            "shipped",
            "RE2 patterns by which the user names a debt.",
            '["i owe .{1,30}"]',
        ),
    ),
)

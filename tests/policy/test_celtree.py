"""CEL's text as a tree: every part at its place, and the places agree with CEL's own reading."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cel_expr_python.cel import Type
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy import cel
from proxy.policy.cel import Dialect, ExpressionErrors
from proxy.policy.celtree import Kind, Node, conjuncts, parse, walk
from proxy.policy.load import load_paths, load_texts
from proxy.policy.problems import RuleErrors

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def written() -> list[tuple[Dialect, str]]:
    """Every expression of the packs and of the pages, with the dialect it is written in."""
    met: dict[tuple[Dialect, str], None] = {}
    compiled = Dialect.compile

    def noting(self: Dialect, text: str) -> cel.Expression:
        met[self, text] = None
        return compiled(self, text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dialect, "compile", noting)
        for path in sorted((ROOT / "rules").glob("*.yaml")):
            if not path.name.endswith(".cases.yaml"):
                load_paths([path])
        for page in sorted((ROOT / "docs").glob("**/*.md")):
            text = page.read_text(encoding="utf-8")
            for example in re.findall(r"```ya?ml\n(.*?)```", text, re.DOTALL):
                try:
                    load_texts([(page.name, example)])
                except RuleErrors:
                    continue  # a fragment, or a cases file
    return list(met)


def test_every_expression_of_packs_and_pages_is_read(written: list[tuple[Dialect, str]]) -> None:
    assert len(written) > 300
    opaque = [t for _, t in written if any(n.kind is Kind.OPAQUE for n in walk(parse(t)))]
    assert opaque == []


def test_spans_are_slices_in_order_and_inside_one_another(
    written: list[tuple[Dialect, str]],
) -> None:
    for _, text in written:
        for node in walk(parse(text)):
            assert text[node.start : node.end] == node.text
            assert node.outer[0] <= node.start < node.end <= node.outer[1]
            at = node.start
            for child in node.children:
                assert at <= child.outer[0], text
                at = child.outer[1]
            assert at <= node.end


def test_every_part_by_itself_is_an_expression_of_the_same_dialect(
    written: list[tuple[Dialect, str]],
) -> None:
    for dialect, text in written:
        for node in _free(parse(text), dialect):
            try:
                dialect.compile(node.text)
            except ExpressionErrors as error:
                pytest.fail(f"{node.text!r} of {text!r}: {error}")


def _free(node: Node, dialect: Dialect) -> Iterator[Node]:
    """Yields the parts that name nothing a macro binds, but for the beginnings of variables' names."""
    dotted = node.dotted
    if dotted is None or any(dotted == v or dotted.startswith(f"{v}.") for v in dialect.variables):
        yield node
    if dotted in dialect.variables:
        return
    for child in node.children[: 1 if node.kind is Kind.MACRO else None]:
        yield from _free(child, dialect)


# What is read out of a text: the kinds and texts of all parts, each before its children.
TREES = {
    "precedence": (
        "a || b && c == d + e * -f",
        [
            "or:a || b && c == d + e * -f",
            "name:a",
            "and:b && c == d + e * -f",
            "name:b",
            "relation:c == d + e * -f",
            "name:c",
            "arithmetic:d + e * -f",
            "name:d",
            "arithmetic:e * -f",
            "name:e",
            "minus:-f",
            "name:f",
        ],
    ),
    "and-is-flat": (
        "a && b && c",
        ["and:a && b && c", "name:a", "name:b", "name:c"],
    ),
    "parentheses-are-outside": (
        "(a && b) && (c)",
        ["and:(a && b) && (c)", "and:a && b", "name:a", "name:b", "name:c"],
    ),
    "left-first": (
        "a - b - c",
        ["arithmetic:a - b - c", "arithmetic:a - b", "name:a", "name:b", "name:c"],
    ),
    "condition-right-first": (
        "a ? b : c ? d : e",
        [
            "condition:a ? b : c ? d : e",
            "name:a",
            "name:b",
            "condition:c ? d : e",
            "name:c",
            "name:d",
            "name:e",
        ],
    ),
    "member": (
        'a.b[0].startsWith("x")',
        [
            'call:a.b[0].startsWith("x")',
            "index:a.b[0]",
            "select:a.b",
            "name:a",
            "literal:0",
            'literal:"x"',
        ],
    ),
    "negative-number": ("1 - -1", ["arithmetic:1 - -1", "literal:1", "literal:-1"]),
    "has": ("has(a.b)", ["has:has(a.b)", "select:a.b", "name:a"]),
    "macro": (
        "[1, 2,].exists(x, x > 1)",
        [
            "macro:[1, 2,].exists(x, x > 1)",
            "list:[1, 2,]",
            "literal:1",
            "literal:2",
            "relation:x > 1",
            "name:x",
            "literal:1",
        ],
    ),
    "map-with-three": (
        "a.map(x, x, 1)",
        ["macro:a.map(x, x, 1)", "name:a", "name:x", "literal:1"],
    ),
    "no-macro": ("a.all", ["select:a.all", "name:a"]),
    "map": ("{'a': 1}", ["map:{'a': 1}", "literal:'a'", "literal:1"]),
    "message": ("t.T{f: 1}", ["message:t.T{f: 1}", "literal:1"]),
    "in": ('a in ["b"]', ['relation:a in ["b"]', "name:a", 'list:["b"]', 'literal:"b"']),
    "quotes": (
        r'''"a\"b" + r'\d' + b"x" + """q"q"""''',
        [
            r'''arithmetic:"a\"b" + r'\d' + b"x" + """q"q"""''',
            r'''arithmetic:"a\"b" + r'\d' + b"x"''',
            r"""arithmetic:"a\"b" + r'\d'""",
            r'literal:"a\"b"',
            r"literal:r'\d'",
            'literal:b"x"',
            'literal:"""q"q"""',
        ],
    ),
    "numbers": (
        "[0x1Fu, 1.5e3, .5, 2u]",
        [
            "list:[0x1Fu, 1.5e3, .5, 2u]",
            "literal:0x1Fu",
            "literal:1.5e3",
            "literal:.5",
            "literal:2u",
        ],
    ),
    "comment": ("a // b\n && c", ["and:a // b\n && c", "name:a", "name:c"]),
    "field-in-backticks": ("a.`b-c`", ["select:a.`b-c`", "name:a"]),
    "not-not": ("!!a", ["not:!!a", "not:!a", "name:a"]),
    "space-around": ("  a ", ["name:a"]),
}


@pytest.mark.parametrize(("text", "parts"), TREES.values(), ids=TREES)
def test_a_text_has_these_parts(text: str, parts: list[str]) -> None:
    assert [f"{n.kind}:{n.text}" for n in walk(parse(text))] == parts


def test_what_a_macro_binds_is_told() -> None:
    node = parse("args.items.exists(item, item > 1)")
    assert (node.name, node.variables) == ("exists", ("item",))


def test_dotted_names() -> None:
    assert parse("effect . kind").dotted == "effect.kind"
    assert parse('args["a"].b').dotted is None


def test_conjuncts_go_through_parentheses() -> None:
    assert [n.text for n in conjuncts(parse("a && (b && c) && (d || e)"))] == list(
        ("a", "b", "c", "d || e")
    )


@pytest.mark.parametrize(
    "text",
    ["", "  ", "a &&", "(a", "a)", "'a", "a $ b", "in", "1.", "f(1,)", "((((" * 400, "-", "a.1"],
)
def test_what_is_not_understood_is_one_opaque_node(text: str) -> None:
    node = parse(text)
    assert (node.kind, node.text, node.children) == (Kind.OPAQUE, text.strip(), ())


_PIECES = st.sampled_from(
    [*"()[]{}.,?:!<>=&|+-*/%abx1 \n\"'\\`$", "&&", "||", "==", " in ", "has(", ".exists(x, ", "0x"]
)


@given(st.lists(_PIECES, max_size=30).map("".join))
def test_no_text_makes_it_raise_or_differ_from_cel(text: str) -> None:
    node = parse(text)
    for one in walk(node):
        assert text[one.start : one.end] == one.text
    try:
        _LETTERS.compile(text)
    except ExpressionErrors:
        return
    for one in walk(node):
        if one.kind is not Kind.OPAQUE and not any(n.variables for n in walk(node)):
            _LETTERS.compile(one.text)


_LETTERS = Dialect(dict.fromkeys("abx", Type.DYN))

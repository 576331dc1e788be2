"""Conditions that bound nothing: `WHERE 1=1` and its many spellings.

What belongs here: telling whether a WHERE picks out rows. A condition that names no column, compares
a column with itself, or asks for what every row has (`id > 0`, `id IS NOT NULL`, `name LIKE '%'`)
counts as none. What needs the data to be told (`id < 999999999`) is not found: a known limit.
"""

from __future__ import annotations

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.simplify import simplify

_SAME = (exp.EQ, exp.GTE, exp.LTE, exp.NullSafeEQ, exp.Like, exp.ILike)
_PATTERNS = (exp.Like, exp.ILike, exp.SimilarTo, exp.RegexpLike, exp.RegexpILike, exp.Glob)


def bounds(condition: exp.Expr | None) -> bool:
    """Tells whether a condition (or a WHERE holding it) keeps a statement from every row."""
    if condition is None:
        return False
    if isinstance(condition, exp.Where | exp.Having):
        condition = condition.this
    return condition is not None and not _always(condition)


def _always(node: exp.Expr) -> bool:
    """Tells whether a condition holds for every row, as far as its text shows."""
    if isinstance(node, exp.Paren):
        return _always(node.this)
    if isinstance(node, exp.And):
        return all(map(_always, _operands(node)))
    if isinstance(node, exp.Or | exp.Xor):
        return any(map(_always, _operands(node)))
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    if isinstance(node, exp.Exists):
        query = node.this
        return not (isinstance(query, exp.Select) and bounds(query.args.get("where")))
    if isinstance(node, exp.Not):
        inner = node.this.unnest()
        if isinstance(inner, exp.Is):
            return isinstance(inner.expression, exp.Null)
        return _never(inner) or _excludes_nobody(inner)
    if isinstance(node, exp.In):
        return _in_all(node)
    if isinstance(node, exp.Is) and node.args.get("negate"):
        return isinstance(node.expression, exp.Null)
    if node.find(exp.Column) is None:
        return not _never(node)  # no column: it picks no row; a constant false harms nobody
    if isinstance(node, _SAME) and _text(node.left) == _text(node.right):
        return True
    if isinstance(node, exp.Coalesce | exp.Case | exp.If):
        return any(leaf.this for leaf in node.find_all(exp.Boolean))
    if isinstance(node, exp.NEQ):
        return _excludes_nobody(exp.EQ(this=node.left, expression=node.right))
    if isinstance(node, exp.GT | exp.GTE):
        return _at_most_zero(node.right)
    if isinstance(node, exp.LT | exp.LTE):
        return _at_most_zero(node.left)
    if isinstance(node, _PATTERNS):
        pattern = node.expression
        return isinstance(pattern, exp.Literal) and not set(pattern.name) - set("%_*.^$")
    return False


def _operands(node: exp.Connector) -> list[exp.Expr]:
    """Returns the operands of `a OR b OR c`, which the parser nests as deep as they are many."""
    made: list[exp.Expr] = []
    left: exp.Expr = node
    while type(left) is type(node):
        made.append(left.args["expression"])
        left = left.args["this"]
    return [left, *reversed(made)]


def _never(node: exp.Expr) -> bool:
    if isinstance(node, exp.Boolean):
        return not node.this
    if isinstance(node, exp.Null):
        return True
    if isinstance(node, exp.Literal):
        return node.name.strip() in ("0", "", "0.0")
    if node.find(exp.Column, exp.Query, exp.Anonymous) is not None:
        return False
    try:
        folded = simplify(node.copy())
    except (SqlglotError, ValueError, ArithmeticError, TypeError, AttributeError):
        return False
    return isinstance(folded, exp.Boolean) and not folded.this


def _excludes_nobody(node: exp.Expr) -> bool:
    """`id <> -1`, `name <> ''`, `NOT id IN (0)`: says no to a value that no row has."""
    if isinstance(node, exp.EQ):
        return _no_value(node.right) or _no_value(node.left)
    if isinstance(node, exp.In):
        listed = node.expressions
        return bool(listed) and all(_no_value(item) for item in listed)
    return isinstance(node, exp.LT | exp.LTE) and _at_most_zero(node.right)


def _no_value(node: exp.Expr) -> bool:
    return (isinstance(node, exp.Literal) and node.is_string and not node.name) or (
        isinstance(node, exp.Neg | exp.Literal) and _at_most_zero(node)
    )


def _at_most_zero(node: exp.Expr) -> bool:
    if isinstance(node, exp.Neg):
        return isinstance(node.this, exp.Literal)
    if not isinstance(node, exp.Literal):
        return False
    return node.name.strip("'\" 0.") == "" or node.name.strip().startswith("-")


def _in_all(node: exp.In) -> bool:
    """`id IN (SELECT id FROM t)` is every row; so is `1 IN (1)`."""
    query = node.args.get("query")
    if query is None:
        return node.find(exp.Column) is None
    inner = query.unnest()
    if not isinstance(inner, exp.Select):
        return False
    limited = inner.args.get("limit") is not None or inner.args.get("joins")
    return not limited and not bounds(inner.args.get("where"))


def _text(node: exp.Expr) -> str:
    return node.sql().lower()

"""Texts as they stand in an expression."""

from __future__ import annotations

from proxy.policy.celtree import Kind, Node


def text_of(node: Node) -> str | None:
    """Returns the value of a text literal; None for what is none, or has escapes or marks before it."""
    text = node.text
    if node.kind is not Kind.LITERAL or text[:1] not in "\"'" or "\\" in text:
        return None
    return text[3:-3] if text[:3] in ('"""', "'''") else text[1:-1]

"""What stands between the nodes of a tree: where the grammar and a shell may read differently.

What belongs here: the check that the grammar has passed over nothing but what every shell takes for
space, and has neither joined two words nor cut one in two.
"""

from __future__ import annotations

import re

from tree_sitter import Node

from proxy.policy.shell.line import listed

GAP = re.compile(rb"(?:[ \t\n;]|\\\r?\n|\r\n)*")
# Between words no line ends. The grammar passes over a `-` that stands before `<<`; it changes nothing.
_WORD_GAP = re.compile(rb"(?:[ \t]|\\\r?\n)*(?:[ \t]-[ \t]*)?")
_JOINED = re.compile(rb"(?:\\\r?\n)+")
_WORDED = frozenset({"command", "redirected_statement", "file_redirect", "declaration_command"})
SPACED = _WORDED | listed(
    "program list pipeline subshell compound_statement do_group if_statement "
    "negated_command test_command while_statement for_statement"
)
_REDIRECTS = frozenset({"file_redirect", "herestring_redirect", "heredoc_redirect"})


def is_spaced(node: Node) -> bool:
    """Whether only what every shell takes for space stands between a node's children."""
    text = node.text or b""
    at = node.start_byte
    allowed = _WORD_GAP if node.type in _WORDED else GAP
    leads = node.type in ("negated_command", "test_command") and node.child_count > 1
    if leads and node.children[1].start_byte == node.children[0].end_byte:
        return False  # `!x` and `[x` are words to a shell
    for child in node.children:
        gap = text[at - node.start_byte : child.start_byte - node.start_byte]
        if child.start_byte > at and not allowed.fullmatch(gap):
            return False
        if child.type == "comment" and not gap and _ends_a_word(child):
            return False  # `x#y` is a word
        touching = node.type == "command" and not gap and child.start_byte > node.start_byte
        if touching and child.is_named and child.type not in _REDIRECTS:
            return False  # two words without a space: the grammar has cut one in two
        if node.type in _WORDED and _JOINED.fullmatch(gap):
            return False  # `r\<newline>m` is one word to a shell, two to the grammar
        at = max(at, child.end_byte)
    return True


def _ends_a_word(child: Node) -> bool:
    """Whether a comment follows a word without a space; `x#y` and `a=(x)#y` go on."""
    before = child.prev_sibling
    return before is not None and before.is_named and before.type not in ("subshell", "comment")

"""Words of a shell line: quotes, escapes, variables and braces undone, as the shell does it.

What belongs here: the way from a node of the syntax tree to the words a program gets. A word is
worked on as marked characters, so that a quoted brace stays one and an unquoted variable splits.
What cannot be known stays as its source text and is marked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass

from tree_sitter import Node

from proxy.policy.shell.braces import MAX_WORDS, Mark, Marked, TooManyWords, braces
from proxy.policy.shell.line import Word

MAX_EXPANDED = 300_000
"""Characters that variables and substitutions of one line may give: `a=$a$a` doubles."""


_ANSI = re.compile(
    r"\\(?:x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{1,4})|U([0-9A-Fa-f]{1,8})|([0-7]{1,3})|c(.)|(.))",
    re.DOTALL,
)
_SIMPLE = {
    "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t",
    "v": "\v", "\\": "\\", "'": "'", '"': '"', "?": "?",
}  # fmt: skip
_BARE_SPACE = re.compile(r"(?:^|[^\\])(?:\\\\)*[ \t\r\n]")
_SPECIAL = re.compile(r"[\\{}*?\[\]$ \t\r\n]")
_SLICE = re.compile(r"\$\{(\w+):\s*(\d{1,6})(?::(\d{1,6}))?\}", re.ASCII)
_ROOTED = frozenset({"PATH", "HOME", "PWD", "SHELL", "OLDPWD"})
"""Variables that begin with "/" wherever a shell runs: `${PATH:0:1}` spells a slash."""


def unescape(text: str) -> str:
    """Returns text with its `$'…'` escapes undone."""

    def one(found: re.Match[str]) -> str:
        hexed = found[1] or found[2] or found[3]
        if hexed:
            return _chr(int(hexed, 16))
        if found[4]:
            return _chr(int(found[4], 8) & 0xFF)
        if found[5]:
            return _chr(ord(found[5].upper()) & 0x1F)
        return _SIMPLE.get(found[6], "\\" + found[6])

    return _ANSI.sub(one, text)


def _chr(code: int) -> str:
    return chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd"


def source(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")


@dataclass(slots=True)
class Expander:
    """Turns nodes into words, with the variables known so far."""

    variables: Mapping[str, str | None]
    outputs: Set[str]  # variables that hold what some command printed or read
    substitute: Callable[[Node], str | None]
    spent: list[int]  # characters that expansions of this line gave, counted over all its words
    fault: Callable[[str], None]
    positional_empty: bool = True
    depth: int = 0

    def words(self, node: Node) -> list[Word]:
        """Returns the words that one word of the source becomes; none for an empty variable.

        Raises:
            TooManyWords: from braces.
        """
        plain = _plain(node)
        if plain is not None:
            return [plain]
        marked = self.marked(node)
        if all(mark in (Mark.QUOTED, Mark.UNKNOWN) for _, mark in marked):
            return [_word(marked)]
        made: list[Word] = []
        separators = self.variables.get("IFS", " \t\n")
        if separators is None and any(mark is Mark.EXPANDED for _, mark in marked):
            return [_word([*marked, ("", Mark.UNKNOWN)])]  # nobody knows where it splits
        for one in braces(marked):
            made += _split(one, separators)
            if len(made) > MAX_WORDS:
                raise TooManyWords
        return made

    def text(self, node: Node) -> Word:
        """Returns a node as one word, unsplit: a value, a here-document."""
        return _plain(node) or _word(self.marked(node))

    def marked(self, node: Node, *, quoted: bool = False) -> Marked:
        self.depth += 1
        try:
            if self.depth > 60:
                return [(source(node), Mark.UNKNOWN)]
            return self._marked(node, quoted=quoted)
        finally:
            self.depth -= 1

    def _marked(self, node: Node, *, quoted: bool) -> Marked:
        plain = Mark.QUOTED if quoted else Mark.PLAIN
        match node.type:
            case "raw_string":
                return _quoted(source(node)[1:-1])
            case "ansi_c_string":
                return _quoted(unescape(source(node)[2:-1]))
            case "string":
                return self._string(node, 1)
            case "translated_string":
                return [part for child in node.named_children for part in self.marked(child)]
            case "concatenation" | "command_name":
                return self._joined(node, plain)
            case "simple_expansion":
                return self._variable(source(node)[1:], source(node), quoted=quoted)
            case "expansion":
                return self._expansion(node, quoted=quoted)
            case "command_substitution":
                return self._output(node, quoted=quoted)
            case "process_substitution":
                self.substitute(node)
                return [("/dev/fd/63", Mark.QUOTED)]
            case "arithmetic_expansion":
                self.run_inside(node)
                return [(source(node), Mark.UNKNOWN)]
            case "heredoc_body" | "heredoc_content":
                return self._string(node, 0)
            case _:
                if any(child.is_named for child in node.children) and node.type != "word":
                    if node.type == "brace_expression":
                        return [(char, Mark.PLAIN) for char in source(node)]
                    return self._joined(node, plain)
                if node.type == "$":
                    plain = Mark.QUOTED if _is_last(node) else Mark.UNKNOWN
                    return [(source(node), plain)]
                text = source(node)
                if node.type == "word" and _BARE_SPACE.search(text):
                    self.fault("a word that goes over two lines")
                return _double(text) if quoted else _bare(text)

    def _joined(self, node: Node, plain: Mark) -> Marked:
        made: Marked = []
        at = node.start_byte
        for child in node.children:
            if gap := _between(node, at, child.start_byte):
                # Space within one word: the grammar has read two as one.
                split = any(char.isspace() for char in gap.replace("\\\n", ""))
                made += [(gap, Mark.UNKNOWN)] if split else _bare(gap)
            made += self.marked(child)
            at = child.end_byte
        return made

    def _string(self, node: Node, quotes: int) -> Marked:
        """A double-quoted string or a here-document: also what stands between the parts."""
        made: Marked = [("", Mark.QUOTED)]
        at, end = node.start_byte + quotes, node.end_byte - quotes
        for child in node.children:
            if child.type == '"':
                continue
            made += _double(_between(node, at, child.start_byte))
            made += self.marked(child, quoted=True)
            at = child.end_byte
        return made + _double(_between(node, at, end))

    def _variable(self, name: str, shown: str, *, quoted: bool) -> Marked:
        mark = Mark.QUOTED if quoted else Mark.EXPANDED
        if name in self.variables:
            value = self.variables[name]
            if value is None:
                return [(shown, Mark.OUTPUT if name in self.outputs else Mark.UNKNOWN)]
            self._spend(len(value))
            return [("", Mark.QUOTED)] * quoted + [(char, mark) for char in value]
        if name == "HOME":
            return [("~", Mark.QUOTED)]
        if name == "IFS":
            return [(char, mark) for char in " \t\n"]
        if name in ("PWD",):
            return [(".", Mark.QUOTED)]
        if (name in ("@", "*") or name.isdecimal()) and name != "0":
            if not self.positional_empty:
                return [(shown, Mark.OUTPUT)]  # a caller may hand over what it read
            return [("", Mark.QUOTED)] if quoted else []
        return [(shown, Mark.UNKNOWN)]

    def _expansion(self, node: Node, *, quoted: bool) -> Marked:
        shown = source(node)
        mentioned = set(re.findall(r"[A-Za-z_]\w*", shown, re.ASCII))
        hidden = Mark.OUTPUT if mentioned & self.outputs else Mark.UNKNOWN
        names = [child for child in node.named_children if child.type.endswith("variable_name")]
        name = source(names[0]) if names else ""
        others = [child for child in node.children if child.type not in ("${", "}")]
        if len(others) == 1 and names:
            return self._variable(name, shown, quoted=quoted)
        if found := _SLICE.fullmatch(shown):
            start, length = int(found[2]), int(found[3]) if found[3] else None
            value = self.variables.get(found[1])
            if value is None and found[1] in _ROOTED and found[1] not in self.variables:
                value = "/" if start == 0 and length == 1 else None
            if value is None:
                return [(shown, hidden)]
            part = value[start : None if length is None else start + length]
            return [(char, Mark.QUOTED if quoted else Mark.EXPANDED) for char in part]
        operator = next((source(child) for child in others if not child.is_named), "")
        if operator in (":-", "-", ":=", "=", ":+", "+") and names:
            rest = [child for child in others if child.is_named and child is not names[0]]
            default = [part for child in rest for part in self.marked(child, quoted=quoted)]
            if self.variables.get(name) and operator[-1] != "+":
                return self._variable(name, shown, quoted=quoted)
            # Whether the variable is set is not known: the text is the likely one, but no more.
            return [*default, ("", hidden)]
        self.run_inside(node)
        return [(shown, hidden)]

    def _output(self, node: Node, *, quoted: bool) -> Marked:
        text = self.substitute(node)
        if text is None:
            return [(source(node), Mark.OUTPUT)]
        self._spend(len(text))
        mark = Mark.QUOTED if quoted else Mark.EXPANDED
        return [("", Mark.QUOTED)] * quoted + [(char, mark) for char in text.rstrip("\n")]

    def _spend(self, characters: int) -> None:
        self.spent[0] += characters
        if self.spent[0] > MAX_EXPANDED:
            raise TooManyWords

    def run_inside(self, node: Node) -> None:
        """Substitutions in a part whose value is not worked out run all the same."""
        for child in node.named_children:
            if child.type in ("command_substitution", "process_substitution"):
                self.substitute(child)
            else:
                self.run_inside(child)


def _is_last(node: Node) -> bool:
    """A `$` at a word's end is one; elsewhere the grammar has passed over what it stands for."""
    alone = source(node) == "$"
    return alone and (node.next_sibling is None or node.next_sibling.type == '"')


def _plain(node: Node) -> Word | None:
    """Most words need no work: nothing in them is special."""
    kind = node.type
    if kind == "number" and not node.named_child_count:
        return Word(source(node))
    if kind == "raw_string":
        return Word(source(node)[1:-1])
    if kind == "word" or (kind == "string" and node.named_child_count == 1):
        text = source(node)
        if kind == "word":
            return None if _SPECIAL.search(text) else Word(text)
        return None if set(text) & set("\\$`") else Word(text[1:-1])
    return None


def _between(node: Node, start: int, end: int) -> str:
    text = node.text or b""
    return text[start - node.start_byte : end - node.start_byte].decode("utf-8", "replace")


def _quoted(text: str) -> Marked:
    return [("", Mark.QUOTED), *((char, Mark.QUOTED) for char in text)]


def _bare(text: str) -> Marked:
    made: Marked = []
    chars = iter(text)
    for char in chars:
        if (char == "$" and len(text) > 1) or char in " \t\r\n":
            # `$$` and its like, which the grammar passes over; two words that it takes for one.
            made.append((char, Mark.UNKNOWN))
        elif char != "\\":
            made.append((char, Mark.PLAIN))
        elif (after := next(chars, "")) != "\n":
            made.append((after or "\\", Mark.QUOTED))
    return made


def _double(text: str) -> Marked:
    """Within double quotes a backslash escapes only what would mean something there."""
    made: Marked = []
    at = 0
    while at < len(text):
        if text[at] == "\\" and at + 1 < len(text) and text[at + 1] in '$`"\\\n':
            if text[at + 1] != "\n":
                made.append((text[at + 1], Mark.QUOTED))
            at += 2
        else:
            expands = text[at] == "$" and text[at + 1 : at + 2] in tuple("$#@*!?-({_0123456789")
            made.append((text[at], Mark.UNKNOWN if expands else Mark.QUOTED))
            at += 1
    return made


def _word(marked: Marked) -> Word:
    marks = {mark for _, mark in marked}
    return Word(
        "".join(char for char, _ in marked),
        Mark.UNKNOWN not in marks and Mark.OUTPUT not in marks,
        any(char in "*?[" for char, mark in marked if mark in (Mark.PLAIN, Mark.EXPANDED) and char),
        Mark.OUTPUT in marks,
    )


def _split(marked: Marked, separators: str | None) -> list[Word]:
    made: list[Word] = []
    current: Marked = []
    for char, mark in marked:
        if mark is Mark.EXPANDED and char in (separators or " \t\n"):
            if current:
                made.append(_word(current))
            current = []
        else:
            current.append((char, mark))
    if current:
        made.append(_word(current))
    return made

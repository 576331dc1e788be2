"""A shell line to the commands it runs: the syntax tree, walked in the order of execution.

What belongs here: `read_line` and what the grammar's nodes mean: lists, pipes, loops, functions,
redirections, here-documents. What one command's words mean is `running`'s. Both branches of a
condition count, a function's body counts where it is defined, and a variable that is set on some
ways only is unknown behind them. Whatever cannot be read makes the line `why`, and the rest of it
is read all the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

from proxy.policy.shell.braces import TooManyWords
from proxy.policy.shell.decode import output
from proxy.policy.shell.gaps import GAP, SPACED, is_spaced
from proxy.policy.shell.line import NO_STDIN, Line, Redirect, Stdin, Word, listed
from proxy.policy.shell.network import DOWNLOADERS
from proxy.policy.shell.running import At, Runner
from proxy.policy.shell.words import Expander, source

MAX_CHARS = 200_000
MAX_NODES = 20_000
MAX_NESTING = 80
MAX_STEPS = 60_000
MAX_UNROLLED = 16
"""Values of a `for` that are followed one by one."""

# Whatever a walk over trees that nobody has seen comes upon: the line is held, the proxy goes on.
_FAULTS = (RecursionError, LookupError, ValueError, TypeError, AttributeError, RuntimeError)
_LANGUAGE = Language(tree_sitter_bash.language())
_COSTLY = (("<", 4_000), ("<<", 200), ("=(", 400), ("${", 4_000), ("$(", 2_000), ("`", 4_000))
"""The parser's time grows with the square of these; no line that people write comes near."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]|\r(?!\n)")
_MISREAD = "it holds characters that shells and parsers read differently"
_TOKENS = listed(
    "; ;; & && || | |& ! { } ( ) (( )) if then elif else fi while until for select in do done case "
    "esac function \n << <<- [ ] [[ ]] ;& ;;&"
)
_WORDS = listed(
    "command_name word string raw_string ansi_c_string translated_string concatenation number "
    "simple_expansion expansion command_substitution process_substitution arithmetic_expansion "
    "brace_expression extglob_pattern regex variable_name special_variable_name"
)
_PARTS = frozenset({"command_substitution", "process_substitution"})


def read_line(text: str) -> Line:
    """Reads a shell line; never raises, whatever the text is."""
    reader = _Reader()
    try:
        reader.text(text, At())
    except _FAULTS:
        reader.fault("it is a text that the reader has no answer to")
    return Line(tuple(reader.out), reader.why)


def read_words(words: Sequence[str]) -> Line:
    """Reads an argument vector, which no shell splits: `["bash", "-lc", "ls"]`."""
    reader = _Reader()
    try:
        if any(_CONTROL.search(word.replace("\n", "")) for word in words):
            reader.fault("it holds control characters")
        reader.run([Word(word) for word in words[:10_000]], (), (), At())
    except _FAULTS:
        reader.fault("it is a list that the reader has no answer to")
    return Line(tuple(reader.out), reader.why)


@dataclass(slots=True)
class _Redirects:
    files: list[Redirect] = field(default_factory=list)
    stdin: Stdin | None = None
    extra: list[Word] = field(default_factory=list)  # `> file word`: the word is an argument
    then: list[Node] = field(default_factory=list)  # what stands behind `<<EOF` on its line


class _Reader(Runner):
    """Walks trees; one a line, thrown away afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self._nesting = 0
        self._steps = 0
        self._spent = [0]

    def text(self, text: str, at: At) -> None:
        """Reads the text of a line, the outer one or one that a shell is given."""
        if at.depth > 12:
            return self.fault("shells within shells, too many")
        if len(text) > MAX_CHARS:
            return self.fault(f"it is longer than {MAX_CHARS} characters")
        if _CONTROL.search(text):
            self.fault("it holds control characters")
            text = _CONTROL.sub(" ", text)
        if any(text.count(part) > most for part, most in _COSTLY):
            return self.fault("it holds more special characters than a line has")
        tree = Parser(_LANGUAGE).parse(text.encode("utf-8", "replace"))
        if tree.root_node.descendant_count > MAX_NODES:
            return self.fault("it has more parts than a line has")
        root, data = tree.root_node, text.encode("utf-8", "replace")
        if not (GAP.fullmatch(data[: root.start_byte]) and GAP.fullmatch(data[root.end_byte :])):
            self.fault("it begins or ends with characters that belong to nothing")
        if tree.root_node.has_error:
            self.fault("a part of it is not shell syntax that can be read")
        self.walk(tree.root_node, at)

    def walk(self, node: Node, at: At) -> None:
        self._nesting += 1
        self._steps += 1
        try:
            if self._steps > MAX_STEPS:
                self.fault("its loops are too long to follow")
            elif self._nesting > MAX_NESTING:
                self.fault("it is nested too deeply")
            elif not self.full():
                self._walk(node, at)
        except TooManyWords:
            self.fault("braces or variables that become too much text")
        finally:
            self._nesting -= 1

    def _walk(self, node: Node, at: At) -> None:
        if node.type in SPACED and not is_spaced(node):
            self.fault(_MISREAD)
        match node.type:
            case "comment":
                return
            case "command":
                self._command(node, at, _Redirects())
            case "redirected_statement":
                self._redirected(node, at)
            case "pipeline":
                stages = [child for child in node.named_children if child.type != "comment"]
                self._pipe([self._stage(child) for child in stages], at)
            case "list":
                self._list(node, at)
            case "subshell":
                self.aside(lambda: self._children(node, at))
            case "if_statement" | "case_statement":
                self._children(node, at, maybe=True)
            case "elif_clause" | "else_clause" | "case_item":
                self._children(node, at)
            case "while_statement" | "c_style_for_statement":
                self._forget_assigned(node)
                self.maybe(lambda: self._children(node, at))
            case "for_statement":
                self._for(node, at)
            case "function_definition":
                self._function(node, at)
            case "variable_assignment":
                self._assign(node, at)
            case "declaration_command":
                self._declare(node, at)
            case "unset_command":
                for child in node.named_children:
                    self.forget(source(child))
            case "test_command":
                self.expander(at).run_inside(node)
            case "heredoc_body" | "heredoc_start" | "heredoc_end":
                return
            case "file_redirect":  # `$(< file)` has no command
                redirects = _Redirects()
                self._redirect(node, at, redirects)
                self.run(redirects.extra or [Word(":")], (), tuple(redirects.files), at)
            case _ if node.type in _PARTS:
                self._substitute(node, at)
            case "word" | "string" | "raw_string" | "concatenation" | "expansion" | "number":
                self.expander(at).words(node)
            case "postfix_expression" | "binary_expression" | "unary_expression":
                self._forget_assigned(node)
                self.expander(at).run_inside(node)
            case _:
                self._children(node, at)

    def _children(self, node: Node, at: At, *, maybe: bool = False) -> None:
        for child in node.children:
            if child.is_missing or (not child.is_named and child.type not in _TOKENS):
                continue
            if child.is_named:
                if maybe:
                    self.maybe(lambda child=child: self.walk(child, at))  # type: ignore[misc]  # bound now
                else:
                    self.walk(child, at)

    def _list(self, node: Node, at: At) -> None:
        """`a && b || c`: what follows `||` runs on some ways only, what follows `&&` too."""
        parts = _flat(node)
        before = self.snapshot()
        for operator, part in parts:
            if operator == "||":
                self.maybe(lambda part=part: self.walk(part, at))  # type: ignore[misc]  # bound now
            else:
                self.walk(part, at)
            if operator == "" and part is parts[0][1]:
                before = self.snapshot()  # the first one always runs
        self.merge(before)

    def _stage(self, node: Node) -> Callable[[At], None]:
        return lambda at: self.walk(node, at)

    def _pipe(self, stages: Sequence[Callable[[At], None]], at: At) -> None:
        starts: list[int] = []
        stdin = at.stdin
        programs: list[str] = []
        for stage in stages:
            if self.full():
                break
            start = len(self.out)
            starts.append(start)
            self.aside(lambda stage=stage, stdin=stdin: stage(replace(at, stdin=stdin)))  # type: ignore[misc]  # bound now
            new = self.out[start:]
            programs += [command.program for command in new]
            network = stdin.network or any(command.program in DOWNLOADERS for command in new)
            text = output(new[-1]) if new and all(c.depth >= at.depth for c in new) else None
            if len([c for c in new if c.depth == new[-1].depth]) > 1:
                text = None  # more than one command printed
            stdin = Stdin(tuple(dict.fromkeys(programs)), text, network=network)
        for start, end in pairwise(starts):
            later = tuple(dict.fromkeys(c.program for c in self.out[end:]))
            for i in range(start, end):
                self.out[i] = replace(self.out[i], piped_to=self.out[i].piped_to + later)

    def _redirected(self, node: Node, at: At) -> None:
        body = node.child_by_field_name("body")
        redirects = _Redirects()
        for child in node.children_by_field_name("redirect"):
            self._redirect(child, at, redirects)

        def run(at: At) -> None:
            if body is not None and body.type == "command":
                self._command(body, at, redirects)
                return
            inner = at if redirects.stdin is None else replace(at, stdin=redirects.stdin)
            if redirects.files or redirects.extra:
                words = [Word(":")] if body is not None else redirects.extra or [Word(":")]
                self.run(words, (), tuple(redirects.files), inner)
            if body is not None:
                self.walk(body, inner)

        pipes = [one for one in redirects.then if one.type == "pipeline"]
        stages = [
            self._stage(child)
            for one in pipes
            for child in one.named_children
            if child.type != "comment"
        ]
        self._pipe([run, *stages], at) if stages else run(at)
        for one in redirects.then:
            if one.type != "pipeline":
                self.maybe(lambda one=one: self.walk(one, at))  # type: ignore[misc]  # bound now

    def _redirect(self, node: Node, at: At, into: _Redirects) -> None:
        expander = self.expander(at)
        if node.type == "herestring_redirect":
            word = expander.text(node.named_children[-1])
            into.stdin = Stdin(text=f"{word.text}\n") if word.known else Stdin(from_here=True)
        elif node.type == "heredoc_redirect":
            self._heredoc(node, at, into)
        elif node.type == "file_redirect":
            if not is_spaced(node):
                self.fault(_MISREAD)
            op = next((c.type for c in node.children if not c.is_named), ">")
            number = next((source(c) for c in node.children if c.type == "file_descriptor"), "")
            named = node.children_by_field_name("destination")
            after = node.next_sibling
            touches = bool(named) and after is not None and after.start_byte == named[-1].end_byte
            if len(named) > 1 and touches and named[-1].type == "number":
                named = named[:-1]  # `> file 0>&1`: the grammar takes the 0 for a word
            targets = [word for one in named for word in expander.words(one)]
            if not targets:
                return self.fault("a redirection without a file")
            into.extra += targets[1:]
            if op in ("<&", ">&") and re.fullmatch(r"\d*-?", targets[0].text):
                return None
            into.files.append(Redirect(op, targets[0], int(number) if number.isdecimal() else None))
            if op == "<":
                fed = targets[0].text == "/dev/fd/63"
                into.stdin = self.fed if fed else Stdin(from_file=True)
        else:
            self.walk(node, at)
        return None

    def _heredoc(self, node: Node, at: At, into: _Redirects) -> None:
        start = next((source(c) for c in node.children if c.type == "heredoc_start"), "")
        for child in node.children:
            if child.type == "heredoc_body":
                raw = bool(set(start) & set("'\"\\"))
                word = Word(source(child)) if raw else self.expander(at).text(child)
                into.stdin = Stdin(text=word.text) if word.known else Stdin(from_here=True)
                if not word.known:
                    self.here = word.text
            elif child.type in ("file_redirect", "herestring_redirect"):
                self._redirect(child, at, into)
            elif child.is_named and child.type not in ("heredoc_start", "heredoc_end"):
                if node.field_name_for_child(node.children.index(child)) == "argument":
                    into.extra += self.expander(at).words(child)
                else:
                    into.then.append(child)

    def _command(self, node: Node, at: At, redirects: _Redirects) -> None:
        expander = self.expander(at)
        words: list[Word] = []
        assignments: list[tuple[str, str]] = []
        for child in node.children:
            match child.type:
                case "variable_assignment":
                    named = self._assignment(child, at)
                    if named is not None:
                        assignments.append((named[0], named[1].text))
                        self.loads(named[0], named[1], at)
                case "file_redirect" | "herestring_redirect" | "heredoc_redirect":
                    self._redirect(child, at, redirects)
                case "comment":
                    pass
                case _ if child.type in _WORDS:
                    words += expander.words(child)
                case _ if child.is_named:
                    self.fault("a command with a part that is no word")
                    self.walk(child, at)
                case _:
                    words.append(Word(source(child)))
        words += redirects.extra
        inner = at if redirects.stdin is None else replace(at, stdin=redirects.stdin)
        self.run(words, tuple(assignments), tuple(redirects.files), inner)

    def _assignment(self, node: Node, at: At) -> tuple[str, Word, bool] | None:
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        if name is not None and not re.match(r"[A-Za-z_]\w*", source(name), re.ASCII):
            self.fault("a variable whose name is none")
        if name is None or name.type != "variable_name" or (value and value.type == "array"):
            if value is not None:
                self.expander(at).run_inside(node)
            if name is not None:
                self.forget(source(name).partition("[")[0])
            return None
        word = self.expander(at).text(value) if value is not None else Word("")
        return source(name), word, any(child.type == "+=" for child in node.children)

    def _assign(self, node: Node, at: At) -> None:
        made = self._assignment(node, at)
        if made is None:
            return
        name, word, added = made
        if added:
            before = self.variables.get(name)
            word = replace(
                word, text=f"{before}{word.text}", known=word.known and before is not None
            )
        self.set(name, word)
        self.loads(name, word, at)

    def _declare(self, node: Node, at: At) -> None:
        words: list[Word] = []
        names: list[str] = []
        for child in node.named_children:
            if child.type == "variable_assignment":
                self._assign(child, at)
                names.append(source(child).partition("=")[0])
            else:
                words += self.expander(at).words(child)
        for word in words:
            name, has, value = word.text.partition("=")
            if has and word.text[0] != "-":
                self.set(name, replace(word, text=value))
                self.loads(name, replace(word, text=value), at)
                names.append(name)
        flags = {letter for word in words if word.text[:1] == "-" for letter in word.text[1:]}
        kind = source(node.children[0])
        if kind == "local" and not at.deferred:
            for name in names:
                self.forget(name)  # an error there, and nothing is set
        if kind == "readonly" or "r" in flags:
            self.readonly.update(names)
        if "n" in flags:
            self.forget_all()
            self.fault("a variable that is another's name")
        elif flags - set("xrgpf"):
            for name in names:  # -u, -l, -i change what is kept
                self.forget(name)
        if not names:
            self.run([Word(source(node.children[0])), *words], (), (), at)

    def _for(self, node: Node, at: At) -> None:
        variable = node.child_by_field_name("variable")
        name = source(variable) if variable is not None else ""
        body = node.child_by_field_name("body")
        values = [
            word
            for v in node.children_by_field_name("value")
            for word in self.expander(at).words(v)
        ]
        follow = 0 < len(values) <= MAX_UNROLLED and all(word.known for word in values)
        if not follow:
            self._forget_assigned(node)
            values = [Word("", known=False, substituted=any(w.substituted for w in values))]
        before = self.snapshot()
        for value in values:
            self.set(name, value)
            if body is not None:
                self.walk(body, at)
        self.merge(before)

    def _function(self, node: Node, at: At) -> None:
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        called = source(name) if name is not None else ""
        self.functions.add(called)
        self.defining.add(called)
        before = self.snapshot()
        # It runs later, when variables and the folder may be others.
        self.forget_all()
        self._forget_assigned(node)
        for child in [body, *node.children_by_field_name("redirect")]:
            if child is not None:
                inside = replace(at, positional_empty=False, deferred=True, stdin=NO_STDIN)
                self.walk(child, inside)
        self.defining.discard(called)
        self.merge(before)

    def _forget_assigned(self, node: Node) -> None:
        """What a loop's or a function's body assigns is unknown when it starts again."""
        waiting = [node]
        while waiting:
            one = waiting.pop()
            if one.type in ("variable_assignment", "postfix_expression", "binary_expression"):
                name = re.split(r"\W", source(one), maxsplit=1)[0]
                self.forget(name)
                self.outputs.add(name)
            waiting += one.named_children

    def expander(self, at: At) -> Expander:
        return Expander(
            self.variables,
            self.outputs,
            lambda node: self._substitute(node, at),
            self._spent,
            self.fault,
            at.positional_empty and not self.positional,
        )

    def _substitute(self, node: Node, at: At) -> str | None:
        """Reads a substitution; returns what it prints where that can be known."""
        start = len(self.out)
        inner = replace(at, stdin=NO_STDIN)
        text = source(node)
        if text.startswith("`") and "\\" in text:
            unescaped = re.sub(r"\\([\\`$])", r"\1", text[1:-1])
            self.aside(lambda: self.text(unescaped, replace(inner, depth=at.depth + 1)))
        else:
            self.aside(lambda: self._children(node, inner))
        new = self.out[start:]
        statements = [child for child in node.named_children if child.type != "comment"]
        simple = len(statements) == 1 and statements[0].type in (
            "command",
            "pipeline",
            "redirected_statement",
        )
        made = output(new[-1]) if new and simple else None
        if node.type == "process_substitution":
            network = any(command.program in DOWNLOADERS for command in new)
            programs = tuple(dict.fromkeys(command.program for command in new))
            self.fed = Stdin(programs, made, network=network)
        return made


def _flat(node: Node) -> list[tuple[str, Node]]:
    """`a && b || c` nests to the left; returns the operator before each part, and the part."""
    made: list[tuple[str, Node]] = []
    while node.type == "list":
        operator = ""
        rest: list[tuple[str, Node]] = []
        named = [child for child in node.children if child.type != "comment"]
        for child in named[1:]:
            if child.is_named:
                rest.append((operator, child))
            else:
                operator = child.type
        made = rest + made
        if not named:
            return made
        node = named[0]
    return [("", node), *made]

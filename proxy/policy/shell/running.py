"""What one command's words mean: shells within shells, wrappers, interpreters, files just written.

What belongs here: the state a line has while it runs (variables, folder, functions, files written)
and the way from words to `Command` values. The syntax tree is `reading`'s, which is the subclass.
"""

from __future__ import annotations

import posixpath
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from proxy.policy.shell.decode import output
from proxy.policy.shell.inner import Inner, joined
from proxy.policy.shell.interpreters import (
    from_input,
    inline_code,
    is_interpreter,
    script_of,
)
from proxy.policy.shell.line import NO_STDIN, Command, Opaque, Redirect, Stdin, Word, listed
from proxy.policy.shell.network import DOWNLOADERS
from proxy.policy.shell.secret_paths import normal_path
from proxy.policy.shell.shells import SHELLS, shell_call
from proxy.policy.shell.targets import describe
from proxy.policy.shell.wrappers import inside

MAX_COMMANDS = 400
MAX_WORDS = 4_000
MAX_VALUE = 20_000
"""Of a variable, in characters: `a=$a$a` doubles."""

_BIN = re.compile(
    r"(?:/(?:usr/(?:local/)?)?s?bin|/opt/homebrew/s?bin|/opt/local/s?bin|/snap/bin"
    r"|/usr/(?:lib|libexec)/git-core|/nix/store/[^/]+/bin|~/\.(?:local|cargo|bun|deno)/bin"
    r"|(?:.*/)?(?:\.?venv|env)/bin|(?:.*/)?node_modules/\.bin)"
)
"""Folders whose programs are what their names say."""
_VERSIONED = re.compile(r"(python|pypy|pip|perl|ruby|php|lua|node|gcc|clang|ipython)[\d.-]+")
_SAME = {"nodejs": "node", "gmake": "make", "pip": "pip", "/bin/[": "["}
_RESERVED = listed(
    "if then elif else fi for while until do done case esac in function select { } !"
)
_READERS = frozenset({"read", "mapfile", "readarray", "getopts", "let", "printf", "select"})
"""Builtins that set variables they are given by name."""
_LOADERS = listed(
    "LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT DYLD_INSERT_LIBRARIES DYLD_LIBRARY_PATH BASH_ENV ENV "
    "PYTHONSTARTUP PERL5OPT PERL5LIB PERL5DB RUBYOPT NODE_OPTIONS JAVA_TOOL_OPTIONS ZDOTDIR "
    "GIT_CONFIG_GLOBAL GIT_CONFIG_SYSTEM GIT_EXEC_PATH BASH_FUNC_ PS4 SHELLOPTS"
)
_COMMANDS = listed(
    "PROMPT_COMMAND GIT_SSH_COMMAND GIT_SSH GIT_EXTERNAL_DIFF GIT_PAGER GIT_EDITOR GIT_ASKPASS PAGER "
    "EDITOR VISUAL BROWSER SSH_ASKPASS LESSOPEN MANPAGER GIT_PROXY_COMMAND RSYNC_RSH "
    "GIT_SEQUENCE_EDITOR SUDO_EDITOR"
)
_HARMLESS = listed("cat less more true false vim vi nano code ssh echo : true")
_ANYONES = re.compile(r"/(var/)?tmp(/.*)?|/dev/shm(/.*)?|(?![/~$]).*", re.DOTALL)
"""Folders where an agent may put a program of its own: open to all, or relative."""
_SAFE_NODE = re.compile(
    r"--(max-old-space-size|max-semi-space-size|no-warnings|enable-source-maps|openssl-legacy-provider|trace-warnings|trace-deprecation|experimental-vm-modules)(=\d+)?"
)


_ONE_EXPANSION = re.compile(r"\s*(\$[({\w].*|`.*`|)\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class At:
    """Where in a line reading is."""

    depth: int = 0
    host: str = ""
    runs_as: str = ""
    stdin: Stdin = NO_STDIN
    positional_empty: bool = True
    deferred: bool = False


@dataclass(frozen=True, slots=True)
class _Written:
    """What a file holds that this line wrote."""

    text: str | None
    network: bool


type Snapshot = tuple[dict[str, str | None], set[str], str | None]


class Runner(ABC):
    """The state of a line, and what its commands do."""

    def __init__(self) -> None:
        self.out: list[Command] = []
        self.why = ""
        self.variables: dict[str, str | None] = {}
        self.outputs: set[str] = set()
        self.readonly: set[str] = set()
        self.functions: set[str] = set()
        self.defining: set[str] = set()  # functions whose body is being read
        self.positional = False  # `set -- a b` gave the line arguments of its own
        self.cwd: str | None = ""  # None: somewhere, nobody knows where
        self.fed = NO_STDIN  # the last process substitution
        self.here = ""  # the last here-document of which not all is known
        self.written: dict[str, _Written] = {}
        self.fetched = False  # an archive or a repository from the network was unpacked

    @abstractmethod
    def text(self, text: str, at: At) -> None:
        """Reads a text that is run here (`sh -c`, a here-document); who knows the grammar does."""

    def fault(self, why: str) -> None:
        self.why = self.why or why

    def full(self) -> bool:
        if len(self.out) >= MAX_COMMANDS:
            self.fault(f"it runs more than {MAX_COMMANDS} commands")
            return True
        return False

    # -- variables and the folder

    def set(self, name: str, word: Word) -> None:
        known = word.known and len(word.text) <= MAX_VALUE and name not in self.readonly
        self.variables[name] = word.text if known else None
        (self.outputs.add if word.substituted else self.outputs.discard)(name)

    def forget(self, name: str) -> None:
        if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
            self.variables[name] = None

    def forget_all(self) -> None:
        for name in self.variables:
            self.variables[name] = None

    def snapshot(self) -> Snapshot:
        return dict(self.variables), set(self.outputs), self.cwd

    def merge(self, before: Snapshot) -> None:
        """What differs between the ways that lead here is unknown from here on."""
        variables, outputs, cwd = before
        for name in {*variables, *self.variables}:
            if name not in variables or variables[name] != self.variables.get(name):
                self.variables[name] = None
        self.outputs |= outputs
        if self.cwd != cwd:
            self.cwd = self.cwd if cwd == "" else None

    def maybe(self, act: Callable[[], None]) -> None:
        before = self.snapshot()
        act()
        self.merge(before)

    def aside(self, act: Callable[[], None]) -> None:
        """Runs in a subshell: nothing it sets is left behind."""
        before = self.snapshot()
        act()
        self.variables, self.outputs, self.cwd = before

    def loads(self, name: str, word: Word, at: At) -> None:
        """Variables by which code gets into programs that run later."""
        if name == "PATH":
            folders = [part for part in word.text.split(":") if not _BIN.fullmatch(part)]
            own = [name for name in self.variables if name != "PATH"]
            if any(_ANYONES.fullmatch(part) for part in folders) or any(
                re.search(rf"\$\{{?{name}\b", word.text) for name in own
            ):
                self.hide(name, "PATH names a folder where anybody may put programs", at)
        elif name in _LOADERS or name.startswith("BASH_FUNC_"):
            harmless = name == "NODE_OPTIONS" and all(map(_SAFE_NODE.fullmatch, word.text.split()))
            if word.text and not harmless:
                self.hide(name, f"{name} loads code into the programs that follow", at)
        elif name in _COMMANDS and word.text.split()[:1]:
            if word.text.split()[0] in _HARMLESS and len(word.text.split()) == 1:
                return
            if not word.known:
                self.hide(name, f"{name} names a program that is not known", at)
            self.text(word.text, replace(at, depth=at.depth + 1))

    def hide(self, program: str, why: str, at: At, kind: Opaque = Opaque.UNREADABLE) -> None:
        self.emit(program, (), (), (), at, kind, why)

    # -- commands

    def run(
        self,
        words: Sequence[Word],
        assignments: tuple[tuple[str, str], ...],
        redirects: tuple[Redirect, ...],
        at: At,
    ) -> None:
        """Reads one command: its words, as expanded."""
        if self.full():
            return
        if at.depth > 24:
            return self.fault("programs that run programs, too many")
        if len(words) > MAX_WORDS:
            self.fault(f"a command has more than {MAX_WORDS} words")
            words = words[:MAX_WORDS]
        if not words:
            return self.emit(":", (), assignments, redirects, at) if redirects else None
        head, args = words[0], tuple(words[1:])

        def emit(kind: Opaque = Opaque.NO, why: str = "", name: str = "") -> None:
            self.emit(name or program, args, assignments, redirects, at, kind, why)

        program = head.text
        if not head.known:
            why = "the command's name is put together at run time"
            return emit(Opaque.UNREADABLE, why, "(unknown)")
        if head.glob and program != "[":
            return emit(Opaque.UNREADABLE, "the command's name is a pattern")
        if not program or not program.isascii() or not program.isprintable():
            return emit(Opaque.UNREADABLE, "the command's name is not plain ASCII", "(unknown)")
        if program in _RESERVED:
            return emit(Opaque.UNREADABLE, "a word of the grammar where a program's name belongs")
        if program in self.defining:
            return emit(Opaque.UNREADABLE, "a function that calls itself", program)
        if program in self.functions:
            self.emit(program, args, assignments, redirects, at, function=True)
            return None
        program = self.name_of(program)
        connected = any(re.match(r"/dev/(tcp|udp)/", r.target.text) for r in redirects)
        if connected and (program in SHELLS or is_interpreter(program)):
            return emit(Opaque.DOWNLOADED, f"{program} is connected to the network")
        if program in SHELLS:
            return self._shell(program, args, emit, redirects, at)
        if program == "eval":
            return self._lines(joined(args), "eval", at, emit)
        if program in ("source", ".") and args:
            return self._script(program, args[0], emit, at)
        if program == "trap" and args and args[0].text not in ("-p", "-l", "-", ""):
            return self._lines(args[0], "trap", at, emit)
        if program == "alias":
            for word in args:
                if "=" in word.text:
                    value = replace(word, text=word.text.partition("=")[2])
                    self._lines(value, "alias", at, emit)
            return emit()
        if program == "set" and args:
            self.positional = True
        if program in _READERS:
            for word in args:
                self.forget(word.text)
                if program in ("read", "mapfile", "readarray"):
                    self.outputs.add(word.text)
        if program in ("cd", "pushd", "chdir"):
            self._cd(args)
        inners = inside(program, args, at.stdin)
        if inners:
            return self._inside(program, inners, args, assignments, redirects, at)
        if "/" in program:
            return self._script(program, Word(program), emit, at)
        hidden = inline_code(program, args, at.stdin)
        if hidden is not None:
            return emit(*hidden)
        script = script_of(program, args) if is_interpreter(program) else None
        if script is not None:
            return self._script(program, script, emit, at)
        return emit()

    def _inside(
        self,
        program: str,
        inners: Sequence[Inner],
        args: tuple[Word, ...],
        assignments: tuple[tuple[str, str], ...],
        redirects: tuple[Redirect, ...],
        at: At,
    ) -> None:
        shown = any(inner.shown for inner in inners)
        if shown:
            self.emit(program, args, assignments, redirects, at)
        for inner in inners:
            there = replace(
                at,
                depth=at.depth + 1,
                host=inner.host or at.host,
                runs_as=at.runs_as if inner.runs_as is None else inner.runs_as,
            )
            for name, value in inner.assignments:
                self.loads(name, Word(value), there)
            rest = () if shown else redirects
            if inner.line is None:
                self.run(inner.words, (*assignments, *inner.assignments), rest, there)
                continue
            if not inner.line.known:
                kind, why = self._assembled(program, inner.line)
                self.emit(program, args, assignments, rest, at, kind, inner.why or why)
            elif rest:
                self.emit(":", (), (), rest, at)
            if _says_something(inner.line):
                self._elsewhere(inner.line.text, there, other=there.host != at.host)

    def _assembled(self, program: str, line: Word) -> tuple[Opaque, str]:
        """Says how opaque it is that a text is run of which not all is known."""
        if line.substituted and any(command.program in DOWNLOADERS for command in self.out):
            return Opaque.DOWNLOADED, f"{program} runs what another program downloads"
        return Opaque.UNREADABLE, f"{program} runs text that is put together at run time"

    def _elsewhere(self, text: str, at: At, *, other: bool) -> None:
        """Another shell has its own variables and folder; on another host also its own files."""
        kept = (self.functions, self.written, self.fetched)
        before = self.snapshot()
        self.variables = {}
        if other:
            self.cwd, self.written, self.fetched = "", {}, False
        self.functions = set()
        self.text(text, at)
        self.variables, self.outputs, self.cwd = before
        self.functions = kept[0]
        if other:
            self.written, self.fetched = kept[1:]

    def _lines(self, word: Word, program: str, at: At, emit: Callable[..., None]) -> None:
        """`eval`, `trap`, `alias`: text that this very shell runs."""
        if not word.known:
            self.forget_all()
            emit(*self._assembled(program, word))
        if _says_something(word):
            later = at.deferred or program != "eval"
            self.text(word.text, replace(at, depth=at.depth + 1, deferred=later))

    def _shell(
        self,
        program: str,
        args: tuple[Word, ...],
        emit: Callable[..., None],
        redirects: tuple[Redirect, ...],
        at: At,
    ) -> None:
        call = shell_call(args)
        inner = replace(at, depth=at.depth + 1)
        if call.asked:
            line = call.line or Word("", known=False)
            if not line.known:
                emit(*self._assembled(program, line))
            elif redirects:
                self.emit(":", (), (), redirects, at)
            more = line is not args[-1] if args else False
            if _says_something(line):
                self._elsewhere(line.text, replace(inner, positional_empty=not more), other=False)
        elif call.script is not None and call.script.text != "/dev/stdin":
            self._script(program, call.script, emit, at)
        else:
            self._fed_shell(program, at.stdin, emit, redirects, at)

    def _fed_shell(
        self,
        program: str,
        stdin: Stdin,
        emit: Callable[..., None],
        redirects: tuple[Redirect, ...],
        at: At,
    ) -> None:
        """A shell that runs what it reads."""
        if stdin.text is not None and not stdin.network:
            if any(redirect.writes for redirect in redirects):
                self.emit(":", (), (), redirects, at)
            inner = replace(at, depth=at.depth + 1, stdin=NO_STDIN)
            self._elsewhere(stdin.text, inner, other=False)
        elif not stdin.present:
            emit()  # waits for a person
        else:
            kind, why = from_input(program, stdin)
            if stdin.from_here and not stdin.network:
                kind = Opaque.UNREADABLE
            emit(kind, why)
            if stdin.from_here and self.here:
                self._elsewhere(self.here, replace(at, depth=at.depth + 1), other=False)

    def _script(self, program: str, script: Word, emit: Callable[..., None], at: At) -> None:
        """A file that is run; what this very line wrote to it is known."""
        if script.text == "/dev/fd/63":
            fed = self.fed
            if fed.text is not None and not fed.network and not is_interpreter(program):
                return self._elsewhere(fed.text, replace(at, depth=at.depth + 1), other=False)
            return emit(*from_input(program, fed))
        if not script.known:
            return emit(Opaque.UNREADABLE, f"{program} runs a file whose name is not known")
        wrote = self.written.get(normal_path(script.text, self.cwd or ""))
        if wrote is None:
            if self.fetched and program not in ("node", "python"):
                return emit(Opaque.UNREADABLE, "runs a file from what this line downloads")
            return emit()
        if wrote.network:
            return emit(Opaque.DOWNLOADED, f"{program} runs a file that this line downloads")
        if wrote.text is None:
            return emit(Opaque.UNREADABLE, f"{program} runs a file that this line writes")
        if is_interpreter(program) or (
            wrote.text.startswith("#!")
            and not re.match(r"#!\s*\S*(sh|env\s+(ba|z|da)?sh)\b", wrote.text)
        ):
            return emit(Opaque.INLINE_CODE, f"{program} runs code that stands in the line")
        emit()
        self._elsewhere(wrote.text, replace(at, depth=at.depth + 1), other=False)
        return None

    def _cd(self, args: Sequence[Word]) -> None:
        words = [word for word in args if not word.text.startswith("-")]
        if not words:
            self.cwd = "~" if not args else None
        elif not words[0].known or words[0].glob:
            self.cwd = None
        elif self.cwd is not None or words[0].text.startswith(("/", "~")):
            self.cwd = normal_path(words[0].text, self.cwd or "")
        if "CDPATH" in self.variables:
            self.cwd = None

    def name_of(self, text: str) -> str:
        """Returns a program's plain name; the path where it lies in a folder of somebody's own."""
        if "/" in text:
            path = normal_path(text, self.cwd or "")
            folder, _, name = path.rpartition("/")
            if not _BIN.fullmatch(folder):
                return text if path.startswith(("/", "~")) and text != path else path_shown(path)
            text = name
        text = text.removesuffix(".exe")
        if found := _VERSIONED.fullmatch(text):
            text = found[1]
        return _SAME.get(text, text)

    def emit(
        self,
        program: str,
        args: tuple[Word, ...],
        assignments: tuple[tuple[str, str], ...],
        redirects: tuple[Redirect, ...],
        at: At,
        kind: Opaque = Opaque.NO,
        why: str = "",
        *,
        function: bool = False,
    ) -> None:
        if self.full():
            return
        command = Command(
            program=program,
            args=args,
            redirects=redirects,
            assignments=assignments,
            stdin=at.stdin,
            runs_as=at.runs_as,
            host=at.host,
            cwd=self.cwd or "",
            depth=at.depth,
            deferred=at.deferred,
            opaque=kind,
            why=why,
            function=function,
        )
        command = replace(command, facts=describe(command))
        self.out.append(command)
        self._remember(command)

    def _remember(self, command: Command) -> None:
        """Files that this line writes may be run by it later."""
        facts = command.facts
        if not facts.writes and command.program != "git":
            return
        network = command.stdin.network or command.program in DOWNLOADERS
        plain = replace(command, redirects=tuple(r for r in command.redirects if not r.writes))
        text = output(plain) if command.redirects or command.program == "tee" else None
        if command.program == "tee":
            text = command.stdin.text
        if any(redirect.op in (">>", "&>>") for redirect in command.redirects):
            text = None
        if command.program in ("cp", "mv", "install", "ln") and command.args:
            copied = [self.written[path] for path in facts.reads if path in self.written]
            if copied:
                network, text = copied[0].network, copied[0].text
            elif command.program != "mv":
                return  # a copy of what was there before is an ordinary file
        if command.program in ("touch", "mkdir"):
            return
        for path in facts.writes:
            self.written[path] = _Written(text, network)
        if command.program in ("tar", "unzip", "bsdtar", "7z"):
            came = [self.written.get(path) for path in facts.reads]
            self.fetched |= command.stdin.network or any(w is not None and w.network for w in came)
        self.fetched |= command.program == "git" and facts.words[:1] == ("clone",)


def _says_something(line: Word) -> bool:
    """Whether a text that is run stands in the line at least in part, and is worth reading."""
    return line.known or not _ONE_EXPANSION.fullmatch(line.text)


def path_shown(path: str) -> str:
    """A path of a program; a relative one keeps its `./`, by which rules know it."""
    return path if path.startswith(("/", "~", ".")) else f"./{posixpath.normpath(path)}"

"""Programs that run another program: `sudo`, `env`, `xargs`, `ssh`, `docker exec`, `find -exec`.

What belongs here: where in their arguments the other program stands. `inside` gives what is run, as
words or as the text of a shell line, and what changes for it (user, host); reading it is `reading`'s.
An option that the tables do not know is taken to have no value: what follows then counts as the
program, which no entry of a rule file knows, and so waits for a human.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from proxy.policy.shell.elsewhere import (
    inside_container,
    inside_fd,
    inside_find,
    inside_kubectl,
    inside_ssh,
    inside_su,
)
from proxy.policy.shell.hooks import inside_git, inside_rsync, inside_tar
from proxy.policy.shell.inner import Inner, after_options, joined, next_of
from proxy.policy.shell.line import Stdin, Word, listed

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=.*", re.DOTALL | re.ASCII)


@dataclass(frozen=True, slots=True)
class Wrapper:
    """How a plain wrapper's arguments are laid out: options, then words of its own, then the program."""

    valued: frozenset[str] = frozenset()
    own_words: int = 0
    assignments: bool = False
    joined: bool = False  # the rest is one shell line
    shown: bool = False
    runs_as: str | None = None


def _wrapper(
    valued: str = "", own_words: int = 0, *, joined: bool = False, shown: bool = False
) -> Wrapper:
    return Wrapper(listed(valued), own_words, joined=joined, shown=shown)


_PLAIN: dict[str, Wrapper] = {
    "command": _wrapper(),
    "builtin": _wrapper(),
    "exec": _wrapper("-a"),
    "coproc": _wrapper(),
    "nohup": _wrapper(),
    "time": Wrapper(listed("-o -f --output --format"), assignments=True),
    "nice": _wrapper("-n --adjustment"),
    "ionice": _wrapper("-c -n --class --classdata"),
    "stdbuf": _wrapper("-i -o -e --input --output --error"),
    "setsid": _wrapper(),
    "timeout": _wrapper("-s -k --signal --kill-after", 1),
    "gtimeout": _wrapper("-s -k --signal --kill-after", 1),
    "chroot": _wrapper("", 1, shown=True),
    "unshare": _wrapper("-S -G -R -w --setuid --setgid --root --wd"),
    "nsenter": _wrapper("-t -S -G --target --setuid --setgid", shown=True),
    "taskset": _wrapper("", 1),
    "chrt": _wrapper("-T -P -D", 1),
    "setarch": _wrapper("", 1),
    "linux32": _wrapper(),
    "linux64": _wrapper(),
    "numactl": _wrapper("-N -m -C -i"),
    "prlimit": _wrapper(),
    "strace": _wrapper("-o -e -p -s -u -E -P -a -b -I -O -S -X"),
    "ltrace": _wrapper("-o -e -p -s -u -n -l"),
    "catchsegv": _wrapper(),
    "caffeinate": _wrapper("-t -w"),
    "chronic": _wrapper(),
    "unbuffer": _wrapper(),
    "busybox": _wrapper(),
    "toybox": _wrapper(),
    "firejail": _wrapper(),
    "proxychains": _wrapper("-f"),
    "proxychains4": _wrapper("-f"),
    "torsocks": _wrapper(),
    "xvfb-run": _wrapper("-n -s -e -f -p"),
    "dbus-run-session": _wrapper(),
    "setpriv": _wrapper(),
    "fakeroot": _wrapper(),
    "entr": _wrapper(),
    "ts": _wrapper(),
    "dotenv": _wrapper("-e -f -p"),
    "watch": _wrapper("-n -d -q --interval", joined=True),
    "systemd-run": _wrapper("-p -u --unit --property -E --setenv -M -H", shown=True),
    "sudo": Wrapper(
        listed(
            "-u -g -h -p -C -T -R -D -U -r -t --user --group --host --prompt --close-from --chdir "
            "--chroot --role --type --other-user --command-timeout"
        ),
        assignments=True,
        runs_as="root",
    ),
    "doas": Wrapper(frozenset({"-u", "-C"}), runs_as="root"),
    "pkexec": Wrapper(frozenset({"--user"}), runs_as="root"),
    "gosu": Wrapper(own_words=1, runs_as="root"),
    "su-exec": Wrapper(own_words=1, runs_as="root"),
    "env": Wrapper(
        frozenset({"-u", "-C", "--unset", "--chdir"}),
        assignments=True,
    ),
}
_LED: dict[tuple[str, ...], Wrapper] = {
    ("poetry", "run"): _wrapper("-C -P --directory --project"),
    ("uv", "run"): _wrapper(
        "--with --python -p --project --directory --extra --group --env-file --package --index-url"
    ),
    ("pipenv", "run"): _wrapper(),
    ("pdm", "run"): _wrapper("-p"),
    ("hatch", "run"): _wrapper(),
    ("rye", "run"): _wrapper(),
    ("conda", "run"): _wrapper("-n -p --name --prefix --cwd"),
    ("mamba", "run"): _wrapper("-n -p --name --prefix --cwd"),
    ("micromamba", "run"): _wrapper("-n -p --name --prefix --cwd"),
    ("bundle", "exec"): _wrapper(),
    ("rbenv", "exec"): _wrapper(),
    ("pyenv", "exec"): _wrapper(),
    ("asdf", "exec"): _wrapper(),
    ("mise", "exec"): _wrapper(),
    ("direnv", "exec"): _wrapper("", 1),
    ("doppler", "run"): _wrapper("-p -c -t --project --config --token", shown=True),
    ("op", "run"): _wrapper("--env-file", shown=True),
    ("aws-vault", "exec"): _wrapper("-d --duration --region", 1, shown=True),
    ("chamber", "exec"): _wrapper("", 1, shown=True),
    ("nix", "develop"): _wrapper(),
}
_XARGS_VALUED = listed(
    "-I -n -P -L -d -a -E -s --replace --max-args --max-procs --max-lines --delimiter --arg-file "
    "--max-chars --process-slot-var -R -S -J"
)


def inside(program: str, args: Sequence[Word], stdin: Stdin) -> list[Inner]:
    """Returns what a program runs; an empty list where it is no wrapper or runs nothing."""
    special = _SPECIAL.get(program)
    if special is not None:
        return special(args, stdin)
    wrapper = _PLAIN.get(program)
    if wrapper is None and args:
        wrapper = _LED.get((program, args[0].text))
        args = args[1:] if wrapper is not None else args
    if wrapper is None:
        return []
    return _plain(program, wrapper, args)


def _plain(program: str, wrapper: Wrapper, args: Sequence[Word]) -> list[Inner]:
    options, at = after_options(args, wrapper.valued)
    names = [word.text for word in options]
    if program == "command" and any(set(name) & {"v", "V"} for name in names):
        return []  # asks where a program is, runs nothing
    if program in ("nix",) and "-c" not in names and "--command" not in names:
        return []
    runs_as = wrapper.runs_as
    for flag in ("-u", "--user"):
        if runs_as is not None and flag in names and names.index(flag) + 1 < len(names):
            runs_as = names[names.index(flag) + 1]
    if program == "env":
        for i, name in enumerate(names):
            split = _split_string(name, options[i])
            if split is not None:
                return [Inner(line=joined([split, *args[at:]]))]
    assignments: list[tuple[str, str]] = []
    while wrapper.assignments and at < len(args) and _ASSIGNMENT.fullmatch(args[at].text):
        name, _, value = args[at].text.partition("=")
        assignments.append((name, value))
        at += 1
    rest = tuple(args[at + wrapper.own_words :])
    if not rest:
        asks_shell = runs_as is not None and any(
            n in ("-i", "-s", "--login", "--shell") for n in names
        )
        return [Inner(words=(Word("sh"),), runs_as=runs_as)] if asks_shell else []
    if wrapper.joined:
        return [Inner(line=joined(rest), shown=wrapper.shown)]
    return [Inner(rest, shown=wrapper.shown, runs_as=runs_as, assignments=tuple(assignments))]


def _split_string(name: str, word: Word) -> Word | None:
    """`env -S'rm -rf /'`: one argument that env itself splits."""
    for start in ("--split-string=", "-S", "-vS"):
        if name.startswith(start) and len(name) > len(start):
            return replace(word, text=name[len(start) :])
    return None


def _env(args: Sequence[Word], stdin: Stdin) -> list[Inner]:
    # `-S` takes the next argument where nothing is attached to it.
    for i, word in enumerate(args):
        if word.text in ("-S", "--split-string", "-vS", "-iS") and i + 1 < len(args):
            return [Inner(line=joined(args[i + 1 :]))]
        if not word.text.startswith("-") and not _ASSIGNMENT.fullmatch(word.text):
            break
    return _plain("env", _PLAIN["env"], args)


def _xargs(args: Sequence[Word], stdin: Stdin) -> list[Inner]:
    options, at = after_options(args, _XARGS_VALUED)
    names = [word.text for word in options]
    rest = list(args[at:]) or [Word("echo")]
    mark = next((n[2:] or next_of(names, i) for i, n in enumerate(names) if n.startswith("-I")), "")
    if "-i" in names or "--replace" in names:
        mark = "{}"
    known = stdin.text.split() if stdin.text is not None else None
    if mark:
        value = known[0] if known is not None and len(known) == 1 else None
        made = [
            replace(
                w, text=w.text.replace(mark, value or mark), known=w.known and value is not None
            )
            if mark in w.text
            else w
            for w in rest
        ]
        return [Inner(tuple(made), shown=False)]
    more = [Word(t) for t in known] if known is not None else [Word("(input)", known=False)]
    return [Inner((*rest, *more))]


def _parallel(args: Sequence[Word], stdin: Stdin) -> list[Inner]:
    _, at = after_options(args, frozenset({"-j", "--jobs", "-a", "--arg-file", "-n", "-S", "-I"}))
    rest = list(args[at:])
    ends = [i for i, word in enumerate(rest) if word.text in (":::", "::::", ":::+")]
    template = rest[: ends[0]] if ends else rest
    if not template:
        return [Inner(line=Word("", known=False), why="parallel runs lines from its input")]
    values = [word for word in rest[len(template) + 1 :]] if ends else []
    if len(values) == 1 and not any("{" in word.text for word in template):
        return [Inner(line=joined([*template, *values]))]
    known = [w for w in values if w.known] or [Word("(input)", known=False)]
    return [Inner(words=(*template, *known))]


def _line_flag(*flags: str) -> Callable[[Sequence[Word], Stdin], list[Inner]]:
    def read(args: Sequence[Word], stdin: Stdin) -> list[Inner]:
        for i, word in enumerate(args):
            if word.text in flags and i + 1 < len(args):
                return [Inner(line=args[i + 1], shown=True)]
        return []

    return read


def _flock(args: Sequence[Word], stdin: Stdin) -> list[Inner]:
    if found := _line_flag("-c", "--command")(args, stdin):
        return found
    _, at = after_options(args, frozenset({"-w", "-E", "--timeout", "--wait"}))
    return [Inner(tuple(args[at + 1 :]))] if args[at + 1 :] else []


def _tmux(args: Sequence[Word], stdin: Stdin) -> list[Inner]:
    texts = [word.text for word in args]
    for name in ("send-keys", "send", "new-session", "new", "new-window", "neww", "split-window",
                 "splitw", "run-shell", "run", "respawn-pane", "pipe-pane", "if-shell", "stuff"):  # fmt: skip
        if name in texts:
            at = texts.index(name) + 1
            _, more = after_options(args[at:], listed("-t -s -n -c -x -y -F -e -l -p"))
            rest = [w for w in args[at + more :] if w.text not in ("Enter", "C-m")]
            return [Inner(line=joined(rest), shown=True)] if rest else []
    return []


def _at(args: Sequence[Word], stdin: Stdin) -> list[Inner]:
    return [Inner(words=(Word("sh"),), shown=True)] if stdin.present else []


_SPECIAL: dict[str, Callable[[Sequence[Word], Stdin], list[Inner]]] = {
    "env": _env,
    "xargs": _xargs,
    "parallel": _parallel,
    "ssh": inside_ssh,
    "docker": inside_container(0),
    "podman": inside_container(0),
    "nerdctl": inside_container(0),
    "docker-compose": inside_container(1),
    "kubectl": inside_kubectl,
    "oc": inside_kubectl,
    "su": inside_su,
    "runuser": inside_su,
    "find": inside_find,
    "fd": inside_fd,
    "git": inside_git,
    "tar": inside_tar,
    "rsync": inside_rsync,
    "script": _line_flag("-c", "--command"),
    "nix-shell": _line_flag("--run", "--command"),
    "flock": _flock,
    "tmux": _tmux,
    "screen": _tmux,
    "at": _at,
    "batch": _at,
}

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

from proxy.policy.shell.line import Stdin, Word, listed

SHELLS = listed("sh bash dash zsh ksh mksh ash fish csh tcsh rbash yash elvish nu")

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=.*", re.DOTALL | re.ASCII)


@dataclass(frozen=True, slots=True)
class Inner:
    """What a program runs."""

    words: tuple[Word, ...] = ()
    line: Word | None = None
    shown: bool = False  # the outer program is a command of its own too
    runs_as: str | None = None
    host: str | None = None
    assignments: tuple[tuple[str, str], ...] = ()
    why: str = ""  # it cannot be read


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
_DOCKER_VALUED = listed(
    "-e -u -w -v -p -h -l -m --env --env-file --user --workdir --volume --publish --name --network "
    "--net --hostname --mount --entrypoint --label --platform --memory --cpus --restart --add-host "
    "--device --cap-add --cap-drop --gpus --pid --ipc --security-opt --tmpfs --ulimit --pull --dns "
    "--shm-size --group-add --log-driver --runtime --userns --detach-keys --index --volumes-from "
    "--link --expose --cidfile --init-path --isolation --read-only-paths -c -f -p --profile "
    "--project-name --project-directory --file --context --host -H"
)
_SSH_VALUED = listed("-b -c -D -E -e -F -I -i -J -L -l -m -O -o -P -p -Q -R -S -W -w -B")
_KUBECTL_VALUED = listed(
    "-n --namespace -c --container --context --cluster --kubeconfig --user --as -s --server "
    "--token -f --filename --pod-running-timeout --request-timeout"
)
_XARGS_VALUED = listed(
    "-I -n -P -L -d -a -E -s --replace --max-args --max-procs --max-lines --delimiter --arg-file "
    "--max-chars --process-slot-var -R -S -J"
)


def after_options(args: Sequence[Word], valued: frozenset[str]) -> tuple[list[Word], int]:
    """Returns the options with their values, and where the first word that is none stands."""
    found: list[Word] = []
    at = 0
    while at < len(args):
        text = args[at].text
        if text == "--":
            return found, at + 1
        if not text.startswith("-") or text == "-":
            break
        found.append(args[at])
        at += 1
        short = not text.startswith("--")
        takes = text in valued or (
            short and len(text) > 2 and f"-{text[-1]}" in valued and f"-{text[1]}" not in valued
        )
        if takes and "=" not in text and at < len(args):
            found.append(args[at])
            at += 1
    return found, at


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


def joined(words: Sequence[Word]) -> Word:
    """Returns words as one text, as `ssh` and `eval` join them."""
    return Word(" ".join(word.text for word in words), all(word.known for word in words))


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
    mark = next((n[2:] or _next(names, i) for i, n in enumerate(names) if n.startswith("-I")), "")
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


def _next(names: Sequence[str], at: int) -> str:
    return names[at + 1] if at + 1 < len(names) else ""


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


def _ssh(args: Sequence[Word], stdin: Stdin) -> list[Inner]:
    options, at = after_options(args, _SSH_VALUED)
    made = [
        Inner(line=replace(word, text=word.text.partition("=")[2]), shown=True)
        for word in options
        if re.match(r"(-o)?(ProxyCommand|LocalCommand|KnownHostsCommand)\s*=", word.text, re.I)
        and not word.text.lower().endswith("=none")
    ]
    if at >= len(args):
        return made
    host = args[at].text.removeprefix("ssh://").rpartition("@")[2]
    # Options may stand behind the host too.
    _, more = after_options(args[at + 1 :], _SSH_VALUED)
    rest = args[at + 1 + more :]
    if rest:
        return [*made, Inner(line=joined(rest), shown=True, host=host)]
    if stdin.present:
        return [*made, Inner(words=(Word("sh"),), shown=True, host=host)]
    return made


def _container(lead: int) -> Callable[[Sequence[Word], Stdin], list[Inner]]:
    def read(args: Sequence[Word], stdin: Stdin) -> list[Inner]:
        _, at = after_options(args, _DOCKER_VALUED)
        rest = args[at:]
        if lead == 0 and rest and rest[0].text in ("compose", "container"):
            _, at = after_options(rest[1:], _DOCKER_VALUED)
            rest = rest[1 + at :]
        if not rest or rest[0].text not in ("exec", "run"):
            return []
        options, at = after_options(rest[1:], _DOCKER_VALUED)
        name, inner = rest[1 + at : 2 + at], list(rest[2 + at :])
        names = [word.text for word in options]
        for i, option in enumerate(names):
            if option == "--entrypoint" and i + 1 < len(names):
                inner = [options[i + 1], *inner]
            elif option.startswith("--entrypoint="):
                inner = [Word(option.partition("=")[2]), *inner]
        if not name or not inner:
            return []
        return [Inner(tuple(inner), shown=True, host=f"container:{name[0].text}")]

    return read


def _kubectl(args: Sequence[Word], stdin: Stdin) -> list[Inner]:
    _, at = after_options(args, _KUBECTL_VALUED)
    rest = args[at:]
    if not rest or rest[0].text not in ("exec", "run", "debug"):
        return []
    texts = [word.text for word in rest]
    if "--" in texts:
        inner = rest[texts.index("--") + 1 :]
    else:
        _, at = after_options(rest[1:], _KUBECTL_VALUED)
        _, more = after_options(rest[2 + at :], _KUBECTL_VALUED)
        inner = rest[2 + at + more :]
    _, at = after_options(rest[1:], _KUBECTL_VALUED)
    pod = texts[1 + at] if 1 + at < len(texts) else ""
    return [Inner(tuple(inner), shown=True, host=f"pod:{pod}")] if inner else []


def _su(args: Sequence[Word], stdin: Stdin) -> list[Inner]:
    valued = frozenset({"-c", "--command", "-s", "--shell", "-g", "-G", "-u", "--session-command"})
    user, line, i = "root", None, 0
    rest: list[Word] = []
    while i < len(args):
        text = args[i].text
        if text in ("-c", "--command", "--session-command") and i + 1 < len(args):
            line = args[i + 1]
        elif text.startswith("--command="):
            line = replace(args[i], text=text.partition("=")[2])
        elif text == "-u" and i + 1 < len(args):
            user = args[i + 1].text
        elif not text.startswith("-"):
            rest.append(args[i])
        i += 2 if text in valued else 1
    if rest and not any(word.text == "-u" for word in args):
        user = rest.pop(0).text
    if line is not None:
        return [Inner(line=line, runs_as=user)]
    return [Inner(tuple(rest) or (Word("sh"),), runs_as=user)]


def _find(args: Sequence[Word], stdin: Stdin) -> list[Inner]:
    texts = [word.text for word in args]
    starts = [text for text in _until_option(texts)] or ["."]
    named = next(
        (_next(texts, i) for i, t in enumerate(texts) if t in ("-name", "-iname", "-path")), "*"
    )
    found = Word(f"{starts[0].rstrip('/')}/{named.lstrip('/')}", glob=True)
    made: list[Inner] = []
    i = 0
    while i < len(args):
        if texts[i] in ("-exec", "-execdir", "-ok", "-okdir"):
            end = next((j for j in range(i + 1, len(args)) if texts[j] in (";", "+")), len(args))
            inner = tuple(
                replace(found, text=w.text.replace("{}", found.text)) if "{}" in w.text else w
                for w in args[i + 1 : end]
            )
            if inner:
                made.append(Inner(inner, shown=True))
            i = end
        i += 1
    return made


def _until_option(texts: Sequence[str]) -> list[str]:
    made: list[str] = []
    for text in texts:
        if text in ("-H", "-L", "-P"):
            continue
        if text.startswith(("-", "(", "!")):
            break
        made.append(text)
    return made


def _fd(args: Sequence[Word], stdin: Stdin) -> list[Inner]:
    texts = [word.text for word in args]
    for flag in ("-x", "-X", "--exec", "--exec-batch"):
        if flag in texts:
            rest = args[texts.index(flag) + 1 :]
            return [Inner((*rest, Word("(found)", known=False)), shown=True)] if rest else []
    return []


_GIT_COMMANDS = re.compile(
    r"(core\.(sshcommand|pager|editor|fsmonitor|askpass)|diff\.external|.*\.textconv|.*\.command"
    r"|credential(\..*)?\.helper|gpg\.program|sequence\.editor|.*\.cmd|filter\..*|pager\..*)",
    re.I,
)
_HARMLESS_VALUES = listed(
    "cat less more true false vim vi nano emacs delta diff-so-fancy store cache osxkeychain "
    "manager manager-core gpg gpg2 code ssh !gh"
)


def _git(args: Sequence[Word], stdin: Stdin) -> list[Inner]:
    texts = [word.text for word in args]
    made: list[Inner] = []
    for i, text in enumerate(texts):
        pair = ""
        if text == "-c" and i + 1 < len(args):
            pair = texts[i + 1]
        elif text == "config" and i + 2 < len(args):
            keys = [t for t in texts[i + 1 :] if not t.startswith("-") and t not in ("set", "add")]
            pair = "=".join(keys[:2]) if len(keys) > 1 else ""
        key, _, value = pair.partition("=")
        runs = key.lower().startswith("alias.") and value.startswith("!")
        if runs or (
            value
            and _GIT_COMMANDS.fullmatch(key)
            and value.split()[:1]
            and value.split()[0] not in _HARMLESS_VALUES
        ):
            made.append(Inner(line=Word(value.removeprefix("!")), shown=True))
        if text in ("--exec", "-x", "--tree-filter", "--index-filter", "--msg-filter"):
            made.append(Inner(line=args[i + 1] if i + 1 < len(args) else None, shown=True))
        if text.startswith(("--exec=", "--upload-pack=", "--receive-pack=")):
            made.append(Inner(line=Word(text.partition("=")[2], args[i].known), shown=True))
        if text == "foreach" or (text == "run" and i and texts[i - 1] == "bisect"):
            _, at = after_options(args[i + 1 :], frozenset())
            made.append(Inner(line=joined(args[i + 1 + at :]), shown=True))
    return [one for one in made if one.line is not None and one.line.text]


def _tar(args: Sequence[Word], stdin: Stdin) -> list[Inner]:
    made: list[Inner] = []
    for i, word in enumerate(args):
        value = ""
        if found := re.match(
            r"--checkpoint-action=exec=|--to-command=|--use-compress-program=|--rsh-command=|--info-script=|--new-volume-script=",
            word.text,
        ):
            value = word.text[found.end() :]
        elif word.text in ("-I", "-F", "--to-command", "--use-compress-program"):
            value = args[i + 1].text if i + 1 < len(args) else ""
        elif word.text.startswith("exec=") and i and args[i - 1].text == "--checkpoint-action":
            value = word.text.removeprefix("exec=")
        if value and value.split()[0] not in ("gzip", "pigz", "zstd", "xz", "bzip2", "lz4", "pxz"):
            made.append(Inner(line=Word(value, word.known), shown=True))
    return made


def _rsync(args: Sequence[Word], stdin: Stdin) -> list[Inner]:
    made: list[Inner] = []
    for i, word in enumerate(args):
        value = ""
        if word.text in ("-e", "--rsh", "--rsync-path") and i + 1 < len(args):
            value = args[i + 1].text
        elif word.text.startswith(("--rsh=", "--rsync-path=")):
            value = word.text.partition("=")[2]
        if value and value.split()[:1] not in (["ssh"], ["rsync"], ["sudo"]):
            made.append(Inner(line=Word(value, word.known), shown=True))
    return made


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
    "ssh": _ssh,
    "docker": _container(0),
    "podman": _container(0),
    "nerdctl": _container(0),
    "docker-compose": _container(1),
    "kubectl": _kubectl,
    "oc": _kubectl,
    "su": _su,
    "runuser": _su,
    "find": _find,
    "fd": _fd,
    "git": _git,
    "tar": _tar,
    "rsync": _rsync,
    "script": _line_flag("-c", "--command"),
    "nix-shell": _line_flag("--run", "--command"),
    "flock": _flock,
    "tmux": _tmux,
    "screen": _tmux,
    "at": _at,
    "batch": _at,
}


@dataclass(frozen=True, slots=True)
class ShellCall:
    """What a shell is asked to run: a text, a file, or else what it reads."""

    line: Word | None = None
    script: Word | None = None
    asked: bool = False  # -c without a text


def shell_call(args: Sequence[Word]) -> ShellCall:
    """Reads the arguments of `sh`."""
    wants_line = False
    at = 0
    while at < len(args):
        text = args[at].text
        if text == "--" or text == "-":
            at += 1
            break
        if not text or text[0] not in "-+":
            break
        at += 1
        if text in ("--rcfile", "--init-file", "--command"):
            wants_line = wants_line or text == "--command"
            at += text != "--command"
        elif not text.startswith("--"):
            wants_line = wants_line or (text[0] == "-" and "c" in text[1:])
            at += sum(letter in "oO" for letter in text[1:])
    rest = args[at:]
    if wants_line:
        return ShellCall(rest[0] if rest else None, asked=True)
    reads_input = any(
        w.text.startswith("-") and "s" in w.text[1:]
        for w in args[:at]
        if not w.text.startswith("--")
    )
    return ShellCall(script=rest[0] if rest and not reads_input else None)

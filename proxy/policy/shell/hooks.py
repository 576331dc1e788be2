"""Options by which an ordinary program runs another: `git -c alias.x=!…`, `tar --to-command`.

What belongs here: the options of git, tar and rsync that hold a command. The program itself counts
beside what it is made to run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from proxy.policy.shell.inner import Inner, after_options, joined
from proxy.policy.shell.line import Stdin, Word, listed

_GIT_COMMANDS = re.compile(
    r"(core\.(sshcommand|pager|editor|fsmonitor|askpass)|diff\.external|.*\.textconv|.*\.command"
    r"|credential(\..*)?\.helper|gpg\.program|sequence\.editor|.*\.cmd|filter\..*|pager\..*)",
    re.I,
)
_HARMLESS_VALUES = listed(
    "cat less more true false vim vi nano emacs delta diff-so-fancy store cache osxkeychain "
    "manager manager-core gpg gpg2 code ssh !gh"
)


def inside_git(args: Sequence[Word], stdin: Stdin) -> list[Inner]:
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


def inside_tar(args: Sequence[Word], stdin: Stdin) -> list[Inner]:
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


def inside_rsync(args: Sequence[Word], stdin: Stdin) -> list[Inner]:
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

"""Programs that run a program somewhere else, as somebody else, or on files that they find.

What belongs here: `ssh`, containers, pods, `su`, `find` and `fd`, each with its own layout of
arguments.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from proxy.policy.shell.inner import Inner, after_options, joined, next_of
from proxy.policy.shell.line import Stdin, Word, listed

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


def inside_ssh(args: Sequence[Word], stdin: Stdin) -> list[Inner]:
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


def inside_container(lead: int) -> Callable[[Sequence[Word], Stdin], list[Inner]]:
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


def inside_kubectl(args: Sequence[Word], stdin: Stdin) -> list[Inner]:
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


def inside_su(args: Sequence[Word], stdin: Stdin) -> list[Inner]:
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


def inside_find(args: Sequence[Word], stdin: Stdin) -> list[Inner]:
    texts = [word.text for word in args]
    starts = [text for text in _until_option(texts)] or ["."]
    named = next(
        (next_of(texts, i) for i, t in enumerate(texts) if t in ("-name", "-iname", "-path")), "*"
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


def inside_fd(args: Sequence[Word], stdin: Stdin) -> list[Inner]:
    texts = [word.text for word in args]
    for flag in ("-x", "-X", "--exec", "--exec-batch"):
        if flag in texts:
            rest = args[texts.index(flag) + 1 :]
            return [Inner((*rest, Word("(found)", known=False)), shown=True)] if rest else []
    return []

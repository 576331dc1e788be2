"""What a program's arguments touch: files read, written, deleted; hosts; whether data leaves.

What belongs here: for each well-known program, which of its words are which. Of a program that is
not listed, every word that looks like a path may be read (so that a secret's path is never missed)
and every URL may be reached.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from proxy.policy.shell.line import Command, Facts, listed
from proxy.policy.shell.network import hosts_of, sends, urls_in
from proxy.policy.shell.options import Parsed, parse_options
from proxy.policy.shell.secret_paths import is_secret, normal_path

_ALL = listed(
    "cat tac nl head tail less more most bat batcat wc sort uniq cut paste od xxd hexdump hd strings "
    "base64 base32 basenc md5sum sha1sum sha256sum sha512sum shasum cksum b2sum diff cmp comm join "
    "column fold fmt pr rev shuf expand unexpand iconv gzip gunzip zcat bzip2 bunzip2 bzcat xz unxz "
    "xzcat zstd zless zmore view vi vim nvim nano emacs code pbcopy xclip lp lpr source . tsort "
    "sdiff vimdiff colordiff delta glow mdcat pygmentize hexyl csvlook csvcut mlr qpdf pdftotext "
    "pandoc exiftool identify dos2unix unix2dos enscript ptx look sum"
)
_AFTER_PATTERN = listed(
    "grep egrep fgrep zgrep rg ag ack sed gsed awk gawk mawk nawk jq yq xq tomlq"
)
_COPIES = listed("cp mv install scp rsync ln gcp gmv")
_MAKES = listed("touch mkdir truncate mkfifo mknod tee sponge fallocate")
_REMOVES = listed("rm rmdir unlink shred srm trash trash-put grm del")
_READS_NOT = listed(
    "ls ll dir stat test [ [[ rm rmdir mkdir touch chmod chown chgrp du df file find fd echo printf "
    "cd pushd popd basename dirname realpath readlink which type whereis command export ssh "
    "ssh-add ssh-copy-id true false kill locate tree unlink shred umask alias unset set declare "
    "local exit return : sleep mktemp truncate eza exa lsof fuser git-check-ignore read "
    "mountpoint mount umount trash tput tee"
)
"""Programs that name a file without showing what is in it."""
_USES = listed(
    "-i --identity --identity-file --key --cert --cacert --kubeconfig --private-key --config "
    "--netrc-file --env-file --userconfig --defaults-file --ssl-key --client-key "
    "--client-certificate --certificate-authority --tlskey --vault-password-file -E "
    "--certificate --keyfile --profile"
)
"""Options that use a secret file for what it is there for; they do not show it."""
_NOWHERE = re.compile(
    r"/dev/((tcp|udp)/.*|null|zero|stdin|stdout|stderr|tty|fd/\d+|u?random|full)|-|&?\d+"
)
_LOOKS_LIKE_PATH = re.compile(r"[/~]|^\.|\.[A-Za-z][\w-]{0,15}$|[*?]")
_REMOTE = re.compile(r"(?:[\w.-]+@)?(?:[\w.-]{2,}|\[[0-9a-fA-F:]+\]):(?!//)|rsync://|\w+://")
_MAX = 256
"""Of any list: beyond it the line is for a person anyway, and `commands` says so."""


@dataclass(slots=True)
class _Found:
    reads: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    deletes: list[str] = field(default_factory=list)


def describe(command: Command) -> Facts:
    """Returns what a command touches."""
    program = command.program
    parsed = parse_options(program, command.args)
    found = _Found()
    if not command.function:
        _by_program(program, parsed, command, found)
    for redirect in command.redirects:
        if redirect.reads:
            found.reads.append(redirect.target.text)
        if redirect.writes:
            found.writes.append(redirect.target.text)
    words = tuple(word.text for word in parsed.words)
    paths = [text for text in words if _LOOKS_LIKE_PATH.search(text) and "://" not in text]
    cwd = command.cwd
    reads = _files(found.reads, cwd)
    globs = {normal_path(w.text, cwd) for w in command.args if w.glob}
    # A secret is looked for in what is read, and in all that a program of unknown habits is given.
    asked = list(reads)
    if program not in _READS_NOT and program not in _AFTER_PATTERN | _ALL:
        asked += _files(_given(parsed), cwd)
    secrets = [path for path in asked if is_secret(path, glob=path in globs or "*" in path)]
    return Facts(
        words=words[:_MAX],
        flags=parsed.flags[:_MAX],
        options=parsed.options,
        paths=_files(paths, cwd),
        urls=_some(urls_in(command.args)),
        hosts=_some(hosts_of(command, parsed)),
        reads=reads,
        writes=_files(found.writes, cwd),
        deletes=_files(found.deletes, cwd),
        secrets=_some(secrets),
        sends_data=sends(command, parsed),
    )


def _given(parsed: Parsed) -> list[str]:
    """Every text that may name a file, also behind `@` and `=`, as in `-F file=@.env`."""
    made: list[str] = []
    texts = [word.text for word in parsed.words]
    texts += [w.text for name, ws in parsed.values.items() if name not in _USES for w in ws]
    for text in texts:
        if len(text) > 4096:
            continue
        parts = re.split(r"[@=<,:]", text)
        for part in [text, *parts[1:]] if "=" not in text else parts[1:]:
            if _LOOKS_LIKE_PATH.search(part) and not re.search(r"\s", part.strip()):
                made.append(part)
    return made


def _by_program(program: str, parsed: Parsed, command: Command, found: _Found) -> None:
    words = [word.text for word in parsed.words]
    value = parsed.options.get
    if program in _ALL:
        found.reads += words
        if program == "sort":
            found.writes += _present(value("-o"), value("--output"))
    elif program in _AFTER_PATTERN:
        found.reads += _after_pattern(program, parsed, words)
        if program in ("sed", "gsed") and {"-i", "--in-place"} & set(parsed.flags):
            found.writes += found.reads
    elif program in _COPIES:
        _copy(program, parsed, words, found)
    elif program in _REMOVES:
        found.deletes += words
    elif program in _MAKES:
        found.writes += words
    elif reader := _OTHERS.get(program):
        reader(parsed, words, found)


def _after_pattern(program: str, parsed: Parsed, words: list[str]) -> list[str]:
    given = {"-e", "-f", "--regexp", "--file", "--expression", "--from-file"} & set(parsed.flags)
    if "--files" in parsed.flags:
        given.add("--files")
    made = words if given else words[1:]
    made = [*made, *_present(parsed.options.get("-f") if program in ("grep", "jq") else None)]
    deep = {"-r", "-R", "--recursive"} & set(parsed.flags)
    finds = program.endswith("grep") and deep
    return made or (["."] if finds or program in ("rg", "ag", "ack") else [])


def _copy(program: str, parsed: Parsed, words: list[str], found: _Found) -> None:
    folder = parsed.options.get("-t") or parsed.options.get("--target-directory")
    sources, targets = (words, [folder]) if folder else (words[:-1], words[-1:])
    if program == "ln" and len(words) == 1:
        sources, targets = words, ["."]
    if program == "install" and "-d" in parsed.flags:
        sources, targets = [], words
    remote = program in ("scp", "rsync")
    found.reads += [s for s in sources if not (remote and _REMOTE.match(s))]
    local = [t for t in targets if not (remote and _REMOTE.match(t))]
    found.writes += local
    if program == "mv":
        found.writes += sources
    if program == "rsync" and any(f.startswith("--delete") for f in parsed.flags):
        found.deletes += targets
    if program == "rsync" and "--remove-source-files" in parsed.flags:
        found.deletes += sources


def _curl(parsed: Parsed, words: list[str], found: _Found) -> None:
    for name, values in parsed.values.items():
        for text in (word.text for word in values):
            if name in ("-d", "--data", "--data-ascii", "--data-binary", "--json"):
                found.reads += [text[1:]] if text.startswith("@") else []
            elif name in ("-F", "--form", "--data-urlencode", "--url-query"):
                found.reads += re.findall(r"[@<]([^;,]+)", text)[:1]
            elif name in ("-T", "--upload-file", "-K", "--config"):
                found.reads.append(text)
            elif name in ("-b", "--cookie"):
                found.reads += [] if "=" in text else [text]
            elif name in ("-o", "--output", "-D", "--dump-header", "-c", "--cookie-jar"):
                found.writes.append(text)
    for word in words:
        if word.lower().startswith("file:"):
            found.reads.append(word)
        elif {"-O", "--remote-name", "--remote-name-all"} & set(parsed.flags):
            found.writes.append(word.split("?")[0].rstrip("/").rpartition("/")[2] or ".")


def _wget(parsed: Parsed, words: list[str], found: _Found) -> None:
    value = parsed.options.get
    found.reads += _present(value("--post-file"), value("--body-file"), value("-i"))
    named = _present(value("-O"), value("--output-document"))
    found.writes += named or [w.split("?")[0].rstrip("/").rpartition("/")[2] or "." for w in words]


def _tar(parsed: Parsed, words: list[str], found: _Found) -> None:
    flags = set(parsed.flags)
    archive = _present(parsed.options.get("-f"), parsed.options.get("--file"))
    if words and not flags & {"-c", "-x", "-t", "-r", "-u", "--create", "--extract", "--list"}:
        flags |= {f"-{letter}" for letter in words[0]}  # `tar czf out in`: no dash
        words = words[1:]
        if "-f" in flags and not archive:
            archive, words = words[:1], words[1:]
    if flags & {"-x", "--extract", "--get"}:
        found.reads += archive
        found.writes.append(parsed.options.get("-C") or parsed.options.get("--directory") or ".")
    elif flags & {"-t", "--list"}:
        found.reads += archive
    else:
        found.writes += archive
        found.reads += words
    found.reads += _present(parsed.options.get("-T"), parsed.options.get("--files-from"))


def _zip(parsed: Parsed, words: list[str], found: _Found) -> None:
    found.writes += words[:1]
    found.reads += words[1:]


def _unzip(parsed: Parsed, words: list[str], found: _Found) -> None:
    found.reads += words[:1]
    found.writes.append(parsed.options.get("-d") or ".")


def _dd(parsed: Parsed, words: list[str], found: _Found) -> None:
    found.reads += [w[3:] for w in words if w.startswith("if=")]
    found.writes += [w[3:] for w in words if w.startswith("of=")]


def _find(parsed: Parsed, words: list[str], found: _Found) -> None:
    # `find . -name '*.pyc' -delete` leaves the pattern among the words, for find's options have one dash.
    if "-delete" in parsed.flags:
        start = words[0] if words and words[0] not in ("(", "!") else "."
        named = {"-name", "-iname", "-path", "-ipath"} & set(parsed.flags)
        patterns = [word for word in words[1:] if "*" in word or "." in word] if named else []
        found.deletes += [f"{start}/{pattern}" for pattern in patterns] or [start]


def _openssl(parsed: Parsed, words: list[str], found: _Found) -> None:
    # `-in x` leaves x among the words: openssl's options are not listed.
    flags = parsed.flags
    if {"-in", "-inkey", "-key"} & set(flags):
        found.reads += [w for w in words[1:] if _LOOKS_LIKE_PATH.search(w)]
    if "-out" in flags:
        found.writes += words[-1:]


def _git(parsed: Parsed, words: list[str], found: _Found) -> None:
    if words[:1] == ["rm"]:
        found.deletes += words[1:]
    elif words[:1] == ["clean"] and "-n" not in parsed.flags and "--dry-run" not in parsed.flags:
        found.deletes += words[1:] or ["."]
    elif words[:1] == ["clone"]:
        found.writes += words[2:3] or ["."]


def _store_copy(parsed: Parsed, words: list[str], found: _Found) -> None:
    """`aws s3 cp`, `gsutil cp`, `docker cp`, `kubectl cp`, `rclone copy`."""
    verbs = [i for i, word in enumerate(words) if word in ("cp", "mv", "sync", "copy", "rsync")]
    if not verbs:
        return
    files = words[verbs[0] + 1 :]
    found.reads += [w for w in files[:-1] if not _REMOTE.match(w)]
    found.writes += [w for w in files[-1:] if not _REMOTE.match(w)]


def _script(parsed: Parsed, words: list[str], found: _Found) -> None:
    found.reads += [] if {"-m", "-c", "-e"} & set(parsed.flags) else words[:1]


def _patch(parsed: Parsed, words: list[str], found: _Found) -> None:
    found.reads += words[1:2]
    found.writes += words[:1] or ["."]


def _outputs(parsed: Parsed, words: list[str], found: _Found) -> None:
    found.writes += _present(parsed.options.get("-o"), parsed.options.get("--output"))
    found.reads += words


_OTHERS = {
    "curl": _curl, "wget": _wget, "tar": _tar, "bsdtar": _tar, "zip": _zip, "7z": _zip,
    "unzip": _unzip, "dd": _dd, "find": _find, "openssl": _openssl, "git": _git, "aws": _store_copy,
    "gsutil": _store_copy, "docker": _store_copy, "podman": _store_copy, "kubectl": _store_copy,
    "oc": _store_copy, "rclone": _store_copy, "gcloud": _store_copy, "python": _script,
    "node": _script, "ruby": _script, "perl": _script, "php": _script, "bash": _script,
    "sh": _script, "zsh": _script, "patch": _patch, "gpg": _outputs, "gpg2": _outputs,
    "age": _outputs, "sops": _outputs, "pg_dump": _outputs,
}  # fmt: skip


def _present(*texts: str | None) -> list[str]:
    return [text for text in texts if text]


def _files(texts: Iterable[str], cwd: str) -> tuple[str, ...]:
    return _some(normal_path(text, cwd) for text in texts if text and not _NOWHERE.fullmatch(text))


def _some(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))[:_MAX]

"""Network programs: which hosts a command reaches, and whether it sends data there.

What belongs here: the well-known clients and how they name their hosts. Where a client's host
cannot be read, the host is the text "unknown", so that the effect is there all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from proxy.policy.shell.line import Command, Word, listed
from proxy.policy.shell.options import Parsed

UNKNOWN = "unknown"

_WEB = listed("curl wget http https xh aria2c lynx w3m links elinks fetch axel GET POST")
_SOCKETS = listed("nc ncat netcat telnet ftp lftp tftp ncftp ncftpput rsh rlogin")
_LOGINS = listed("ssh sftp mosh autossh ssh-copy-id sshpass")
_COPIERS = listed("scp rsync")
_PROBES = listed(
    "ping ping6 nmap dig host nslookup traceroute tracepath mtr whois masscan drill kdig "
    "resolvectl getent fping hping3 arping iperf iperf3 websocat wscat grpcurl"
)
_MAILERS = listed("mail mailx mutt sendmail msmtp swaks ssmtp s-nail")
_STORES = listed("aws gsutil rclone s3cmd s5cmd mc azcopy b2")
CLIENTS = _WEB | _SOCKETS | _LOGINS | _COPIERS | _PROBES | _MAILERS | _STORES | {"socat"}
DOWNLOADERS = _WEB | _SOCKETS | _STORES | {"socat", "openssl", "ssh", "scp", "git", "gh", "sftp"}
"""Programs whose output may come from the network."""
_QUIET = listed(
    "echo printf grep egrep fgrep rg sed awk jq yq cat tee head tail test [ [[ export cut tr sort "
    "read true false : git gh kubectl python node cd ls"
)
"""Programs that reach no host because a URL stands in their arguments."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s'\"<>|;]*")
_AUTHORITY = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//([^/?#\\]*)")
_DEV = re.compile(r"/dev/(?:tcp|udp)/([^/\s]+)/")
_SCP_LIKE = re.compile(r"(?:[^@\s/]+@)?(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._$-]+):(?!//)")
_SOCAT = re.compile(
    r"(?:TCP|UDP|SSL|OPENSSL|SCTP|PROXY|SOCKS\w*)[46]?(?:-CONNECT|-SENDTO|-DATAGRAM)?:([^:,]+)",
    re.I,
)
_CURL_BODY = listed(
    "-d --data --data-raw --data-binary --data-ascii --data-urlencode --json -F --form "
    "--form-string -T --upload-file --url-query --mail-from -Q --quote"
)
_WGET_BODY = listed("--post-data --post-file --body-data --body-file")
_ELSEWHERE = (
    "-x", "--proxy", "--preproxy", "--socks4", "--socks4a", "--socks5", "--socks5-hostname",
    "--doh-url", "--endpoint-url", "--url",
)  # fmt: skip
_WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})


def host_of(text: str) -> str:
    """Returns the host of a URL or of `host[:port][/path]`, lower case, without port and user."""
    found = _AUTHORITY.match(text)
    authority = found[1] if found else re.split(r"[/?#\\]", text, maxsplit=1)[0]
    authority = authority.rpartition("@")[2]
    if authority.startswith("["):
        return authority.partition("]")[0].lstrip("[").lower() or UNKNOWN
    return authority.partition(":")[0].rstrip(".").lower() or UNKNOWN


def urls_in(args: Iterable[Word]) -> list[str]:
    return [url for word in args for url in _URL.findall(word.text[:8192])]


def hosts_of(command: Command, parsed: Parsed) -> list[str]:
    """Returns the hosts that a command reaches, as far as its arguments say."""
    made = _by_program(command, parsed)
    texts = [word.text for word in command.args] + [r.target.text for r in command.redirects]
    made += [host.lower() for text in texts for host in _DEV.findall(text[:8192])]
    if not made and command.program not in _QUIET and command.program not in CLIENTS:
        made += [host_of(url) for url in urls_in(command.args) if not url.startswith("file:")]
    return made


def _by_program(command: Command, parsed: Parsed) -> list[str]:
    program = command.program
    words = [_shown(word) for word in parsed.words]
    if program in _WEB:
        # httpie's first words are a method and a URL; its items hold `=` or `:`.
        if program in ("http", "https", "xh"):
            words = [w for w in words if not w.isupper()][:1]
        given = [host_of(w) for w in words if not w.lower().startswith("file:")]
        given += [host_of(parsed.options[name]) for name in _ELSEWHERE if name in parsed.options]
        for word in parsed.values.get("--resolve", []):
            given += [word.text.split(":", 2)[-1].strip("[]")]
        for word in parsed.values.get("--connect-to", []):
            given += [part for part in word.text.split(":")[2:3] if part]
        only_local = bool(words) and not given
        return given or ([] if only_local else [UNKNOWN])
    if program in _LOGINS:
        given = [host_of(w) for w in words[:1]]
        return given + [host_of(parsed.options[n]) for n in ("-J", "-W") if n in parsed.options]
    if program in _COPIERS:
        return [_remote(w) for w in words if _remote(w)]
    if program in _SOCKETS:
        if {"-l", "-L"} & set(parsed.flags):
            return ["listening"]
        return [host_of(words[0]) if words else UNKNOWN]
    if program == "socat":
        return [host.lower() for word in words for host in _SOCAT.findall(word)]
    if program == "openssl" and words[:1] == ["s_client"]:
        return [host_of(w) for w in words[1:2]] or [UNKNOWN]
    if program in _PROBES:
        return [host_of(w.removeprefix("@")) for w in words if "." in w or ":" in w or "$" in w]
    if program in _MAILERS:
        return [w.rpartition("@")[2].lower() for w in words if "@" in w] or [UNKNOWN]
    if program == "git":
        return _git(parsed, words)
    if program in _STORES or program == "gcloud":
        return _store(program, parsed, words)
    if program in ("docker", "podman") and words[:1] in (["push"], ["pull"], ["login"]):
        first = words[1].partition("/")[0] if len(words) > 1 else ""
        return [first.lower() if "." in first or ":" in first else "docker.io"]
    return []


def _shown(word: Word) -> str:
    """A word as a host's name can be read off it: what is not known is a star."""
    if word.known:
        return word.text
    return re.sub(r"\$\(.*\)|`.*`|\$\{[^}]*\}|\$\w+", "*", word.text[:8192], flags=re.DOTALL)


def _remote(word: str) -> str:
    if "://" in word:
        return host_of(word)
    found = _SCP_LIKE.match(word)
    return found[1].strip("[]").lower() if found else ""


def _git(parsed: Parsed, words: list[str]) -> list[str]:
    if words[:1] not in (["push"], ["pull"], ["fetch"], ["clone"], ["ls-remote"], ["remote"],
                         ["submodule"], ["archive"]):  # fmt: skip
        return []
    hosts = [_remote(word) for word in words[1:] if _remote(word)]
    if hosts or words[0] in ("remote", "submodule", "archive", "clone"):
        return hosts
    return [f"remote {words[1]}" if len(words) > 1 else "remote origin"]


def _store(program: str, parsed: Parsed, words: list[str]) -> list[str]:
    made = [host_of(parsed.options["--endpoint-url"])] if "--endpoint-url" in parsed.options else []
    for word in words:
        if found := re.match(r"(s3|gs|az|b2)://([^/]+)", word):
            made.append(f"{found[1]}://{found[2]}")
        elif program in ("rclone", "mc") and (found := re.match(r"([\w-]{2,}):(?!//)", word)):
            made.append(f"{found[1]}:")
    return made


def sends(command: Command, parsed: Parsed) -> bool:
    """Tells whether a command sends data of ours to a host, as far as its arguments say."""
    program = command.program
    flags = set(parsed.flags)
    words = [word.text for word in parsed.words]
    piped = command.stdin.present or any(r.reads for r in command.redirects)
    if any(_DEV.search(r.target.text) and r.writes for r in command.redirects):
        return True
    if program in CLIENTS and any(word.substituted for word in command.args):
        return True  # `curl host/?$(cat .env)`: in the URL, a header, a name to look up
    method = parsed.options.get("-X") or parsed.options.get("--request") or ""
    if program == "curl":
        # A file of options may hold a body as well as an address.
        return bool(flags & (_CURL_BODY | {"-K", "--config"})) or method.upper() in _WRITING
    if program == "wget":
        asked = parsed.options.get("--method", "").upper()
        return bool(flags & _WGET_BODY) or asked in _WRITING
    if program in ("http", "https", "xh"):
        items = any(re.search(r"[^=!:]=|@", w) for w in words[1:])
        return items or piped or bool(set(words) & _WRITING)
    if program in _SOCKETS or program == "socat":
        return piped or bool(flags & {"-e", "-c"}) or any("EXEC" in w.upper() for w in words)
    if program in ("scp", "rsync"):
        return bool(words) and bool(_remote(words[-1]))
    if program in ("ssh", "openssl"):
        return piped and (program == "ssh" or words[:1] == ["s_client"])
    if program in _MAILERS:
        return True
    if program == "sftp":
        return piped or "-b" in flags
    if program in _STORES or program == "gcloud":
        return _store_sends(words)
    if program == "git":
        return words[:1] == ["push"]
    return program in ("docker", "podman") and words[:1] == ["push"]


def _store_sends(words: list[str]) -> bool:
    verbs = [i for i, w in enumerate(words) if w in ("cp", "mv", "sync", "copy", "rsync", "put")]
    if not verbs:
        return bool({"put-object", "upload", "rcat", "moveto", "copyto"} & set(words))
    target = words[-1]
    return bool(re.match(r"\w[\w-]+:", target))

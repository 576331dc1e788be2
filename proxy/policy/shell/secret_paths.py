"""Paths that hold secrets: keys, credentials, tokens, password files, process environments.

What belongs here: one question, `is_secret(path)`, asked of normalised paths and of globs. A glob is
secret where it matches one of the usual places; `*` alone is not, as it matches no hidden file.
"""

from __future__ import annotations

import posixpath
import re
from fnmatch import fnmatchcase

_SECRET = re.compile(
    r"""
    (^|/)(
        \.env(\.(?!(example|sample|template|dist|defaults?|test|schema)$)[\w.-]+)?$ | \.envrc$
      | [^/]*\.(pem|key|p12|pfx|jks|keystore|kdbx|ppk|asc\.key|tfstate(\.backup)?|tfvars)$
      | id_(rsa|dsa|ecdsa|ed25519|ecdsa_sk|ed25519_sk)$ | ssh_host_\w+_key$
      | \.ssh(/(?!(config|known_hosts(\.old)?|authorized_keys|[\w.-]+\.pub)$)[^/]*)?$
      | \.aws(/(credentials|cli/cache.*|sso/cache.*)?)?$ | \.azure(/.*)?$
      | \.config/(gcloud|gh|hub|op|rclone|doctl|sops|age)(/.*)?$ | \.boto$ | \.s3cfg$
      | application_default_credentials\.json$ | service[-_]?account[\w.-]*\.json$
      | \.kube(/(config.*)?)?$ | kubeconfig[\w.-]*$ | [^/]*\.kubeconfig$ | admin\.conf$
      | \.docker/config\.json$ | \.dockercfg$ | \.dockerconfigjson$
      | \.netrc$ | _netrc$ | \.npmrc$ | \.yarnrc\.yml$ | \.pypirc$ | \.pgpass$ | \.my\.cnf$
      | \.git-credentials$ | \.htpasswd$ | \.vault-token$ | \.gem/credentials$
      | \.cargo/credentials(\.toml)?$ | \.m2/settings\.xml$ | \.gradle/gradle\.properties$
      | \.terraform\.d/credentials\.tfrc\.json$ | \.terraformrc$ | \.gnupg(/.*)?$
      | \.password-store(/.*)?$ | \.(bash|zsh|python|psql|mysql|node_repl)_history$
      | etc/(shadow|gshadow|sudoers|master\.passwd|krb5\.keytab)-?$ | etc/sudoers\.d(/.*)?$
      | etc/ssl/private(/.*)?$ | etc/kubernetes/(pki(/.*)?|\w+\.conf)$
      | proc/[^/]+/(environ|mem|maps)$ | run/secrets(/.*)?$ | var/run/secrets(/.*)?$
      | (credentials?|secrets?|passwords?|passwd|private[-_]?keys?)(\.(json|ya?ml|toml|ini|txt|xml|csv|enc|env|conf|cfg|properties|gpg))?$
      | [\w.-]*[._-](credentials?|secrets?|passwords?|private[-_]?key)\.(json|ya?ml|toml|ini|txt|env|conf|cfg|properties)$
      | [\w.-]*(access|auth|api|refresh|bearer|deploy|session|github|gitlab|slack|vault|bot)[-_]?tokens?(\.(json|ya?ml|txt|env))?$
      | \.?tokens?(\.(json|txt|env))?$ | api[-_]?keys?(\.(json|ya?ml|txt|env))?$
      | login\ data$ | cookies(\.sqlite|\.binarycookies)?$ | key[34]\.db$ | logins\.json$
      | library/keychains(/.*)?$ | [\w.-]*\.keychain(-db)?$ | wallet\.dat$
      | g?shadow$ | (sam|ntds\.dit)$ | web\.config$ | wp-config\.php$ | \.rails/master\.key$
    )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_PUBLIC = re.compile(
    r"(^|/)etc/passwd-?$|\.(crt|cer|pub|py|js|ts|go|rs|java|rb|md|html|c|h)$", re.I
)
_USUAL = tuple(
    [
        "/etc/shadow",
        "/etc/gshadow",
        "/etc/sudoers",
        "~/.ssh/id_rsa",
        "~/.ssh/id_ed25519",
        "~/.aws/credentials",
        "~/.kube/config",
        "~/.netrc",
        "~/.npmrc",
        "~/.pypirc",
        "~/.docker/config.json",
        "~/.git-credentials",
        "~/.pgpass",
        "~/.vault-token",
        "~/.config/gh/hosts.yml",
        "~/.config/gcloud/credentials.db",
        "~/.bash_history",
        ".env",
        ".env.local",
        ".env.production",
        ".netrc",
        ".npmrc",
        "id_rsa",
        "id_ed25519",
        "server.pem",
        "private.pem",
        "server.key",
        "private.key",
        "terraform.tfstate",
        "secrets.yaml",
        "secrets.json",
        "credentials.json",
        "credentials",
        "token.txt",
        "/proc/self/environ",
        "/root/.ssh/id_rsa",
        "/home/user/.ssh/id_rsa",
        "/home/user/.aws/credentials",
        "/root/.aws/credentials",
        "/root/.kube/config",
        "/run/secrets/token",
        "/var/run/secrets/kubernetes.io/serviceaccount/token",
    ]
)
_PROC_ROOT = re.compile(r"^/proc/(?:self|thread-self|\d+)/(?:root|cwd)(?=/)")


def normal_path(path: str, cwd: str = "") -> str:
    """Returns a path without `.`, `..`, `//`, `file://` and `/proc/self/root`, in a known folder."""
    path = re.sub(r"^file:/+", "/", path)
    if not path or "\0" in path:
        return path
    if cwd and not path.startswith(("/", "~", "$")):
        path = f"{cwd}/{path}"
    slashed = path.endswith("/")
    path = posixpath.normpath(path)
    path = "/" + path.lstrip("/") if path.startswith("/") else path
    while found := _PROC_ROOT.match(path):
        path = path[found.end() :] or "/"
    return f"{path}/" if slashed and path != "/" and path.endswith("/") else path


def is_secret(path: str, *, glob: bool = False) -> bool:
    """Tells whether a path is one where secrets are kept."""
    if len(path) > 4096:
        return False
    if _PUBLIC.search(path):
        return False
    if _SECRET.search(path):
        return True
    if not glob or path.count("*") > 8:
        return False
    return any(_glob_hits(path, usual) for usual in _USUAL)


def _glob_hits(pattern: str, usual: str) -> bool:
    wanted, parts = pattern.split("/"), usual.split("/")
    if len(wanted) == 1 and not set(pattern) - set("*?."):
        return pattern.startswith(".") and usual.startswith(".")
    if len(wanted) == 1:
        parts = parts[-1:]
        if usual.startswith(("/", "~")) and not wanted[0].startswith("."):
            return False
    if len(wanted) != len(parts):
        return False
    return all(
        fnmatchcase(part, want) and (want.startswith(".") or not part.startswith("."))
        for part, want in zip(parts, wanted, strict=True)
    )

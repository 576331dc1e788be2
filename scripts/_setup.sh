# shellcheck shell=bash
# Sets up .venv for the scripts beside it; sourced by them, not run. Bash 3.2 (macOS) will do.
#
# How it works. A Python of at least 3.13 is found by running candidates, because a shim that exists
# may not run. uv is found the same way, else installed into .cache/uv-venv. `uv sync --frozen` then
# fills .venv from uv.lock. What was synced is copied to a stamp in .venv; while the stamp, the
# checkout's path and the interpreter are as they were, there is nothing to do.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv="$root/.venv"
cache="$root/.cache"
stamp="$venv/.checkrein-synced"

# A company's own CA is in the system's store, which uv does not read by itself. Without a store (a bare
# Debian) uv's built-in one is the better.
for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
    if [ -s "$bundle" ]; then export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"; fi
done

say() { printf '%s\n' "$*" >&2; }

# Prints the real interpreter behind a candidate, or fails. A virtual environment's python is
# followed to its base: .venv must not be built from itself.
prove_python() {
    "$1" -I -c 'import sys, ssl, sqlite3, venv
assert sys.version_info >= (3, 13)
print(getattr(sys, "_base_executable", None) or sys.executable)' 2>/dev/null
}

python_candidates() {
    local place
    [ -z "${PYTHON:-}" ] || printf '%s\n' "$PYTHON"
    printf '%s\n' "$venv/bin/python" python3.13 python3.14 python3 python
    for place in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/python "$HOME"/.pyenv/versions/*/bin/python \
        "${UV_PYTHON_INSTALL_DIR:-${XDG_DATA_HOME:-$HOME/.local/share}/uv/python}"/*/bin/python3 \
        /opt/homebrew/bin/python3.1[3-9] /opt/homebrew/bin/python3 \
        /usr/local/bin/python3.1[3-9] /usr/local/bin/python3; do
        [ ! -x "$place" ] || printf '%s\n' "$place"
    done
}

find_python() {
    local candidate
    while IFS= read -r candidate; do
        command -v "$candidate" >/dev/null 2>&1 || continue
        if prove_python "$candidate" </dev/null; then return 0; fi
        [ "$candidate" != "${PYTHON:-}" ] || say "PYTHON=$PYTHON is not a working Python 3.13 or newer; looking for another."
    done <<LIST
$(python_candidates)
LIST
    return 1
}

# uv.lock's format needs uv 0.9 or newer.
prove_uv() {
    local version
    version=$("$1" --version 2>/dev/null </dev/null) || return 1
    [[ $version =~ ^uv\ ([0-9]+)\.([0-9]+) ]] || return 1
    [ "${BASH_REMATCH[1]}" -gt 0 ] || [ "${BASH_REMATCH[2]}" -ge 9 ]
}

find_uv() {
    local candidate
    for candidate in "${UV:-}" uv "$HOME/.local/bin/uv" "$HOME/.cargo/bin/uv" /opt/homebrew/bin/uv \
        /usr/local/bin/uv "$cache/uv-venv/bin/uv" "$venv/bin/uv"; do
        [ -n "$candidate" ] || continue
        if prove_uv "$candidate"; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

# Any Python with venv and pip can carry uv, an old one too.
bootstrap_uv() {
    local candidate
    for candidate in "$@" python3 python; do
        command -v "$candidate" >/dev/null 2>&1 || continue
        rm -rf "$cache/uv-venv"
        say "uv was not found: installing it into .cache/uv-venv with $candidate"
        if "$candidate" -m venv "$cache/uv-venv" >&2 \
            && "$cache/uv-venv/bin/python" -m pip install --quiet --disable-pip-version-check 'uv>=0.9' >&2 \
            && prove_uv "$cache/uv-venv/bin/uv"; then
            printf '%s\n' "$cache/uv-venv/bin/uv"
            return 0
        fi
    done
    return 1
}

synced() {
    [ -f "$stamp" ] && [ -x "$venv/bin/checkrein" ] \
        && { printf '%s\n' "$root" && cat "$root/uv.lock" "$root/pyproject.toml"; } | cmp -s - "$stamp" \
        && prove_python "$venv/bin/python" >/dev/null
}

sync_environment() {
    local python uv
    python=$(find_python) || python=""
    # shellcheck disable=SC2086 # no Python: no argument
    uv=$(find_uv) || uv=$(bootstrap_uv ${python:+"$python"}) || {
        say "checkrein cannot be set up: uv (0.9 or newer) was not found and could not be installed."
        say "Install it (https://docs.astral.sh/uv/getting-started/installation/), or on Debian"
        say "'apt-get install python3-venv', then run this again."
        return 1
    }
    if [ -z "$python" ]; then
        say "No Python 3.13 or newer was found on this machine: asking uv to download one."
        if "$uv" python install 3.13 >&2; then
            python=$("$uv" python find --managed-python 3.13) && python=$(prove_python "$python") || python=""
        fi
    fi
    if [ -z "$python" ]; then
        say "checkrein cannot be set up: it needs Python 3.13 or newer with ssl, sqlite3 and venv."
        say "Install one ('brew install python@3.13', 'pyenv install 3.13', or your system's package)"
        say "and run this again; PYTHON=/path/to/python names one that is not found by itself."
        return 1
    fi
    say "Setting up .venv with $python"
    rm -f "$stamp"
    # --frozen: uv.lock decides. A VIRTUAL_ENV or project path of the caller's must not win over .venv.
    (
        unset VIRTUAL_ENV
        cd "$root" && UV_PROJECT_ENVIRONMENT="$venv" UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=1 \
            "$uv" sync --frozen --quiet --python "$python" >&2
    ) || {
        say "'uv sync' failed (see above); without a network it needs its cache filled by an earlier run."
        return 1
    }
    { printf '%s\n' "$root" && cat "$root/uv.lock" "$root/pyproject.toml"; } >"$stamp.new.$$"
    mv "$stamp.new.$$" "$stamp"
}

# One set-up at a time: flock where there is one (Linux), else a directory with its owner's pid.
lock() {
    mkdir -p "$cache"
    if command -v flock >/dev/null 2>&1; then
        exec 9>"$cache/setup.lock"
        flock 9
        return
    fi
    local owner
    until mkdir "$cache/setup.lock.d" 2>/dev/null; do
        owner=$(cat "$cache/setup.lock.d/pid" 2>/dev/null || true)
        if [ -n "$owner" ] && ! kill -0 "$owner" 2>/dev/null; then
            rm -rf "$cache/setup.lock.d" # its owner died
        else
            sleep 1
        fi
    done
    printf '%s\n' "$$" >"$cache/setup.lock.d/pid"
    trap 'rm -rf "$cache/setup.lock.d"' EXIT
}

unlock() {
    if command -v flock >/dev/null 2>&1; then
        exec 9>&-
    else
        rm -rf "$cache/setup.lock.d"
        trap - EXIT
    fi
}

ensure_environment() {
    synced && return 0
    lock
    local status=0
    synced || sync_environment || status=$? # another run may have done it meanwhile
    unlock
    return $status
}

# The TypeScript clients and the conformance suite of MCP, for a part of the end-to-end tests. npm only fetches
# them: the Node they run under is among the packages. Without npm those tests are skipped, each by name;
# under CI=true that is a failure.
node_folder="$root/tests/e2e/node"
node_stamp="$node_folder/node_modules/.checkrein-synced"

node_synced() {
    [ -f "$node_stamp" ] && [ -x "$node_folder/node_modules/.bin/node" ] \
        && cmp -s "$node_folder/package-lock.json" "$node_stamp"
}

sync_node() {
    if ! command -v npm >/dev/null 2>&1; then
        say "npm was not found: the tests that need tests/e2e/node are skipped (Node 18 or newer brings npm)."
        [ "${CI:-}" != true ]
        return
    fi
    say "Setting up tests/e2e/node with npm"
    # No package's own scripts are run; none of these needs one.
    if (cd "$node_folder" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2) \
        && "$node_folder/node_modules/.bin/node" --version >/dev/null; then
        cp "$node_folder/package-lock.json" "$node_stamp"
        return 0
    fi
    rm -rf "$node_folder/node_modules" # half of it would be taken for all of it
    say "'npm ci' in tests/e2e/node failed (see above): the tests that need it are skipped."
    [ "${CI:-}" != true ]
}

ensure_node() {
    node_synced && return 0
    lock
    local status=0
    node_synced || sync_node || status=$?
    unlock
    return $status
}

# What some tests need from the system: PostgreSQL's programs, for a tool API that keeps its data there (each test run makes a
# private cluster), and Chromium, in which people answer in the inbox's tests. Installed only where that asks nobody and
# surprises nobody: as root with apt-get, or by sudo under CI=true. Without one its tests are skipped, each by name; under CI=true
# that is a failure.
postgres_present() {
    local program found
    for program in initdb postgres psql; do
        found=$(command -v "$program" || ls -d /usr/lib/postgresql/*/bin/"$program" /usr/pgsql-*/bin/"$program" \
            /opt/homebrew/opt/postgresql*/bin/"$program" 2>/dev/null | head -n 1) || true
        [ -n "$found" ] || return 1
    done
}

chromium_present() { command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1; }

# install_package NAME PACKAGE PRESENT: PRESENT tells whether it is there.
install_package() {
    local name=$1 package=$2 present=$3 become=""
    if ! command -v apt-get >/dev/null 2>&1; then
        say "$name was not found: the tests that need it are skipped (install it, and run this again)."
        [ "${CI:-}" != true ]
        return
    fi
    if [ "$(id -u)" != 0 ]; then
        if [ "${CI:-}" = true ] && sudo -n true 2>/dev/null; then
            become="sudo -n"
        else
            say "$name was not found: the tests that need it are skipped ('sudo apt-get install $package' brings it)."
            [ "${CI:-}" != true ]
            return
        fi
    fi
    say "Installing $name with apt-get"
    # A list that cannot be fetched need not be the one that has it.
    # shellcheck disable=SC2086 # no sudo: no word
    { $become apt-get update -qq || true; } >&2
    # shellcheck disable=SC2086
    if $become env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$package" >&2 \
        && "$present"; then
        return 0
    fi
    say "apt-get could not install $name (see above): the tests that need it are skipped."
    [ "${CI:-}" != true ]
}

# ensure_package NAME PACKAGE PRESENT
ensure_package() {
    "$3" && return 0
    lock
    local status=0
    "$3" || install_package "$@" || status=$?
    unlock
    return $status
}

ensure_postgres() { ensure_package PostgreSQL postgresql postgres_present; }
ensure_chromium() { ensure_package Chromium chromium chromium_present; }

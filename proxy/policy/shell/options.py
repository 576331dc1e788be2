"""A program's arguments told apart: flags, options with their values, and plain words.

What belongs here: which options of the well-known programs take the next argument as their value,
and which programs write long options with one dash. Of an option that is not listed only
`--name=value` is known to have a value; the word after it then counts as a word, so that the
program's sub-command is not the one that a rule names, and the rule's wider entry answers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from proxy.policy.shell.line import Word, listed

_SINGLE_DASH = listed(
    "find terraform tofu terragrunt openssl vault nomad consul packer java go ffmpeg ps dd chmod"
    " Xvfb convert magick clang gcc javac xmllint jq-none test expr"
)
"""Programs of which `-name` is one option, not five."""

_VALUED: dict[str, str] = {
    "git": "-C -c --git-dir --work-tree --namespace -m --message -F --file -b -B -u --author --date"
    " -o --push-option --depth --branch --reference --format --since --until -n -S -G -L --onto -X"
    " --strategy --config-env --exec-path --super-prefix",
    "kubectl": "-n --namespace --context --cluster --kubeconfig --user --as --as-group -s --server"
    " --token -f --filename -l --selector -o --output -c --container --field-selector --replicas"
    " --timeout --grace-period --image --type -p --patch --patch-file --from-literal --from-file"
    " --template --since --tail --port --request-timeout --cascade --dry-run --sort-by -k"
    " --kustomize --duration --resource --verb --clusterrole --role --serviceaccount --group"
    " --cache-dir --certificate-authority --client-key --client-certificate --tls-server-name -v"
    " --log-dir --profile --password --username --to-revision --container-name --limits --requests",
    "helm": "-n --namespace --kube-context --kubeconfig -f --values --set --set-string --set-file"
    " --version --repo --timeout --kube-token --kube-apiserver -o --output --history-max"
    " --description --username --password --registry-config --repository-cache --burst-limit",
    "terraform": "",
    "docker": "-H --host --context -c --config -l --log-level -t --tag -f --file --filter --format"
    " --build-arg --target --platform -v --volume -p --publish -e --env --env-file --name --network"
    " --net -u --user -w --workdir --mount --entrypoint --label -m --memory --cpus --restart"
    " --add-host --device --cap-add --cap-drop --gpus --pid --ipc --security-opt -h --hostname"
    " --profile --project-name --project-directory --since --tail -n --until --username --password"
    " --cache-from --secret --output -o --builder --tlscacert --tlscert --tlskey --userns --uts",
    "aws": "--profile --region --output --query --endpoint-url --ca-bundle --cli-read-timeout"
    " --cli-connect-timeout --color --cli-binary-format --page-size --max-items",
    "gcloud": "--project --account --configuration --format --filter --region --zone --quiet-none"
    " --impersonate-service-account --verbosity --limit --sort-by --billing-project --access-token-file",
    "az": "-g --resource-group -n --name --subscription -o --output --query -l --location",
    "gh": "-R --repo --hostname -H --header -f --raw-field -F --field -X --method --input -q --jq -t"
    " --template -b --body --title -B --base --head -L --limit --json -l --label -a --assignee"
    " -r --reviewer --notes -n --branch --env -e --ref --workflow -w -s --state",
    "glab": "-R --repo -X --method -f -F -H --hostname",
    "curl": "-d --data --data-raw --data-binary --data-ascii --data-urlencode --json -F --form"
    " --form-string -T --upload-file -X --request -H --header -o --output -u --user -A --user-agent"
    " -e --referer -b --cookie -c --cookie-jar -x --proxy -K --config -m --max-time --connect-timeout"
    " -w --write-out -E --cert --key --cacert --capath --resolve --connect-to --retry --retry-delay"
    " --retry-max-time -r --range -C --continue-at --url --url-query -D --dump-header --output-dir"
    " --interface --unix-socket --abstract-unix-socket --limit-rate -y -Y -z --time-cond --socks5"
    " --socks5-hostname --socks4 --socks4a --preproxy --proxy-user -U --noproxy --dns-servers"
    " --doh-url --oauth2-bearer --aws-sigv4 -P --ftp-port -Q --quote -t --telnet-option --max-redirs"
    " --ciphers --tls-max --mail-from --mail-rcpt --proto --stderr --trace --trace-ascii --netrc-file"
    " --etag-save --etag-compare --variable --expand-data --expand-url --expand-header --libcurl",
    "wget": "-O --output-document -o --output-file -a --append-output -i --input-file -P"
    " --directory-prefix --post-data --post-file --body-data --body-file --method --header -U"
    " --user-agent --user --password -T --timeout -t --tries -e --execute --referer"
    " --load-cookies --save-cookies --ca-certificate --certificate --private-key -l --level -A -R -D"
    " --domains --bind-address --limit-rate -w --wait -Q --quota -B --base",
    "http": "-a --auth -A --auth-type -o --output --proxy --session --timeout --verify --cert -p",
    "ssh": "-b -c -D -E -e -F -I -i -J -L -l -m -O -o -P -p -Q -R -S -W -w -B",
    "scp": "-c -F -i -J -l -o -P -S -D -X",
    "sftp": "-b -B -c -D -F -i -J -l -o -P -R -S -s",
    "rsync": "-e --rsh --exclude --include --exclude-from --include-from --files-from --rsync-path"
    " --bwlimit --timeout --port --password-file --log-file --out-format --max-size --min-size"
    " --partial-dir --temp-dir -T --backup-dir --suffix --link-dest --compare-dest --chmod --chown -f",
    "nc": "-p -s -w -e -c -X -x -i -q -I -O -P -T -V -m -g -G -M -b",
    "socat": "-L -W -lf -t -T -b -d-none",
    "tar": "-f --file -C --directory -X --exclude --exclude-from -T --files-from -I"
    " --use-compress-program --transform --strip-components --owner --group --mode -g -b --newer",
    "zip": "-x -i -b -t -tt -n -P",
    "unzip": "-d -x -P",
    "npm": "--prefix --registry -w --workspace --tag --access --otp --userconfig -C --cache --loglevel",
    "yarn": "--cwd --registry --tag",
    "pnpm": "-C --dir --filter -F --registry --tag",
    "pip": "-r --requirement -c --constraint -e --editable -i --index-url --extra-index-url -t"
    " --target --proxy --python -f --find-links --cert --timeout --prefix --root --log --cache-dir",
    "uv": "--index-url --extra-index-url --python -p --project --directory --with --cache-dir -r",
    "apt-get": "-o -t -c --target-release --option",
    "apt": "-o -t -c --target-release --option",
    "psql": "-c --command -f --file -h --host -p --port -U --username -d --dbname -v --set -o"
    " --output -F -R -P -L -T --variable --pset --field-separator",
    "mysql": "-e --execute -h --host -P --port -u --user -D --database --defaults-file"
    " --defaults-extra-file -S --socket --init-command --ssl-ca --ssl-cert --ssl-key --tee",
    "sqlite3": "-cmd -separator -init -newline -nullvalue",
    "mongosh": "--eval --host --port -u --username -p --password --authenticationDatabase -f --file",
    "redis-cli": "-h -p -a -n -u --user --pass -r -i -s",
    "systemctl": "-t --type -p --property -H --host -M --machine -n --lines -o --output -s --signal"
    " --state --root --kill-who --job-mode",
    "journalctl": "-u --unit -n --lines --since --until -p --priority -o --output -t -g -D -M -S -U",
    "crontab": "-u",
    "useradd": "-u -g -G -d -s -c -p -e -f -k -K -R -b --uid --gid --groups --home-dir --shell"
    " --comment --password --root",
    "usermod": "-u -g -G -d -s -c -p -e -f -l -R --uid --gid --groups --home --shell --password",
    "kill": "-s --signal -n -q",
    "pkill": "-u -U -t -g -G -P -s --signal -F",
    "ssh-keygen": "-f -t -b -C -N -P -a -O -I -n -V -s -R -F -m -Y -z",
    "gpg": "-r --recipient -u --local-user -o --output --homedir --keyserver --passphrase"
    " --passphrase-file --batch-none --default-key --passphrase-fd --cipher-algo --compress-algo",
    "grep": "-e --regexp -f --file -m --max-count -A -B -C --include --exclude --exclude-dir -d -D"
    " --after-context --before-context --context --label",
    "rg": "-e --regexp -f --file -m --max-count -A -B -C -g --glob -t --type -T --type-not -r"
    " --replace -M -j --iglob --sort --pre --max-depth",
    "sed": "-e --expression -f --file -l --line-length",
    "awk": "-F -v -f -e -i -l -E",
    "jq": "-f --from-file --indent -L",
    "head": "-n -c --lines --bytes",
    "tail": "-n -c --lines --bytes -s --pid",
    "cut": "-d -f -c -b --delimiter --fields --characters --bytes --output-delimiter",
    "sort": "-k -t -o -S -T --key --field-separator --output --temporary-directory --parallel",
    "uniq": "-f -s -w",
    "xxd": "-l -s -c -g -o",
    "od": "-A -t -N -j -w",
    "strings": "-n -t -e",
    "split": "-b -l -n -C -a",
    "install": "-m -o -g -t -S --mode --owner --group --target-directory",
    "cp": "-t --target-directory -S --suffix",
    "mv": "-t --target-directory -S --suffix",
    "ln": "-t --target-directory -S --suffix",
    "tee": "",
    "truncate": "-s --size -r --reference",
    "mkdir": "-m --mode -Z",
    "touch": "-d -t -r --date --reference",
    "patch": "-i -o -d -p -B -z -r -D --input --output --directory",
    "shred": "-n -s --iterations --size --random-source",
    "mail": "-s -c -b -r -a -A -S -q -u -f",
    "mutt": "-s -c -b -a -i -F -H -e -f",
    "vault": "",
    "rclone": "--config --transfers --bwlimit --include --exclude --filter --log-file --rc-addr",
    "gsutil": "-o -u -i -h",
    "dig": "-p -t -b -c -f -k -x -y -q",
    "ping": "-c -i -W -w -s -I -t -p -Q -m -M -S",
    "make": "-C -f -j -l -o -W -I --directory --file --jobs --makefile",
    "python": "-W -X -Q -c -m",
    "node": "-r --require --import --loader --env-file --inspect-port -e --eval -p --print",
    "perl": "-e -E",
    "ruby": "-e",
    "php": "-r",
    "osascript": "-e -l",
    "sh": "-c -o -O --rcfile --init-file",
    "ansible-playbook": "-i -e -l -t -u -k --inventory --extra-vars --limit --tags --skip-tags"
    " --user --private-key --vault-password-file -f --forks",
    "ansible": "-i -e -l -m -a -u --inventory --extra-vars --limit --module-name --args --user",
    "twine": "-r --repository --repository-url -u --username -p --password --config-file",
}
_SAME_AS = {
    "bash": "sh",
    "zsh": "sh",
    "dash": "sh",
    "ksh": "sh",
    "ash": "sh",
    "fish": "sh",
    "oc": "kubectl",
    "podman": "docker",
    "nerdctl": "docker",
    "docker-compose": "docker",
    "tofu": "terraform",
    "terragrunt": "terraform",
    "https": "http",
    "xh": "http",
    "ncat": "nc",
    "netcat": "nc",
    "bsdtar": "tar",
    "mariadb": "mysql",
    "mysqldump": "mysql",
    "pg_dump": "psql",
    "pg_dumpall": "psql",
    "createdb": "psql",
    "dropdb": "psql",
    "egrep": "grep",
    "fgrep": "grep",
    "zgrep": "grep",
    "gawk": "awk",
    "mawk": "awk",
    "nawk": "awk",
    "gsed": "sed",
    "killall": "pkill",
    "mailx": "mail",
    "gpg2": "gpg",
    "mongo": "mongosh",
    "ag": "rg",
    "unzipsfx": "unzip",
    "mysqladmin": "mysql",
    "pg_restore": "psql",
    "bunx": "npm",
    "npx": "npm",
    "ping6": "ping",
}
_FORCES = listed("rm rmi kill container image volume network system builder")
_LONG: dict[str, tuple[str, ...]] = {
    "rm": ("--recursive", "--force", "--dir", "--interactive", "--no-preserve-root", "--verbose"),
    "git": (
        "--force",
        "--force-with-lease",
        "--delete",
        "--mirror",
        "--hard",
        "--no-verify",
        "--tags",
        "--prune",
        "--all",
    ),
    "curl": (
        "--data",
        "--data-raw",
        "--data-binary",
        "--data-urlencode",
        "--data-ascii",
        "--form",
        "--upload-file",
        "--request",
        "--output",
        "--config",
        "--proxy",
    ),
    "wget": (
        "--post-data",
        "--post-file",
        "--body-data",
        "--body-file",
        "--method",
        "--output-document",
        "--input-file",
    ),
    "cp": ("--recursive", "--force", "--target-directory", "--archive"),
    "chmod": ("--recursive",),
    "chown": ("--recursive",),
    "sed": ("--in-place", "--expression", "--file"),
}


@dataclass(frozen=True, slots=True)
class Parsed:
    """A program's arguments, told apart."""

    flags: tuple[str, ...]
    options: dict[str, str]
    values: dict[str, list[Word]]  # every value of an option, in order
    words: tuple[Word, ...]


def parse_options(program: str, args: Sequence[Word]) -> Parsed:
    """Tells flags, values and words apart."""
    known = _valued(program)
    if args and args[0].text in _FORCES and _SAME_AS.get(program, program) == "docker":
        known = known - {"-f"}  # there it is --force, elsewhere a file
    single = _SAME_AS.get(program, program) in _SINGLE_DASH
    flags: list[str] = []
    values: dict[str, list[Word]] = {}
    words: list[Word] = []
    at, ended = 0, False
    while at < len(args):
        word = args[at]
        text = word.text
        at += 1
        if ended or len(text) < 2 or text[0] != "-":
            words.append(word)
            continue
        if text == "--":
            ended = True
            continue
        if text.startswith("--") or single:
            name, has_value, value = text.partition("=")
            name = _full_name(program, name)
            flags.append(name)
            if has_value:
                values.setdefault(name, []).append(
                    Word(value, word.known, word.glob, word.substituted)
                )
            elif name in known and at < len(args):
                values.setdefault(name, []).append(args[at])
                at += 1
            continue
        if text in known:  # `-rf`-like names that are one option, as sqlite3's -cmd
            flags.append(text)
            if at < len(args):
                values.setdefault(text, []).append(args[at])
                at += 1
            continue
        for i, letter in enumerate(text[1:], 2):
            flag = f"-{letter}"
            flags.append(flag)
            if flag in known:
                if rest := text[i:]:
                    values.setdefault(flag, []).append(
                        Word(rest, word.known, word.glob, word.substituted)
                    )
                elif at < len(args):
                    values.setdefault(flag, []).append(args[at])
                    at += 1
                break
    options = {name: given[-1].text for name, given in values.items()}
    return Parsed(tuple(dict.fromkeys(flags)), options, values, tuple(words))


_SETS: dict[str, frozenset[str]] = {name: frozenset(text.split()) for name, text in _VALUED.items()}
_NONE: frozenset[str] = frozenset()


def _valued(program: str) -> frozenset[str]:
    return _SETS.get(_SAME_AS.get(program, program), _NONE)


def _full_name(program: str, name: str) -> str:
    """`--recurs` is `--recursive`: GNU programs take any unique beginning."""
    listed = _LONG.get(program, ())
    if name in listed or not re.fullmatch(r"--[a-z-]+", name):
        return name
    fits = [full for full in listed if full.startswith(name)]
    return fits[0] if len(fits) == 1 and len(name) > 3 else name

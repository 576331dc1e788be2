"""Rules of other systems: what is read, what is refused, and that nothing passes which the source would stop."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.cli import cli
from proxy.errors import ConfigurationError
from proxy.importers import claude_bash, regexes, writing
from proxy.importers.claude_code import read_claude_code
from proxy.importers.claude_paths import Folders
from proxy.importers.litellm import read_litellm
from proxy.importers.mcp_lists import read_mcp
from proxy.model import Verdict
from proxy.policy.load import load_texts
from proxy.policy.ruleset import RuleSet
from proxy.policy.yamlnodes import read_yaml
from proxy.rehearsal.rehearsal import Rehearsal
from proxy.rehearsal.trying import Outcome, try_files

GIVEN = Path(__file__).parent / "given"
FOLDERS = Folders("/home/me/app", "/home/me")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["rules", "import", *arguments])


SOURCES = [
    pytest.param("litellm", "litellm.yaml", (), 0, id="litellm"),
    pytest.param(
        "claude-code",
        "claude-code.json",
        ("--project", "/home/me/app", "--home", "/home/me"),
        1,
        id="claude-code",
    ),
    pytest.param("claude-code", "claude-code.json", (), 1, id="claude-code-anywhere"),
    pytest.param("mcp", "litellm-mcp.yaml", (), 1, id="litellm-mcp"),
    pytest.param("mcp", "cline_mcp_settings.json", (), 0, id="cline"),
    pytest.param("mcp", "docker-tools.yaml", (), 1, id="docker"),
]


@pytest.mark.parametrize(("source", "name", "options", "exit_code"), SOURCES)
def test_what_is_written_is_in_order_and_agrees_with_the_source(
    source: str, name: str, options: tuple[str, ...], exit_code: int, tmp_path: Path
) -> None:
    made = run(source, str(GIVEN / name), "--to", str(tmp_path), "--name", "taken", *options)
    assert made.exit_code == exit_code, made.output
    loaded = load_texts([("taken.yaml", (tmp_path / "taken.yaml").read_text())])
    assert loaded.warnings == ()
    (outcome,) = try_files([tmp_path / "taken.cases.yaml"])
    assert outcome.problems == ()
    assert [c.name for c in outcome.cases if c.outcome is not Outcome.PASS] == []
    assert len(outcome.cases) > 4


def test_what_is_not_said_as_the_source_says_it_is_told(tmp_path: Path) -> None:
    options = ("--to", str(tmp_path), "--json")
    told = json.loads(run("claude-code", str(GIVEN / "claude-code.json"), *options).output)
    assert [(note["place"].rsplit(":", 1)[1], note["what"]) for note in told["notes"]] == [
        ("26", "other folders to work in"),
        ("24", "Agent(Explore): its specifier is not understood"),
        ("9", "Edit(/src/**): its folder is not known"),
        ("10", "Read(~/.zshrc): its folder is not known"),
    ]
    assert "# Not said as the source says it: " in Path(told["rules"]).read_text()


@pytest.mark.parametrize(
    ("source", "text", "message"),
    [
        pytest.param(
            "litellm", "model_list: []\n", "no guardrail 'tool_permission'", id="no-guardrail"
        ),
        pytest.param(
            "litellm",
            "guardrails:\n  - litellm_params:\n      guardrail: tool_permission\n      rules:\n        - {id: a, decision: maybe}\n",
            "given.yaml:5: 'decision' is allow or deny, got 'maybe'",
            id="decision",
        ),
        pytest.param(
            "litellm",
            "guardrails:\n  - litellm_params:\n      guardrail: tool_permission\n      rules:\n        - {id: a, decision: allow, tool: x}\n",
            "given.yaml:5: unknown key 'tool' of a rule",
            id="unknown-key",
        ),
        pytest.param("claude-code", "{}", "no 'permissions'", id="no-permissions"),
        pytest.param(
            "claude-code",
            '{"permissions": {"allow": ["Bash(ls"]}}',
            "given.yaml:1: a rule is Tool or Tool(specifier), got 'Bash(ls'",
            id="no-rule",
        ),
        pytest.param(
            "claude-code",
            '{"permissions": {"defaultMode": "yolo"}}',
            "'defaultMode' is one of default",
            id="mode",
        ),
        pytest.param(
            "claude-code",
            '{"permissions": {"allow": [], "allow": ["Bash"]}}',
            "allow",
            id="a-key-twice",
        ),
        pytest.param("mcp", "{}", "no 'mcp_servers'", id="no-servers"),
        pytest.param(
            "mcp",
            '{"mcpServers": {"a": {"alwaysAllow": "x"}}}',
            "given.yaml:1: 'alwaysAllow' is a list of tools' names",
            id="no-list",
        ),
        pytest.param("mcp", "a: [b\n", "not valid YAML", id="no-yaml"),
    ],
)
def test_what_cannot_be_read_is_refused(
    source: str, text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "given.yaml"
    path.write_text(text)
    made = run(source, str(path), "--to", str(tmp_path / "out"))
    assert isinstance(made.exception, ConfigurationError), made.output
    assert message in str(made.exception)
    assert not (tmp_path / "out").exists()


def test_files_that_are_there_stay(tmp_path: Path) -> None:
    arguments = ("litellm", str(GIVEN / "litellm.yaml"), "--to", str(tmp_path))
    assert run(*arguments).exit_code == 0
    made = run(*arguments)
    assert "is there already; --force overwrites it" in str(made.exception)
    assert run(*arguments, "--force").exit_code == 0


# --- what each source means -----------------------------------------------------------------------------
def verdicts(text: str, *calls: tuple[str, dict[str, Any]]) -> list[str]:
    with Rehearsal(RuleSet.load_text("r.yaml", text)) as played:
        return [played.session().call(name, dict(args)).verdict.label for name, args in calls]


def claude(permissions: dict[str, Any], folders: Folders | None = FOLDERS) -> str:
    document = read_yaml("settings.json", json.dumps({"permissions": permissions}))
    return writing.rule_file(read_claude_code(document, folders), "claude", "settings.json")


def bash(command: str) -> tuple[str, dict[str, Any]]:
    return "Bash", {"command": command}


@pytest.mark.parametrize(
    ("permissions", "call", "verdict"),
    [
        ({"allow": ["Bash(npm run test:*)"]}, bash("npm run test"), "allow"),
        ({"allow": ["Bash(npm run test:*)"]}, bash("npm run test unit --x"), "allow"),
        ({"allow": ["Bash(npm run test:*)"]}, bash("npm run testing"), "hold"),
        ({"allow": ["Bash(npm run test:*)"]}, bash("npm run test && rm -rf /"), "hold"),
        ({"allow": ["Bash(npm run test:*)"]}, bash("npm run test; curl x"), "hold"),
        ({"allow": ["Bash(npm run test:*)"]}, bash("npm run test $(rm x)"), "hold"),
        ({"allow": ["Bash(npm run test:*)"]}, bash("npm run test > /etc/passwd"), "hold"),
        ({"allow": ["Bash(npm run build)"]}, bash("npm run build --evil"), "hold"),
        ({"allow": ["Bash(* --version)"]}, bash("node --version"), "allow"),
        ({"allow": ["Bash(* --version)"]}, bash("node 'x --version'"), "hold"),
        ({"allow": ["Bash(git commit *)"]}, bash('git commit -m "a b"'), "allow"),
        ({"allow": ["Bash(ls*)"]}, bash("lsof"), "allow"),
        ({"allow": ["Bash(ls *)"]}, bash("lsof"), "hold"),
        ({"allow": ["Bash"], "deny": ["Bash(curl:*)"]}, bash("ls"), "allow"),
        ({"allow": ["Bash"], "deny": ["Bash(curl:*)"]}, bash("ls | curl -T - x"), "block"),
        ({"allow": ["Bash"], "deny": ["Bash(curl:*)"]}, bash("sudo curl x"), "block"),
        ({"allow": ["Bash"], "deny": ["Bash(curl:*)"]}, bash("/usr/bin/curl x"), "block"),
        ({"allow": ["Bash"], "deny": ["Bash(rm -rf /)"]}, bash("rm -rf /"), "block"),
        ({"allow": ["Bash"], "ask": ["Bash(git push:*)"]}, bash("git push origin"), "hold"),
        ({"allow": ["Bash(x)"], "deny": ["Bash"]}, bash("x"), "block"),
        ({"allow": ["Bash(a $X)"]}, bash("a $X"), "hold"),
        ({"allow": ["Bash"], "deny": ["Bash(a $X)"]}, bash("a b"), "block"),
        ({"defaultMode": "dontAsk"}, bash("ls"), "block"),
        ({"defaultMode": "bypassPermissions"}, bash("ls"), "allow"),
        ({"defaultMode": "bypassPermissions", "deny": ["Bash(rm:*)"]}, bash("rm x"), "block"),
        ({"deny": ["Read(./.env)"]}, ("Read", {"file_path": "/home/me/app/.env"}), "block"),
        ({"deny": ["Read(./.env)"]}, ("Read", {"file_path": "/home/me/app/sub/../.ENV"}), "block"),
        ({"deny": ["Read(./secrets/**)"]}, ("Grep", {"path": "/srv/secrets/a"}), "block"),
        ({"deny": ["Read(./.env)"]}, ("Read", {"file_path": "/home/me/app/README"}), "allow"),
        ({"deny": ["Read(./.env)"]}, ("Read", {}), "block"),
        ({}, ("Read", {"file_path": "/home/me/app/a"}), "allow"),
        ({}, ("Read", {"file_path": "/home/me/app/../b"}), "hold"),
        ({}, ("Read", {"file_path": "/etc/passwd"}), "hold"),
        ({}, ("Read", {"file_path": "/home/me/application"}), "hold"),
        ({}, ("Read", {"file_path": "/home/me/app/a", "path": "/etc"}), "hold"),
        ({}, ("Edit", {"file_path": "/home/me/app/a"}), "hold"),
        ({"defaultMode": "acceptEdits"}, ("Edit", {"file_path": "/home/me/app/a"}), "allow"),
        ({"defaultMode": "acceptEdits"}, ("Edit", {"file_path": "/etc/a"}), "hold"),
        ({"allow": ["Edit(/src/**)"]}, ("Write", {"file_path": "/home/me/app/src/a/b"}), "allow"),
        ({"allow": ["Edit(/src/**)"]}, ("Write", {"file_path": "/home/me/app/other"}), "hold"),
        ({"allow": ["Edit(*.py)"]}, ("Edit", {"file_path": "/home/me/app/a/b.py"}), "allow"),
        ({"allow": ["Edit(//srv/*)"]}, ("Edit", {"file_path": "/srv/a"}), "allow"),
        ({"allow": ["Edit(//srv/*)"]}, ("Edit", {"file_path": "/srv/a/b"}), "hold"),
        ({"deny": ["Edit"]}, ("NotebookEdit", {"notebook_path": "/home/me/app/a"}), "block"),
        (
            {"allow": ["WebFetch(domain:a.example)"]},
            ("WebFetch", {"url": "https://a.example/x"}),
            "allow",
        ),
        (
            {"allow": ["WebFetch(domain:a.example)"]},
            ("WebFetch", {"url": "https://b.a.example/"}),
            "hold",
        ),
        (
            {"allow": ["WebFetch"], "deny": ["WebFetch(domain:a.example)"]},
            ("WebFetch", {"url": "https://b.a.example/"}),
            "block",
        ),
        ({"allow": ["mcp__shop"]}, ("mcp__shop__refund", {}), "allow"),
        ({"allow": ["mcp__shop"]}, ("mcp__shopping__refund", {}), "hold"),
        ({"allow": ["mcp__shop__get_*"]}, ("mcp__shop__get_x", {}), "allow"),
        ({"allow": ["mcp__*"]}, ("mcp__shop__refund", {}), "hold"),
        (
            {"allow": ["mcp__shop"], "deny": ["mcp__shop__refund"]},
            ("mcp__shop__refund", {}),
            "block",
        ),
        ({"allow": ["Agent(Explore)"]}, ("Agent", {"subagent_type": "Explore"}), "hold"),
        ({"allow": ["TodoWrite"]}, ("TodoWrite", {}), "allow"),
        ({"allow": ["*"], "deny": ["WebSearch"]}, ("Anything", {}), "allow"),
    ],
    ids=lambda value: json.dumps(value)[:60] if not isinstance(value, str) else value,
)
def test_claude_code(
    permissions: dict[str, Any], call: tuple[str, dict[str, Any]], verdict: str
) -> None:
    assert verdicts(claude(permissions), call) == [verdict]


def test_without_a_project_reading_waits() -> None:
    call = ("Read", {"file_path": "/home/me/app/a"})
    assert verdicts(claude({}, None), call) == ["hold"]
    assert verdicts(claude({"allow": ["Read"]}, None), call) == ["allow"]


@pytest.mark.parametrize(
    ("text", "call", "server", "verdict"),
    [
        ("a: [x]", "mcp__a__x", None, "allow"),
        ("a: [x]", "mcp__a__y", None, "block"),
        ("a: [x]", "x", "a", "allow"),
        ("a: [x]", "x", "b", "hold"),
        ("a: [x]", "y", "a", "block"),
        ("a: [x]", "y", "b", "hold"),
        ("mcpServers: {a: {autoApprove: [x]}}", "mcp__a__y", None, "hold"),
        ("mcpServers: {a: {trust: true}}", "mcp__a__y", None, "allow"),
        ("mcpServers: {a: {trust: true, excludeTools: [y]}}", "mcp__a__y", None, "block"),
        ('mcpServers: {a: {includeTools: ["y(z)"], trust: true}}', "mcp__a__y", None, "allow"),
        (
            'mcp_servers: {a: {url: "https://h.example/mcp", allowed_tools: [x]}}',
            "x",
            "h.example/mcp",
            "allow",
        ),
        (
            'mcp_servers: {a: {url: "https://h.example/mcp", allowed_tools: [x]}}',
            "y",
            "h.example/mcp",
            "block",
        ),
    ],
)
def test_mcp_lists(text: str, call: str, server: str | None, verdict: str) -> None:
    made = writing.rule_file(read_mcp(read_yaml("mcp.yaml", text)), "mcp", "mcp.yaml")
    with Rehearsal(RuleSet.load_text("r.yaml", made)) as played:
        assert played.session().call(call, {}, server=server).verdict.label == verdict


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("a.*", None),
        (r"\d+", None),
        ("(?=a)b", "cannot be read by RE2"),
        (r"(a)\1", "cannot be read by RE2"),
        ("(", "is no regular expression"),
        ("[[:alpha:]]", "RE2 or a later Python reads otherwise"),
    ],
)
def test_patterns(pattern: str, problem: str | None) -> None:
    found = regexes.why_not(pattern)
    assert (found is None) is (problem is None)
    assert problem is None or problem in (found or "")


# --- nothing passes that the source stops ------------------------------------------------------------------
NAMES = st.sampled_from(["Bash", "Read", "mcp__github__get", "mcp__github__put", "send", "sénd"])
PATTERNS = st.sampled_from(
    [
        "Bash",
        "^mcp__github_.*$",
        r"\w+",
        "s.nd",
        "(?i)READ",
        "(?!Bash).*",
        ".*",
        "(a|Bash)",
        "send|Read",
    ]
)
VALUES = st.sampled_from(["a@x.example", "b@y.example", 5, 1.5, True, None, "12", "é", "a\n"])
PARAMS = st.dictionaries(
    st.sampled_from(["to", "to[]", "a.b", "a.b[]"]),
    st.sampled_from([r"^.+@x\.example$", r"\d+", ".*", r"^\w+$", "(?=1)12"]),
    max_size=2,
)
ARGUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "to": VALUES | st.lists(VALUES, max_size=2),
        "a": st.fixed_dictionaries({}, optional={"b": VALUES | st.lists(VALUES, max_size=2)})
        | VALUES,
        "a.b": VALUES,
        "to[]": VALUES,
    },
)
RULE = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["one", "two", "$x: #"]),
        "decision": st.sampled_from(["allow", "deny"]),
    },
    optional={
        "tool_name": PATTERNS,
        "tool_type": st.sampled_from(["function", "^func.*", "web_search"]),
        "allowed_param_patterns": PARAMS,
    },
)


def litellm_allows(rules: list[dict[str, Any]], default: str, tool: str, args: Any) -> bool:
    """LiteLLM's answer, written from its documentation: the first rule that fits decides."""
    found: dict[str, list[Any]] = {}

    def collect(value: Any, path: str) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                collect(item, f"{path}.{key}" if path else key)
        elif isinstance(value, list):
            for item in value:
                collect(item, f"{path}[]")
        elif path:
            found.setdefault(path, []).append(value)

    collect(args, "")
    for rule in rules:
        if "tool_name" in rule and not re.fullmatch(rule["tool_name"], tool):
            continue
        if "tool_type" in rule and not re.fullmatch(rule["tool_type"], "function"):
            continue
        params = rule.get("allowed_param_patterns") if "tool_name" in rule else None
        if params and not (
            args
            and all(
                found.get(p) and all(re.fullmatch(r, str(v)) for v in found[p])
                for p, r in params.items()
            )
        ):
            continue
        return bool(rule["decision"] == "allow")
    return default == "allow"


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(RULE, max_size=3), st.sampled_from(["allow", "deny"]), NAMES, ARGUMENTS)
def test_litellm_stops_nothing_that_passes_here(
    rules: list[dict[str, Any]], default: str, tool: str, args: dict[str, Any]
) -> None:
    config = {
        "guardrails": [
            {
                "litellm_params": {
                    "guardrail": "tool_permission",
                    "rules": rules,
                    "default_action": default,
                }
            }
        ]
    }
    imported = read_litellm(read_yaml("config.yaml", json.dumps(config)))
    text = writing.rule_file(imported, "litellm", "config.yaml")
    with Rehearsal(RuleSet.load_text("r.yaml", text)) as played:
        passes = played.session().call(tool, args).verdict is Verdict.ALLOW
    assert not passes or litellm_allows(rules, default, tool, args)


WORDS = st.sampled_from(["git", "push", "npm", "run", "-x", "origin", "*", "ls*", "test"])
SPECIFIERS = st.lists(WORDS, min_size=1, max_size=3).map(" ".join)
COMMANDS = st.lists(
    st.sampled_from(["git", "push", "npm", "run", "-x", "origin", "lsof", "test"]),
    min_size=1,
    max_size=4,
).map(" ".join)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(
        st.sampled_from(["allow", "ask", "deny"]),
        st.lists(SPECIFIERS.map(lambda s: f"Bash({s})"), max_size=3),
    ),
    st.lists(COMMANDS, min_size=1, max_size=2),
)
def test_claude_code_stops_nothing_that_passes_here(
    permissions: dict[str, list[str]], commands: list[str]
) -> None:
    def matched(listed: str, command: str) -> bool:
        for text in permissions.get(listed, ()):
            specifier = text[5:-1]
            if specifier == "*":
                return True
            end = "( .*)?" if specifier.endswith(" *") and specifier.count("*") == 1 else None
            body = specifier[:-2] if end else specifier
            pattern = "".join(".*" if p == "*" else re.escape(p) for p in re.split(r"(\*)", body))
            if re.fullmatch(pattern + (end or ""), command):
                return True
        return False

    expected = "hold"
    if any(matched("deny", c) for c in commands):
        expected = "block"
    elif not any(matched("ask", c) for c in commands) and all(
        matched("allow", c) for c in commands
    ):
        expected = "allow"
    found = verdicts(claude(permissions), bash(" && ".join(commands)))[0]
    order = ["allow", "hold", "block"]
    assert order.index(found) >= order.index(expected)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_names_of_strangers_stay_names(one: str, two: str, three: str) -> None:
    """Whatever a rule is called, what is written is a rule file with the gates that were meant; or it is refused."""
    config = {
        "guardrails": [
            {
                "litellm_params": {
                    "guardrail": "tool_permission",
                    "rules": [{"id": one, "decision": "deny", "tool_name": re.escape(two)}],
                    "default_action": "allow",
                }
            }
        ]
    }
    sources = [
        (read_litellm, config),
        (read_claude_code, {"permissions": {"deny": [f"Bash({one})"], "ask": [f"Read({two})"]}}),
        (read_mcp, {"mcpServers": {one: {"autoApprove": [two], "disabledTools": [three]}}}),
    ]
    for read, value in sources:
        try:
            imported = read(read_yaml("a\nb: c", json.dumps(value)))
        except ConfigurationError:
            continue
        loaded = load_texts([("r.yaml", writing.rule_file(imported, "pack", one))])
        assert [g.name for g in loaded.gates] == [g.name for g in imported.gates]
        assert read_yaml("c.yaml", writing.cases_file(imported)).problems == []


def test_words_are_told_apart() -> None:
    assert claude_bash.allows("a; b") is None
    assert (
        claude_bash.stops("a; b")[0] == 'cmd.program == "a;"'
        or claude_bash.stops("a; b")[0] == "true"
    )

"""The stage of a scenario: a real proxy with a real pack, a scripted model, an agent on a vendor's SDK.

`stage(pack)` starts the proxy; `stage.story(...)` makes an agent with its own model, whose traffic to model
and tools goes through that proxy under a credential. `story.running(prompt)` runs it in the background, so
that a test can be the human who is asked meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.cli.demo.model import ScriptedModel
from proxy.cli.demo.speech import Ask, Script, Turn
from proxy.rehearsal.replay import Replay
from tests.e2e.conftest import Proxy, StartProxy
from tests.e2e.scenarios.agent import AGENTS, Agent, Tool, Vendor
from tests.e2e.scenarios.database import Database, SqliteDatabase
from tests.e2e.scenarios.postgres import Cluster, needs_postgres, running_cluster

REPOSITORY = Path(__file__).resolve().parents[3]
RULES = REPOSITORY / "rules"
LAST_WORDS = "That is all."
_CHECKREIN = (sys.executable, "-m", "proxy")


def script(*calls: Ask) -> list[Turn]:
    """One call a turn, then the last words."""
    return [*(Turn("", (call,)) for call in calls), Turn(LAST_WORDS)]


@dataclass
class Story:
    """One agent's run."""

    proxy: Proxy
    agent: Agent
    model: ScriptedModel
    session: str

    @contextlib.contextmanager
    def running(self, prompt: str) -> Iterator[Future[str]]:
        """Runs the agent beside the block; it has ended when the block has."""
        with ThreadPoolExecutor(1) as beside:
            said = beside.submit(self.agent.say, prompt)
            yield said
            said.result(60)

    def say(self, prompt: str) -> str:
        return self.agent.say(prompt)

    def insist(self, prompt: str) -> None:
        """Goes on after every refusal, as an agent does that nobody watches, until the script ends."""
        said = self.agent.say(prompt)
        for _ in range(60):
            if said == LAST_WORDS:
                return
            said = self.agent.say("Go on.")
        raise AssertionError(f"the script did not end; last: {said}")

    def decisions(self) -> list[dict[str, Any]]:
        return [r for r in self.proxy.records("decision") if r["session"] == self.session]

    def verdicts(self, side: str = "model") -> list[tuple[str, str]]:
        """Each call of a side with its first verdict."""
        found = [r for r in self.decisions() if r["side"] == side]
        return [(r["call"]["name"], r["verdict"]) for r in found]

    def used(self, budget: str) -> Decimal:
        """What this session has used of a budget."""
        view = self.proxy.ask(f"/v1/sessions/{self.session}")
        return next(
            (Decimal(b["used"]) for b in view["budgets"] if b["name"] == budget), Decimal(0)
        )

    def told(self) -> list[str]:
        """The results that the model read, in its last request."""
        return list(self.model.requests[-1].history.results)


@dataclass
class Stage:
    """A proxy with a pack, and whoever acts before it."""

    proxy: Proxy
    stack: contextlib.ExitStack
    models: list[ScriptedModel] = field(default_factory=list)

    def story(
        self,
        script: Script,
        tools: Sequence[Tool],
        api_url: str,
        *,
        vendor: Vendor,
        session: str = "run",
        agent: str = "agent",
    ) -> Story:
        model = self.stack.enter_context(ScriptedModel(script))
        self.models.append(model)
        through = self.proxy.credential(session, agent)
        http = self.stack.enter_context(
            httpx.Client(base_url=api_url, proxy=through, trust_env=False, timeout=60)
        )
        made = AGENTS[vendor](model.url, through, tools, http)
        self.stack.callback(made.close)
        return Story(self.proxy, made, model, session)

    def hold(self) -> dict[str, Any]:
        """What the approver is told: the newest pending hold, with the session's story."""
        found: dict[str, Any] = self.proxy.ask(f"/v1/holds/{self.proxy.wait_for_hold()['id']}")
        return found

    def shown(self, hold: dict[str, Any]) -> str:
        """The same as a terminal shows it."""
        done = subprocess.run(
            [*_CHECKREIN, "holds", "show", hold["id"], "--admin", str(self.proxy.admin)],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def approve(self, reason: str = "Seen.") -> None:
        self.proxy.answer("approve", reason=reason)

    def deny(self, reason: str) -> None:
        self.proxy.answer("deny", reason=reason)


type MakeStage = Callable[..., Stage]


@pytest.fixture
def make_stage(start_proxy: StartProxy) -> Iterator[MakeStage]:
    """`make_stage("support-desk", hold_wait="20s")` gives a stage; it is cleared with the test."""
    with contextlib.ExitStack() as stack:
        made: list[Stage] = []

        def make(pack: str, *, hold_wait: str = "20s") -> Stage:
            rules = (RULES / f"{pack}.yaml").read_text()
            made.append(Stage(start_proxy(rules=rules, hold_wait=hold_wait), stack))
            return made[-1]

        yield make
        refused = [r.message for stage in made for m in stage.models for r in m.rejected]
        assert refused == []  # no history that a provider would not take
        for stage in made:
            _replays_itself(stage.proxy)


def _replays_itself(proxy: Proxy) -> None:
    """The log of a real run, judged again under the rules that it was recorded with: each verdict as it was."""
    replay = Replay((proxy.log,), (proxy.folder / "rules.yaml",), workers=1)
    calls = [call for outcome in replay for call in outcome.calls]
    assert [c.name for c in calls if c.changed] == []
    assert [c.was for c in calls] == [r["verdict"] for r in proxy.records("decision")] or len(
        {r["session"] for r in proxy.records("decision")}
    ) > 1  # by session, so in another order


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    database = SqliteDatabase(tmp_path / "tools.sqlite")
    yield database
    database.close()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as made:
        yield made


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=needs_postgres)])
def either(request: pytest.FixtureRequest) -> Database:
    """The same scenario over both databases."""
    if request.param == "sqlite":
        chosen: Database = request.getfixturevalue("sqlite")
        return chosen
    cluster: Cluster = request.getfixturevalue("cluster")
    return cluster.database(f"scenario_{uuid.uuid4().hex}")

"""The shortest way through: one refund passes, the sum is held, a human's answer lets it go on."""

from __future__ import annotations

import threading

import pytest

from proxy.cli.demo.agents import Api, Places, agent_for
from proxy.cli.demo.billing import Billing
from proxy.cli.demo.model import ScriptedModel
from proxy.cli.demo.story import PROMPT, refunds_script
from proxy.logtail import verify

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("api", ["chat", "responses", "anthropic"])
def test_third_refund_waits_for_a_human(api: Api, start_proxy, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Two refunds of 45 pass, the third is held until it is approved, billing has all three."""
    with Billing(tmp_path / "billing.sqlite") as billing, ScriptedModel(refunds_script) as model:
        proxy = start_proxy()
        agent = agent_for(
            api, Places(model.url, billing.url, proxy.credential("s1")), lambda *_: None
        )
        said: list[str] = []
        thread = threading.Thread(target=lambda: said.append(agent.say(PROMPT)))
        thread.start()
        hold = proxy.wait_for_hold()
        assert hold["call"]["args"]["order_id"] == "A-1003"
        assert len(billing.refunds()) == 2
        proxy.answer("approve")
        thread.join(20)
        agent.close()
        assert len(billing.refunds()) == 3
        assert "All 3 orders" in said[0]
        assert not model.rejected
        assert verify([proxy.log]).ok

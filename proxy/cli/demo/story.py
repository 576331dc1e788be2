"""The story: three refunds of 45 EUR against a budget of 100, told through an agent.

The script is the model's part. A result counts as a refund only when it is billing's own answer;
any other result is a refusal, and the model says so and stops until its user speaks again.
"""

from __future__ import annotations

import json

from proxy.cli.demo.agents import Api, OnStep, Places, agent_for
from proxy.cli.demo.billing import Billing
from proxy.cli.demo.model import ScriptedModel
from proxy.cli.demo.speech import History, Turn, ask

ORDERS = ("A-1001", "A-1002", "A-1003")
AMOUNT = 45
PROMPT = f"Please refund {AMOUNT} EUR on each of the orders {', '.join(ORDERS)}."


def refunds_script(history: History) -> Turn:
    """Asks for the next order's refund; ends when all are made or one was refused."""
    done = {order for order in map(_refunded, history.results) if order}
    if any(_refunded(text) is None for text in history.fresh):
        left = ", ".join(order for order in ORDERS if order not in done)
        return Turn(f"I refunded {', '.join(sorted(done)) or 'nothing'}. Not refunded: {left}.")
    for order in ORDERS:
        if order not in done:
            thinking = f"{order} is next; {len(done)} of {len(ORDERS)} are done."
            text = f"I will refund {AMOUNT} EUR on order {order}."
            call = ask("refund_order", order_id=order, amount=AMOUNT)
            return Turn(text, (call,), thinking)
    return Turn(f"All {len(ORDERS)} orders are refunded: {', '.join(ORDERS)}.")


def run_story(
    proxy_url: str | None,
    model: ScriptedModel,
    billing: Billing,
    api: Api,
    on_event: OnStep,
    *,
    prompt: str = PROMPT,
) -> str:
    """Runs the agent once through the proxy; blocks while a call of its is held.

    Args:
        proxy_url: the proxy with the run's credential, or None to go without one.
        on_event: told of each step, with its kind ("text", "call", "result") and text.

    Returns:
        The model's last words.
    """
    agent = agent_for(api, Places(model.url, billing.url, proxy_url), on_event)
    try:
        return agent.say(prompt)
    finally:
        agent.close()


def _refunded(result: str) -> str | None:
    """Returns the order that a result says was refunded, None where it says no such thing."""
    try:
        document = json.loads(result)
    except ValueError:
        return None
    if not isinstance(document, dict) or "refunded" not in document:
        return None
    return str(document.get("order_id"))

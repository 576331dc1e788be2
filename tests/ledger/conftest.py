"""A store of each kind, and short ways to say who calls what at which cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from proxy.ledger.sqlite import SqliteStore
from proxy.ledger.store import Store
from proxy.model import Call, Charge, ChargedEffect, Effect, Identity, Measure, Trust, Verdict


@pytest.fixture(params=["sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = {"sqlite": lambda: SqliteStore(tmp_path / "state" / "ledger.sqlite")}[
        request.param
    ]()
    yield made
    made.close()


@pytest.fixture
def who() -> Identity:
    return Identity("s1", "a1", Trust.CREDENTIAL, Trust.CREDENTIAL)


@pytest.fixture
def call() -> Call:
    return Call("c1", "refund", {}, "openai.chat", "0" * 64)


@pytest.fixture
def refund() -> Callable[..., ChargedEffect]:
    """Makes a refund of an amount against one budget of 100 EUR a session."""

    def make(amount: str | int = 45, **changes: Any) -> ChargedEffect:
        target = changes.pop("target", "order-1")
        charge = {
            "budget": "refunds",
            "scope": "session:s1",
            "measure": Measure.SUM,
            "amount": Decimal(amount),
            "limit": Decimal(100),
            "on_exceed": Verdict.HOLD,
            "unit": "EUR",
            **changes,
        }
        effect = Effect("money.refund", amount=Decimal(amount), unit="EUR", target=target)
        return ChargedEffect(effect, (Charge(**charge),))

    return make

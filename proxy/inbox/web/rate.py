"""How often somebody may try to sign in: a few times at once, then ever more slowly.

What belongs here: counting failures by name and by address; `now_ms` comes in. After five failures each further one doubles the time in which
no try is looked at, to a quarter of an hour. Names that do not exist are counted as others are, so that the answer tells nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

FREE = 5
LONGEST_MS = 15 * 60_000
_FORGET_MS = 3_600_000
_MOST = 50_000


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last_ms: int = 0


class SignInRate:
    """Failures of the last hour."""

    def __init__(self) -> None:
        self._failed: OrderedDict[str, _Failures] = OrderedDict()

    def wait_ms(self, name: str, address: str, now_ms: int) -> int:
        """Returns how long a try has to wait; 0: it may be made."""
        return max(self._left_ms(key, now_ms) for key in _keys(name, address))

    def failed(self, name: str, address: str, now_ms: int) -> None:
        for key in _keys(name, address):
            found = self._failed.get(key)
            if found is None or now_ms - found.last_ms > _FORGET_MS:
                found = self._failed[key] = _Failures()
            found.count += 1
            found.last_ms = now_ms
            self._failed.move_to_end(key)
            if len(self._failed) > _MOST:
                self._failed.popitem(last=False)

    def succeeded(self, name: str, address: str) -> None:
        """Forgets a name's failures, and of its address this try: it may have failed with other names."""
        of_name, of_address = _keys(name, address)
        self._failed.pop(of_name, None)
        if (found := self._failed.get(of_address)) is not None:
            found.count -= 1

    def _left_ms(self, key: str, now_ms: int) -> int:
        found = self._failed.get(key)
        # An address may serve several people.
        free = FREE if key.startswith("name:") else FREE * 4
        if found is None or found.count < free or now_ms - found.last_ms > _FORGET_MS:
            return 0
        pause_ms = min(LONGEST_MS, 1_000 << min(20, found.count - free))
        return max(0, found.last_ms + pause_ms - now_ms)


def _keys(name: str, address: str) -> tuple[str, str]:
    return f"name:{name[:100]}", f"address:{address}"

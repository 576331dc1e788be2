"""A checkrein with a fault that a test switches on: `python faulty.py run …` is `checkrein run …`.

FAULT names functions, "module:attribute.path", separated by commas. While the file FAULT_SWITCH holds
one of these names and a kind (of `KINDS`), that function raises. Without a
switch all of them raise FAULT_KIND from the start. FAULT_FILE_SIZE bounds the files it can write.
"""

from __future__ import annotations

import errno
import functools
import importlib
import inspect
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from proxy.cli import main
from proxy.errors import LedgerError, LogError

KINDS: dict[str, Callable[[], Exception]] = {
    "raise": lambda: RuntimeError("a fault made by a test"),
    "oserror": lambda: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    "log": lambda: LogError("the decision log cannot be written: a fault made by a test"),
    "ledger": lambda: LedgerError("the ledger cannot be written: a fault made by a test"),
}


def switched_on(name: str) -> str | None:
    """Returns the kind of fault that a function has now."""
    switch = os.environ.get("FAULT_SWITCH")
    if switch is None:
        return os.environ.get("FAULT_KIND", "raise")
    try:
        asked, _, kind = Path(switch).read_text().partition(" ")
    except FileNotFoundError:
        return None
    return kind.strip() if asked == name else None


def make_faulty(name: str) -> None:
    """Puts a function that may raise in a function's place."""
    module, _, path = name.partition(":")
    *parents, last = path.split(".")
    owner = functools.reduce(getattr, parents, importlib.import_module(module))
    real = getattr(owner, last)
    assert callable(real), name

    def check() -> None:
        if (kind := switched_on(name)) is not None:
            raise KINDS[kind]()

    if inspect.iscoroutinefunction(real):

        @functools.wraps(real)
        async def patched_async(*args: Any, **kwargs: Any) -> Any:
            check()
            return await real(*args, **kwargs)

        setattr(owner, last, patched_async)
        return

    @functools.wraps(real)
    def patched(*args: Any, **kwargs: Any) -> Any:
        check()
        return real(*args, **kwargs)

    setattr(owner, last, patched)


if __name__ == "__main__":
    for each in filter(None, os.environ.get("FAULT", "").split(",")):
        make_faulty(each)
    if size := os.environ.get("FAULT_FILE_SIZE"):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), int(size)))
    main(sys.argv[1:])

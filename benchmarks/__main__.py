"""`scripts/bench NAME [--json]`: throughput, stream, held, holds, decision, session, governance, replay, reload."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

NAMES = (
    "throughput",
    "stream",
    "held",
    "holds",
    "decision",
    "session",
    "governance",
    "replay",
    "reload",
)


def main() -> None:
    """Runs one benchmark and prints what it measured."""
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--json", action="store_true", help="one object on one line")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs (odd)")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one run")
    parser.add_argument("--sessions", type=Path, help="governance: recorded sessions, JSON lines")
    arguments = parser.parse_args()
    room = importlib.import_module(f"benchmarks.{arguments.name}")
    of_name = {"sessions": arguments.sessions} if arguments.name == "governance" else {}
    result = room.measure(rounds=arguments.rounds, seconds=arguments.seconds, **of_name)
    if arguments.json:
        print(json.dumps(result))
    elif arguments.name == "governance":
        print("\n".join(room.lines(result)))
    else:
        for name, value in result.items():
            print(f"{name:<32} {value}")


main()

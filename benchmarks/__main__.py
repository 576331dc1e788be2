"""`scripts/bench NAME [--json]`: throughput, stream, held, decision, session, governance."""

from __future__ import annotations

import argparse
import importlib
import json

NAMES = ("throughput", "stream", "held", "decision", "session", "governance")


def main() -> None:
    """Runs one benchmark and prints what it measured."""
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--json", action="store_true", help="one object on one line")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs (odd)")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one run")
    arguments = parser.parse_args()
    measure = importlib.import_module(f"benchmarks.{arguments.name}").measure
    result = measure(rounds=arguments.rounds, seconds=arguments.seconds)
    if arguments.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:<32} {value}")


main()

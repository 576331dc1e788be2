"""One fuzz target under atheris: `python -m tests.fuzz TARGET [libFuzzer's options] [CORPUS FOLDERS]`.

`scripts/fuzz` calls this for each target in turn. What coverage finds new goes to the first corpus
folder named, or is forgotten; the small one in the repository is read, never written.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["proxy.wire"]):
    import proxy.wire.detect  # every codec, instrumented
    import proxy.wire.mcp.messages
    import proxy.wire.realtime.gate
    import proxy.wire.responses.socket  # noqa: F401

from tests.fuzz.every import EVERY
from tests.fuzz.targets import CORPUS, MAX_BYTES


def each(options: list[str]) -> int:
    """Runs every target in a process of its own, forked so that the imports are made once."""
    failed = []
    for name in EVERY:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            with tempfile.TemporaryFile() as said:
                os.dup2(said.fileno(), 2)
                os._exit(main([sys.argv[0], name, *options]))
        _, status = os.waitpid(child, 0)
        print(f"fuzz {name}: {'FAILED' if status else 'held'}")  # noqa: T201
        if status:
            failed.append(name)
    if failed:
        print(f"`scripts/fuzz 20 {' '.join(failed)}` shows why", file=sys.stderr)  # noqa: T201
    return 1 if failed else 0


def main(argv: list[str]) -> int:
    if argv[1:2] == ["--each"]:
        return each(argv[2:])
    if len(argv) < 2 or argv[1] not in EVERY:
        print("usage: python -m tests.fuzz TARGET; one of", *EVERY, file=sys.stderr)  # noqa: T201
        return 2
    target = EVERY[argv[1]]
    logging.disable(logging.CRITICAL)  # SDKs warn of each input that they skip

    def one(data: bytes) -> None:
        cut = len(data) // 2
        target.check(data, (cut, cut + 1))

    with tempfile.TemporaryDirectory(prefix="checkrein-fuzz-") as folder:
        words = Path(folder) / "words"
        words.write_text("".join(f'"{word}"\n' for word in target.dictionary), encoding="utf-8")
        options = [f"-dict={words}", f"-max_len={MAX_BYTES}", "-timeout=20", "-rss_limit_mb=2048"]
        new = Path(folder) / "new"  # libFuzzer writes to the first corpus it is given
        new.mkdir()
        given = argv[2:] if any(not a.startswith("-") for a in argv[2:]) else [*argv[2:], str(new)]
        atheris.Setup([argv[0], *options, *given, str(CORPUS / target.name)], one)
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))

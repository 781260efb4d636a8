"""`python -m tests.soak`: the whole suite; writes its figures into docs/reliability.md."""

from __future__ import annotations

import argparse
import sys
import time

from tests.soak.faults import FAULTS
from tests.soak.run import run
from tests.soak.servers import CHECKOUT

OUTPUT = CHECKOUT / "soak-output"


def main() -> None:
    """Run it; exit 1 if anything was lost, double, damaged or failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=25, help="of sending, in all")
    parser.add_argument("--only", default="", help="faults whose name holds this")
    arguments = parser.parse_args()
    faults = [fault for fault in FAULTS if arguments.only in fault.name]
    started = time.monotonic()
    OUTPUT.mkdir(exist_ok=True)
    log = (OUTPUT / "soak.log").open("w")

    def say(text: str) -> None:
        line = f"{time.monotonic() - started:7.1f} s  {text}"
        print(line, flush=True)
        print(line, file=log, flush=True)

    parts = run(faults, arguments.minutes * 60, OUTPUT, say)
    sys.exit(0 if all(part.tally.clean for part in parts) else 1)


if __name__ == "__main__":
    main()

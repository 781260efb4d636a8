"""`python -m tests.soak`: the whole suite; writes its figures into docs/reliability.md."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from tests.soak.caller import Caller
from tests.soak.faults import FAULTS, PROMOTION, Fault, Scene
from tests.soak.page import tables, write
from tests.soak.run import Part, run_part, scene
from tests.support.checkout import CHECKOUT
from tests.support.messages.back_pressure import measure_back_pressure

OUTPUT = CHECKOUT / "soak-output"
PAGE = CHECKOUT / "docs" / "reliability.md"


def main() -> None:
    """Run it; exit 1 if anything was lost, double, damaged or failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=15, help="of sending, in all")
    parser.add_argument("--only", default="", help="faults whose name holds this")
    parser.add_argument("--waiting", type=int, default=100_000, help="tasks of the pile")
    arguments = parser.parse_args()
    faults, promotions = (
        [fault for fault in some if arguments.only in fault.name] for some in (FAULTS, [PROMOTION])
    )
    started = time.monotonic()
    OUTPUT.mkdir(exist_ok=True)
    log = (OUTPUT / "soak.log").open("w")

    def say(text: str) -> None:
        line = f"{time.monotonic() - started:7.1f} s  {text}"
        print(line, flush=True)
        print(line, file=log, flush=True)

    def run(these: Sequence[Fault], stage: Scene, caller: Caller) -> list[Part]:
        seconds = arguments.minutes * 60 / sum(fault.share for fault in (*FAULTS, PROMOTION))
        return [run_part(each, stage, caller, seconds * each.share, say) for each in these]

    parts: list[Part] = []
    if promotions:
        with scene(OUTPUT / "sentinel", watched=True) as (stage, caller):
            parts += run(promotions, stage, caller)
    pressure = None
    if faults:
        with scene(OUTPUT) as (stage, caller):
            parts = run(faults, stage, caller) + parts
            if not arguments.only:
                caller.end()
                stage.workers.end()
                redis = stage.servers.redis.client()
                redis.flushall()
                pressure = measure_back_pressure(redis, arguments.waiting)
                say(str(pressure))
    clean = all(part.clean for part in parts)
    say("clean" if clean else "NOT clean")
    if pressure:
        write(PAGE, tables(parts, pressure, (time.monotonic() - started) / 60))
    sys.exit(0 if clean else 1)


if __name__ == "__main__":
    main()

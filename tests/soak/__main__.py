"""`python -m tests.soak`: the whole suite; writes its figures into docs/reliability.md."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import date

from tests.soak.caller import Caller
from tests.soak.faults.scene import Fault, Scene
from tests.soak.faults.table import FAULTS, PROMOTION
from tests.soak.page import tables, write
from tests.soak.records import Run, saved
from tests.soak.run import Part, run_part, scene
from tests.support.checkout import CHECKOUT
from tests.support.messages.back_pressure import BackPressure, measure_back_pressure

OUTPUT = CHECKOUT / "soak-output"
#: the runs of which docs/reliability.md is the sum, kept with it
MEASURED = CHECKOUT / "tests" / "soak" / "measured"
PAGE = CHECKOUT / "docs" / "reliability.md"


def main() -> None:
    """Run it; exit 1 if anything was lost, double, damaged or failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=15, help="of sending, in all")
    parser.add_argument("--only", default="", help="faults whose name holds this")
    parser.add_argument("--since", default="", help="this fault and those after it in the table")
    parser.add_argument(
        "--add", action="store_true", help="add this run to those in tests/soak/measured"
    )
    parser.add_argument(
        "--page", action="store_true", help="run nothing: write the page of those runs"
    )
    parser.add_argument("--waiting", type=int, default=100_000, help="tasks of the pile")
    arguments = parser.parse_args()
    if arguments.page:
        write(PAGE, tables(_kept()))
        return
    faults, promotions = (
        [fault for fault in some if arguments.only in fault.name]
        for some in (FAULTS[_first(arguments.since) :], [PROMOTION])
    )
    started = time.monotonic()
    OUTPUT.mkdir(exist_ok=True)
    log = (OUTPUT / "soak.log").open("w")

    def say(text: str) -> None:
        line = f"{time.monotonic() - started:7.1f} s  {text}"
        print(line, flush=True)
        print(line, file=log, flush=True)

    parts: list[Part] = []
    pressure: BackPressure | None = None
    kept = (MEASURED if arguments.add else OUTPUT) / f"run-{time.strftime('%Y%m%d-%H%M%S')}.json"

    def keep() -> None:
        # after each part: a run that is ended from outside has counted what it did
        minutes = (time.monotonic() - started) / 60
        Run(date.today(), minutes, tuple(parts), pressure).save(kept)

    def run_all(these: Sequence[Fault], stage: Scene, caller: Caller) -> None:
        seconds = arguments.minutes * 60 / sum(fault.share for fault in (*FAULTS, PROMOTION))
        for each in these:
            parts.append(run_part(each, stage, caller, seconds * each.share, say))
            keep()

    if faults:
        with scene(OUTPUT) as (stage, caller):
            run_all(faults, stage, caller)
            if not arguments.only:
                caller.end()
                stage.workers.end()
                redis = stage.servers.redis.client()
                redis.flushall()
                pressure = measure_back_pressure(redis, arguments.waiting)
                keep()
                say(str(pressure))
    if promotions:
        with scene(OUTPUT / "sentinel", watched=True) as (stage, caller):
            run_all(promotions, stage, caller)
    clean = all(part.clean for part in parts)
    say("clean" if clean else "NOT clean")
    if arguments.add:
        write(PAGE, tables(_kept()))
    elif not arguments.only:
        write(PAGE, tables([saved(kept)]))
    sys.exit(0 if clean else 1)


def _first(text: str) -> int:
    found = [number for number, fault in enumerate(FAULTS) if text in fault.name]
    if not found:
        sys.exit(f"no fault is named with {text!r}: see tests/soak/faults/table.py")
    return found[0]


def _kept() -> list[Run]:
    return [saved(path) for path in sorted(MEASURED.glob("run-*.json"))]


if __name__ == "__main__":
    main()

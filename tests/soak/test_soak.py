"""The fault suite's short form: the faults that take seconds; `make soak` runs them all."""

from __future__ import annotations

from pathlib import Path

from tests.soak.faults.table import SHORT
from tests.soak.run import run_part, scene

#: seconds in which tasks are sent and faults happen
SECONDS = 35
POOL = {"feature": 2, "classify": 1, "trainer": 1}


def test_nothing_is_lost_double_or_half_written_whatever_fails(tmp_path: Path) -> None:
    # a dead worker is noticed sooner than by default, so that the test ends sooner
    with scene(tmp_path, POOL, SPACER_WORKER_SILENT_S="5") as (stage, caller):
        part = run_part(SHORT, stage, caller, SECONDS, print)
        met = stage.servers.front.met()
    tally = part.tally
    assert not tally.lost
    assert not tally.errors
    assert not tally.damaged
    assert (tally.second_answers, tally.waiting_callers) == (0, 0)
    assert tally.answers_out == tally.tasks_in
    # it was a test at all
    assert tally.tasks_in > 100
    assert tally.bodies > 0
    assert part.times > 5
    assert sum(met.values()) > 20

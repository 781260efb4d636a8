"""Runs of the suite that are added up, and the page that is written of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

from tests.soak.caller import Tally
from tests.soak.page import BEGIN, END, tables, write
from tests.soak.records import Run, added_up, saved
from tests.soak.run import Part
from tests.support.messages.back_pressure import BackPressure

KILLED = Part(
    "a worker is killed",
    "every 6 s",
    3,
    Tally(tasks_in=100, answers_out=99, lost=Counter(extract=1), longest_send_s=0.2),
    31.0,
    60,
)
AGAIN = replace(
    KILLED,
    times=4,
    tally=Tally(tasks_in=1000, answers_out=1000, callbacks_repeated=2, longest_send_s=0.1),
    recovery_s=7,
)
PILE = BackPressure(
    tasks=10, bytes_a_task=2000, sent_a_second=1, last_share=1, depth_seen=10, depth_s=0.1
)


def test_a_run_that_was_kept_is_read_as_it_was(tmp_path: Path) -> None:
    run = Run(date(2026, 11, 28), 4.5, (KILLED, AGAIN), PILE, runs=2)
    run.save(tmp_path / "run.json")
    assert saved(tmp_path / "run.json") == run


def test_counts_are_sums_and_times_the_longest_and_a_loss_stays_one() -> None:
    days = (date(2026, 11, 27), date(2026, 11, 28))
    other = replace(AGAIN, name="another")
    runs = [Run(days[0], 10, (KILLED,)), Run(days[1], 5, (AGAIN, other), PILE)]
    both, alone = added_up(runs)
    assert (both.times, both.recovery_s, both.tally.longest_send_s) == (7, 31, 0.2)
    assert (both.tally.tasks_in, both.tally.answers_out) == (1100, 1099)
    assert both.tally.lost == Counter(extract=1)
    assert not both.clean
    assert alone == other


def test_the_page_says_how_many_runs_it_is_of(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    runs = [Run(date(2026, 11, 27), 10, (KILLED,)), Run(date(2026, 11, 28), 5, (AGAIN,), PILE)]
    write(page, tables(runs))
    text = page.read_text(encoding="utf-8")
    assert "old" not in text
    assert "27 November 2026 to 28 November 2026 in 15 minutes, in 2 runs that are added up" in text
    assert "| a worker is killed | every 6 s | 7 | 1,100 | 1,099 | 1 | 0 | 0 | 2 | 31 s |" in text
    assert "10 extractions that wait" in text
    assert "in 4 runs that are added up" in tables([replace(runs[0], runs=3), runs[1]])
    one = tables(runs[1:])
    assert "Measured on 28 November 2026 in 5 minutes, on two cores" in one

"""The measured figures, as tables between two marks in docs/reliability.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.soak.records import Run, added_up
from tests.soak.run import Part
from tests.support.messages.back_pressure import BackPressure

BEGIN, END = "<!-- measured by `make soak` -->", "<!-- end of what was measured -->"
HEAD = (
    "| fault | how often | times | tasks in | answers out | lost | second answers"
    " | callbacks lost | callbacks twice | longest recovery |\n"
    "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|"
)


def tables(runs: Sequence[Run]) -> str:
    """The tables and the sentences that belong to them, of one run or of several added up."""
    parts = added_up(runs)
    pressure = next((run.pressure for run in reversed(runs) if run.pressure), None)
    minutes = sum(run.minutes for run in runs)
    count = sum(run.runs for run in runs)
    how = "" if count == 1 else f", in {count} runs that are added up"
    days = sorted({run.day for run in runs})
    day = " to ".join(f"{each:%d %B %Y}" for each in dict.fromkeys((days[0], days[-1])))
    rows = [_row(part) for part in parts]
    rows.append(
        _cells(
            "all",
            "",
            "",
            *(f"{sum(count):,}" for count in zip(*map(_counts, parts), strict=True)),
            f"{max(part.recovery_s for part in parts):.0f} s",
        )
    )
    refused = sum(part.tally.refused for part in parts)
    second = sum(part.second for part in parts)
    bodies = sum(part.tally.bodies for part in parts)
    outputs = sum(len(part.tally.damaged) for part in parts)
    errors = sum((part.tally.errors.total() for part in parts), 0)
    slowest = max(part.tally.longest_send_s for part in parts)
    return "\n".join(
        [
            HEAD,
            *rows,
            "",
            f"Measured on {day} in {minutes:.0f} minutes{how}, on two cores that ran"
            " workers, Redis, S3 and the caller. Answers that were an error, and should not have"
            f" been: {errors}. Chord bodies that led to their batch's answer: {bodies:,}. Outputs"
            f" that were missing or not whole: {outputs}. Answers that came second, of tasks that"
            f" ran twice or whose storing was tried again, and were not kept: {second:,}. Sends"
            f" that were refused with an error because Redis was away: {refused:,}; the slowest of"
            f" them took {slowest:.1f} s.",
            *_pile(pressure),
        ]
    )


def _pile(pressure: BackPressure | None) -> list[str]:
    if pressure is None:
        return []
    return [
        "",
        f"{pressure.tasks:,} extractions that wait take {pressure.bytes_a_task:,.0f} bytes of"
        f" Redis's memory each. They were sent by one process at"
        f" {pressure.sent_a_second:,.0f} a second; the last tenth at"
        f" {pressure.last_share:.0%} of the speed of the first. `queue_depths()` took"
        f" {pressure.depth_s * 1000:.0f} ms then.",
    ]


def write(page: Path, text: str) -> None:
    """Put the tables into the page, in place of the ones before."""
    old = page.read_text(encoding="utf-8")
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def _counts(part: Part) -> tuple[int, ...]:
    tally = part.tally
    return (
        tally.tasks_in,
        tally.answers_out,
        tally.lost.total(),
        tally.second_answers,
        tally.callbacks_lost,
        tally.callbacks_repeated,
    )


def _row(part: Part) -> str:
    recovery = f"{part.recovery_s:.0f} s" if part.recovery_s >= 1 else "under 1 s"
    if not part.times or not part.measured:
        recovery = ""
    counts = [f"{count:,}" for count in _counts(part)]
    times = f"{part.times:,}" if part.times else ""
    return _cells(part.name, part.often, times, *counts, recovery)


def _cells(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"

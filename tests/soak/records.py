"""What runs of the suite found, kept in files, so that several can be added up."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

from tests.soak.caller import Tally
from tests.soak.run import Part
from tests.support.messages.back_pressure import BackPressure

#: what grows with each run; of everything else the largest is told
_COUNTERS = ("errors", "lost")
_LARGEST = ("longest_send_s",)


@dataclass(frozen=True)
class Run:
    """One run of the suite, or several whose sum is what was kept."""

    day: date
    minutes: float
    parts: tuple[Part, ...]
    pressure: BackPressure | None = None
    runs: int = 1

    def save(self, path: Path) -> None:
        """Keep it."""
        said = {
            "day": self.day.isoformat(),
            "minutes": self.minutes,
            "parts": [_said(part) for part in self.parts],
            "pressure": asdict(self.pressure) if self.pressure else None,
            "runs": self.runs,
        }
        path.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


def saved(path: Path) -> Run:
    """A run that was kept."""
    said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    pressure = said["pressure"]
    return Run(
        date.fromisoformat(said["day"]),
        said["minutes"],
        tuple(_part(each) for each in said["parts"]),
        BackPressure(**pressure) if pressure else None,
        said["runs"],
    )


def added_up(runs: Iterable[Run]) -> list[Part]:
    """One part for each fault, with the sums over all runs and the longest recovery."""
    parts: dict[str, list[Part]] = {}
    for run in runs:
        for part in run.parts:
            parts.setdefault(part.name, []).append(part)
    return [_sum(some) for some in parts.values()]


def _sum(parts: Sequence[Part]) -> Part:
    tally = Tally()
    for part in parts:
        for field in fields(Tally):
            mine, more = getattr(tally, field.name), getattr(part.tally, field.name)
            largest = field.name in _LARGEST
            setattr(tally, field.name, max(mine, more) if largest else mine + more)
    return Part(
        name=parts[0].name,
        often=parts[0].often,
        times=sum(part.times for part in parts),
        tally=tally,
        recovery_s=max(part.recovery_s for part in parts),
        seconds=sum(part.seconds for part in parts),
        measured=any(part.measured for part in parts),
        second=sum(part.second for part in parts),
    )


def _said(part: Part) -> dict[str, Any]:
    counts = dict(vars(part.tally))
    # of when each task was answered, the recovery is what is kept
    del counts["finished_at"]
    return {**vars(part), "tally": counts}


def _part(said: dict[str, Any]) -> Part:
    counts = dict(said["tally"])
    for name in _COUNTERS:
        counts[name] = Counter(counts[name])
    return Part(**{**said, "tally": Tally(**counts)})

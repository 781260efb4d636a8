"""Everything that is wrong with a file, as one error."""

from __future__ import annotations

from spacer_tasks.data_classes.labels import LabelId
from spacer_tasks.exceptions import PointsFileError

#: problems that an error lists; the rest is counted
LISTED = 10
#: characters of a value that an error shows
SHOWN = 60


def shown_value(value: LabelId | None) -> str:
    """A value as an error shows it."""
    if value is None or value == "":
        return "nothing"
    return repr(value[:SHOWN] + "…" if isinstance(value, str) and len(value) > SHOWN else value)


def problems_error(name: str, problems: list[str]) -> PointsFileError:
    """One error for all problems of a file."""
    if len(problems) == 1:
        return PointsFileError(f"{name}: {problems[0]}")
    listed = problems[:LISTED]
    if len(problems) > LISTED:
        listed.append(f"and {len(problems) - LISTED} more")
        if "--coordinates" in problems[-1]:
            listed.append(problems[-1])
    lines = "\n".join(f"  {problem}" for problem in listed)
    return PointsFileError(f"{name}: {len(problems)} problems\n{lines}")

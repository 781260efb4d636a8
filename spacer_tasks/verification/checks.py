"""What came of computing stored files again, one by one."""

from __future__ import annotations

import logging
import math
import statistics
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from spacer_tasks.data_classes.labels import Point
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import (
    InputError,
    ObjectNotFoundError,
    TransientError,
    URLDownloadError,
    URLUnavailableError,
)

logger = logging.getLogger(__name__)

#: files in a row that the storage failed for; one can be a bad sector, these are an outage
OUTAGE = 3

Outcome = Literal["equal", "differs", "not verified", "failed"]


class NotVerifiableError(InputError):
    """A stored file does not say enough, or holds nothing, to be computed again."""


@dataclass(frozen=True)
class Check:
    """What came of one stored file.

    Attributes
    ----------
    outcome
        "equal": within the tolerance. "not verified": it can't be computed again, and `note` says
        why. "failed": it is damaged, or computing it failed.
    difference
        The largest of its points: of features the relative L2 error of a vector, of scores the
        difference of a probability. Infinite where the points or the labels are others.
    worst
        The point with the largest difference.
    changed
        Of scores: points whose most probable label is another one.
    computed_from, by
        The image or feature file, and the extractor or classifier.
    """

    name: str
    location: DataLocation
    outcome: Outcome
    points: int | None = None
    difference: float | None = None
    worst: Point | None = None
    changed: int | None = None
    computed_from: str = ""
    by: str = ""
    note: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Summary:
    """All checks together; `median` and `worst` are differences, of those that were verified."""

    verified: int
    over: int
    median: float | None
    worst: float | None

    @classmethod
    def of(cls, checks: Iterable[Check]) -> Summary:
        """The summary of some checks."""
        all_of_them = list(checks)
        found = [each.difference for each in all_of_them if each.difference is not None]
        return cls(
            verified=len(found),
            over=sum(each.outcome == "differs" for each in all_of_them),
            median=statistics.median(found) if found else None,
            worst=max(found) if found else None,
        )


Compute = Callable[[str, DataLocation], Check]


def verified(
    files: Iterable[tuple[str, DataLocation]], compute: Compute, wanted: int
) -> Generator[Check, None, None]:
    """The checks of files until `wanted` of them were verified or failed.

    Files that can't be verified are told of and do not count.

    Raises
    ------
    TransientError
        The storage failed for several files in a row.
    """
    outages = 0
    for name, loc in files:
        started = time.monotonic()
        try:
            check = compute(name, loc)
            outages = 0
        # a third party's host that is away says nothing about the storage
        except (
            NotVerifiableError,
            ObjectNotFoundError,
            URLDownloadError,
            URLUnavailableError,
        ) as e:
            check = Check(name, loc, "not verified", note=str(e))
        except InputError as error:
            check = Check(name, loc, "failed", note=str(error))
        except TransientError as error:
            outages += 1
            if outages == OUTAGE:
                raise
            check = Check(name, loc, "failed", note=str(error))
        except Exception as error:
            # the boundary: one file never stops the others
            logger.exception("%s", loc)
            check = Check(name, loc, "failed", note=f"{type(error).__name__}: {error}")
        yield replace(check, seconds=time.monotonic() - started)
        wanted -= check.outcome != "not verified"
        if not wanted:
            return


def judged(difference: float, tolerance: float) -> Outcome:
    """Whether a difference is within a tolerance; no number is not."""
    return "equal" if difference <= tolerance and not math.isnan(difference) else "differs"

"""Remove what is old under the results prefix, and needed by no task any more.

Only the folders that this package keeps there are looked at. Redis says which tasks are not done
with, before anything is listed: what is stored for them meanwhile is young.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from redis.exceptions import NoPermissionError, RedisError

from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import BrokerUnavailableError, ConfigError
from spacer_tasks.results import results_location
from spacer_tasks.storage import probe
from spacer_tasks.storage.listing import Entry, entries_below
from spacer_tasks.storage.removal import AT_ONCE, remove_below
from spacer_tasks.upkeep.needed import Needed, needed_tasks

#: of tasks, by their ids
TASKS = ("answers", "messages", "batches", "checkpoints")
#: named in messages of SQS, which keeps none for longer than two weeks
JOBS = ("returns", "dead_letters")
JOBS_LEAST_S = 14 * 86400
FOLDERS = (*TASKS, *JOBS, probe.FOLDER)


@dataclass
class Count:
    """Some objects."""

    objects: int = 0
    bytes: int = 0

    def add(self, entry: Entry) -> None:
        """One more."""
        self.objects += 1
        self.bytes += entry.bytes


@dataclass
class Cleaned:
    """What became of the objects of one folder.

    Attributes
    ----------
    removed
        Old ones; what would be removed, where nothing is.
    needed
        Old ones of tasks that are not done with: they stay.
    young
        Those that are not old enough.
    failed
        By path below the folder, why an object could not be removed.
    """

    removed: Count = field(default_factory=Count)
    needed: Count = field(default_factory=Count)
    young: Count = field(default_factory=Count)
    failed: dict[str, str] = field(default_factory=dict)


def clean(
    older_than_s: float, *, dry_run: bool, on_page: Callable[[str, Cleaned], None] = lambda *_: None
) -> dict[str, Cleaned]:
    """Remove what was stored longer ago, and no task needs; by folder, what became of the objects.

    Parameters
    ----------
    older_than_s
        Seconds; at least `SPACER_RESULTS_EXPIRE_S`, for as long as Redis names the answers.
    dry_run
        Remove nothing, and count what would be removed.
    on_page
        Called now and then with the folder and what became of its objects so far.

    Raises
    ------
    ConfigError
        The time is too short, or the user of Redis may not see what is needed.
    BrokerUnavailableError
        Redis does not answer: it is not known what is needed, and nothing is removed.
    StorageError, StorageUnavailableError
        The results prefix cannot be listed, or does not answer.
    """
    least_s = get_settings().results_expire_s
    if older_than_s < least_s:
        raise ConfigError(
            f"{older_than_s:g} seconds are less than the {least_s} of SPACER_RESULTS_EXPIRE_S, for"
            " which Redis says where an answer is: nothing was removed"
        )
    prefix = results_location()
    try:
        needed = needed_tasks()
    except NoPermissionError as error:
        raise ConfigError(
            "the user in SPACER_BROKER_URL may not look through the keys of Redis (SCAN, HSCAN,"
            f" ZSCAN), so it is not known what is still needed: {error}; nothing was removed"
        ) from error
    except (RedisError, OSError) as error:
        raise BrokerUnavailableError(
            f"Redis does not answer, so it is not known what is still needed: {error}; nothing was"
            " removed"
        ) from error
    now = time.time()
    found = {}
    for folder in FOLDERS:
        age_s = max(older_than_s, JOBS_LEAST_S) if folder in JOBS else older_than_s
        found[folder] = Cleaned()
        place = prefix.joined(folder)
        for page in _pages(entries_below(place)):
            _clean_page(found[folder], page, folder, now - age_s, needed, not dry_run and place)
            on_page(folder, found[folder])
    return found


def _clean_page(
    cleaned: Cleaned,
    page: list[Entry],
    folder: str,
    before: float,
    needed: Needed,
    remove_from: DataLocation | bool,
) -> None:
    going = []
    for entry in page:
        if entry.stored_at >= before:
            cleaned.young.add(entry)
        elif folder in TASKS and _task_of(entry.name) in needed:
            cleaned.needed.add(entry)
        else:
            going.append(entry)
    stayed = {}
    if going and isinstance(remove_from, DataLocation):
        stayed = remove_below(remove_from, [entry.name for entry in going])
        cleaned.failed.update(stayed)
    for entry in going:
        if entry.name not in stayed:
            cleaned.removed.add(entry)


def _task_of(name: str) -> str:
    """The task that an object is of: `5f1c….json`, or `5f1c…/extract.json`."""
    first, slash, _ = name.partition("/")
    if slash:
        return first
    if first.startswith("."):
        # what was being written when its worker was killed: `.5f1c….json.x3k9`
        first = first[1:].rpartition(".")[0]
    return first.removesuffix(".json")


def _pages(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    page: list[Entry] = []
    for entry in entries:
        page.append(entry)
        if len(page) == AT_ONCE:
            yield page
            page = []
    if page:
        yield page

"""A survey as a scientist has it, of quadrats: photos, people's labels, sites and groups.

Files are as people write them, so that the commands can be tried on them without a server.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from spacer_tasks.console import counted, progress_bar, say
from spacer_tasks.demo.quadrats import CSV_COLUMNS, make_quadrats
from spacer_tasks.exceptions import InputError

#: fewer leave a set of the training with too few labels
LEAST_PHOTOS = 12
SITES = ("north", "south")
#: of the photographs' labels
GROUPS = {
    "stone": ("brick", "gravel", "moon", "temple"),
    "plants": ("flower", "grass"),
    "things": ("coffee", "coins"),
    "animals": ("cat", "tissue"),
}


def write_survey(folder: Path, photos: int, seed: int) -> None:
    """Write `photos/`, `labels.csv` (people's labels, of three quarters of the photos), `truth.csv`
    (of the others), `sites.csv` and `groups.csv`.

    Raises
    ------
    InputError
        Too few photos.
    """
    if photos < LEAST_PHOTOS:
        raise InputError(f"{photos} photos: at least {LEAST_PHOTOS} are needed to train and test")
    with progress_bar() as progress:
        bar = progress.add_task("making photos", total=photos, note="")
        made = make_quadrats(
            folder / "photos", photos, seed, lambda done: progress.update(bar, completed=done)
        )
    with made.points_csv.open(newline="", encoding="utf-8") as stream:
        points = [tuple(row.values()) for row in csv.DictReader(stream)]
    made.points_csv.unlink()
    training = set(made.training)
    _write(folder / "labels.csv", CSV_COLUMNS, (row for row in points if row[0] in training))
    _write(folder / "truth.csv", CSV_COLUMNS, (row for row in points if row[0] not in training))
    names = [*made.training, *made.test]
    sites = ((name, SITES[i % len(SITES)]) for i, name in enumerate(names))
    _write(folder / "sites.csv", ("image", "site"), sites)
    groups = ((label, group) for group, labels in GROUPS.items() for label in labels)
    _write(folder / "groups.csv", ("label", "group"), groups)
    say(f"{counted(photos, 'photo')} with labels, sites and groups: {folder}")


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)

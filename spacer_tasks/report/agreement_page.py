"""The page about how far two files of labels agree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spacer_tasks.agreement.comparing import Agreement
from spacer_tasks.report.templating import rendered
from spacer_tasks.storage.filesystem import FilesystemStorage

#: photos that the page lists, and those of which one file has points alone
PHOTOS = 25
#: labels of a heat map that can still be read
HEAT_LABELS = 40


@dataclass(frozen=True)
class _Page:
    title: str
    lead: str
    facts: dict[str, str]


def write_agreement_page(path: Path, first: str, second: str, found: Agreement) -> None:
    """Write the page. Raises StorageAccessError or StorageUnavailableError where it cannot."""
    FilesystemStorage().store(str(path), render_agreement(first, second, found).encode("utf-8"))


def render_agreement(first: str, second: str, found: Agreement) -> str:
    """The page as HTML; `first` and `second` are what the files are called."""
    order = sorted(range(len(found.labels)), key=lambda i: -found.labels[i].first)[:HEAT_LABELS]
    heat = [
        (
            found.labels[i].label,
            [
                (found.confusion[i][j], found.confusion[i][j] / max(1, found.labels[i].first))
                for j in order
            ],
        )
        for i in order
    ]
    return rendered(
        "agreement.html.j2",
        {
            "data": _Page(
                f"{first} and {second}",
                f"{found.points:,} points on {len(found.photos):,} photos that are in both files.",
                {"first file": first, "second file": second},
            ),
            "found": found,
            "first": first,
            "second": second,
            "labels": sorted(found.labels, key=lambda each: -each.first),
            "heat_labels": [found.labels[i].label for i in order],
            "heat": heat,
            "photos": [each for each in found.photos if each.same < each.points][:PHOTOS],
            "only": [
                (name, list(some.items())[:PHOTOS], sum(some.values()), len(some))
                for name, some in ((first, found.only_first), (second, found.only_second))
                if some
            ],
        },
    )

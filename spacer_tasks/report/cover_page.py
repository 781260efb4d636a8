"""The page about the percent cover of a survey."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spacer_tasks.cover.estimates import LabelCover
from spacer_tasks.cover.survey import SurveyCover, UnitCover
from spacer_tasks.report.templating import percent, rendered
from spacer_tasks.storage.filesystem import FilesystemStorage

#: labels or groups of a chart, and of those that get a chart of all units
LABELS, CHARTED = 25, 8
#: units of a chart; all are in the table
UNITS = 60
#: ends of an axis, as shares
ENDS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class _Page:
    """What every page says of itself."""

    title: str
    lead: str
    facts: dict[str, str]


def write_cover_page(path: Path, name: str, cover: SurveyCover, facts: dict[str, str]) -> None:
    """Write the page.

    Parameters
    ----------
    name
        Of the survey's file, for the title.
    facts
        How the numbers were made.

    Raises
    ------
    StorageAccessError, StorageUnavailableError
        The file cannot be written.
    """
    FilesystemStorage().store(str(path), render_cover(name, cover, facts).encode("utf-8"))


def render_cover(name: str, cover: SurveyCover, facts: dict[str, str]) -> str:
    """The page as HTML."""
    whole = cover.whole
    by_size = _by_size(whole)
    units = cover.units[1:]
    charts = [
        (each.name, *_chart([(unit.name, _note(unit), _named(unit, each.name)) for unit in some]))
        for each in by_size[:CHARTED]
        if (some := units[:UNITS])
    ]
    lead = (
        f"{whole.points:,} points on {whole.photos:,} photos"
        + (f", in {len(units):,} units by {units[0].by}" if units else "")
        + (", corrected for the classifier's errors." if cover.validation_points else ".")
    )
    return rendered(
        "cover.html.j2",
        {
            "data": _Page(f"Percent cover: {name}", lead, facts),
            "cover": cover,
            "whole": whole,
            "first": by_size[0],
            "best": _best(by_size[0]),
            "kind": "group" if whole.groups else "label",
            "chart": _chart(
                [(each.name, f"{each.hits:,} points", each) for each in by_size[:LABELS]]
            ),
            "more": max(0, len(by_size) - LABELS),
            "charts": charts,
            "more_units": max(0, len(units) - UNITS),
            "parts": [_parts(each) for each in by_size[:LABELS]],
            "table": by_size,
        },
    )


def _best(cover: LabelCover) -> Any:
    return cover.corrected_of_photos or cover.of_photos


def _by_size(unit: UnitCover) -> list[LabelCover]:
    return sorted(unit.groups or unit.labels, key=lambda each: -_best(each).value)


def _named(unit: UnitCover, name: str) -> LabelCover:
    return next(each for each in unit.groups or unit.labels if each.name == name)


def _note(unit: UnitCover) -> str:
    return "" if unit.by == "image" else f"{unit.photos:,} photo{'s' if unit.photos > 1 else ''}"


def _chart(rows: list[tuple[str, str, LabelCover]]) -> tuple[list[dict[str, Any]], float]:
    """The rows of a chart, and where its axis ends."""
    shown = [
        {
            "name": name,
            "note": note,
            "value": _best(cover).value,
            "low": _best(cover).low,
            "high": _best(cover).high,
            "other": cover.of_photos.value if cover.corrected_of_photos else None,
        }
        for name, note, cover in rows
    ]
    most = max(max(each["high"], each["other"] or 0) for each in shown)
    return shown, next((end for end in ENDS if end >= most), 1.0)


def _parts(cover: LabelCover) -> dict[str, Any]:
    """Where the uncertainty comes from, in percent points."""
    se = _best(cover).se
    return {
        "name": cover.name,
        "se": percent(se),
        "points": percent(cover.se_points),
        "photos": "–" if cover.sd_photos is None else percent(cover.sd_photos),
        "classifier": "–" if cover.se_classifier is None else percent(cover.se_classifier),
    }

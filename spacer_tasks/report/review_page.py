"""The page of points that people are asked about, with their patches."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

from spacer_tasks.report.templating import rendered
from spacer_tasks.review.patches import QUALITY, SIDE
from spacer_tasks.review.predictions_file import Prediction
from spacer_tasks.storage.filesystem import FilesystemStorage


@dataclass(frozen=True)
class Card:
    """A point on the page; `number` is its number in the sheet."""

    number: int
    point: Prediction
    patch: Image.Image | None


@dataclass(frozen=True)
class _Page:
    title: str
    lead: str
    facts: dict[str, str]


def write_review_page(
    path: Path, cards: Sequence[Card], total: int, sheet: str, facts: dict[str, str]
) -> None:
    """Write the page.

    Parameters
    ----------
    total
        Points in the sheet, of which the page shows the first.
    sheet
        Its name.

    Raises
    ------
    StorageAccessError, StorageUnavailableError
        The file cannot be written.
    """
    page = render_review(cards, total, sheet, facts)
    FilesystemStorage().store(str(path), page.encode("utf-8"))


def render_review(cards: Sequence[Card], total: int, sheet: str, facts: dict[str, str]) -> str:
    """The page as HTML."""
    return rendered(
        "review.html.j2",
        {
            "data": _Page(
                f"{total:,} points for people",
                "The machine is unsure of these, the least sure first. The cross marks the point.",
                facts,
            ),
            "cards": [(card, _uri(card.patch)) for card in cards],
            "total": total,
            "sheet": sheet,
            "side": SIDE,
        },
    )


def _uri(patch: Image.Image | None) -> str:
    if patch is None:
        return ""
    stream = BytesIO()
    patch.save(stream, "JPEG", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")

"""What a file of points holds, and how it is to be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from spacer_tasks.data_classes.labels import LabelId

Column = Literal["image", "row", "column", "label"]
#: how positions are given: pixels, shares of the image from 0 to 1, or from 0 to 100
Coordinates = Literal["pixel", "fraction", "percent"]
#: which label a point has that is listed with several
Duplicates = Literal["drop", "first", "majority", "error"]


@dataclass(frozen=True, slots=True)
class FilePoint:
    """One point of a file. `line` counts from 1; row and column from 0; an empty label is None.

    A row or column below 0 is outside of the photo, as one beyond its end is.

    `share` is (y, x) as shares of the image's height and width, where the file gives no pixels:
    row and column are then known once the image's size is. `given` is the position as the file has
    it, where row and column were turned by the photo's EXIF.
    """

    line: int
    row: int
    column: int
    label: LabelId | None = None
    share: tuple[float, float] | None = None
    given: tuple[int, int] | None = None


@dataclass(frozen=True)
class ReadOptions:
    """How to read a file of points.

    Attributes
    ----------
    columns
        The names of columns that are not among those known.
    integer_labels
        Labels are integers, and anything else is wrong.
    labels_needed
        A file without a column of labels is wrong, and what makes labels doubtful is told.
    truth
        Labels will be learned from: what `classify` predicted is told, too.
    where
        Conditions that rows must meet, `COLUMN=VALUE` or `COLUMN!=VALUE`.
    duplicates
        What to do with a point that has several labels: leave it unlabelled ("drop"), take the
        first or the most frequent label, or refuse the file.
    one_based
        Rows and columns count from 1.
    swap
        The column of rows holds x, and the column of columns y.
    coordinates
        How positions are given; None for what the format has, which is pixels unless known.
    encoding
        What text is in, where it is neither Unicode nor Windows' cp1252.
    sheet
        The sheet of a workbook; None for that whose header fits best.
    """

    columns: Mapping[Column, str] = field(default_factory=dict)
    integer_labels: bool = False
    labels_needed: bool = False
    truth: bool = False
    where: tuple[str, ...] = ()
    duplicates: Duplicates = "drop"
    one_based: bool = False
    swap: bool = False
    coordinates: Coordinates | None = None
    encoding: str | None = None
    sheet: str | None = None


@dataclass(frozen=True)
class PointsFile:
    """What a file holds.

    Attributes
    ----------
    images
        The points of each image, images and points in the file's order. Names are relative paths
        with `/`.
    has_labels
        Whether there is a column of labels.
    warnings
        What a person should know although it stops nothing, one line each.
    kind
        The format that was recognised, in words.
    foreign
        Images whose paths stem from elsewhere (`/home/…`, `../…`, `C:/…`): only the folders that
        they share with the photos' say anything.
    apply_exif
        Points were drawn on photos turned as their EXIF says.
    shapes
        Width and height of the images that points were drawn on, where the file says them: in
        pixels, or of a .cpc file in any unit.
    duplicates
        Which label a point has that is listed with several: which shares are in one pixel is known
        only beside the photos.
    """

    name: str
    images: dict[str, list[FilePoint]]
    has_labels: bool
    warnings: list[str] = field(default_factory=list)
    kind: str = ""
    foreign: frozenset[str] = frozenset()
    apply_exif: bool = False
    shapes: dict[str, tuple[float, float]] = field(default_factory=dict)
    duplicates: Duplicates = "drop"

    @property
    def point_count(self) -> int:
        """The points of all images."""
        return sum(map(len, self.images.values()))

    @property
    def has_shares(self) -> bool:
        """Whether positions are shares of the photos."""
        return any(point.share is not None for points in self.images.values() for point in points)

    @property
    def needs_images(self) -> bool:
        """Whether rows and columns are known only beside the photos."""
        return self.apply_exif or self.has_shares

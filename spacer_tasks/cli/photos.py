"""Points beside their photos: sizes and EXIF read, points placed, those outside left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from typing import IO, TYPE_CHECKING

from spacer_tasks import storage
from spacer_tasks.annotations.placing import PhotoShape, Placed, placed
from spacer_tasks.annotations.points import FilePoint, PointsFile
from spacer_tasks.cli.options import feature_location
from spacer_tasks.cli.selection import Selection
from spacer_tasks.console import counted, listed, warn
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import InputError, StorageUnavailableError
from spacer_tasks.storage.filesystem import FilesystemStorage

if TYPE_CHECKING:
    from spacer_tasks.data_classes.features import ImageFeatures

#: the EXIF tag of the orientation
ORIENTATION = 0x0112
#: photos whose first bytes are read at once
AT_ONCE = 8
#: points of which it is no chance that all are in the first hundred pixels of photos so large
FEW, LARGE = 10, 400
#: points of which it is no chance that all are in the upper left of their photos; shares of height
#: and width that they reach at most, and by how much less they leave free before than behind
ENOUGH, UPPER_LEFT, ASIDE = 30, 0.7, 0.1
#: photos whose points outside are told of one by one
TOLD = 8


def photo_shape(loc: DataLocation) -> PhotoShape | None:
    """A photo's size and orientation, from its first bytes; None if it cannot be read.

    What is wrong with such a photo is said when it is extracted.
    """
    try:
        from PIL import Image
    except ImportError:
        # only sends work: the worker sees the photo
        return None
    try:
        content = _opened(loc)
        with content, Image.open(content) as image:
            try:
                orientation = int(image.getexif().get(ORIENTATION, 1))
            except Exception:  # noqa: BLE001 -- damaged EXIF: anything may come out of the parser
                orientation = 1
            return PhotoShape(*image.size, orientation if 1 <= orientation <= 8 else 1)
    except (InputError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _opened(loc: DataLocation) -> IO[bytes]:
    if loc.storage_type != "filesystem":
        return BytesIO(storage.load(loc))
    try:
        return FilesystemStorage().open(loc.key)
    except StorageUnavailableError as error:
        # of this one file: not an outage
        raise InputError(str(error)) from error


def place_selection(
    selection: Selection, points: PointsFile, *, refuse_outside: bool, look_at_all: bool = True
) -> Selection:
    """The selection with its points in pixels, without those outside their photo.

    Parameters
    ----------
    refuse_outside
        A photo with a point outside fails as a whole.
    look_at_all
        Whether to look also at photos that must be downloaded for it, where no option needs it.
    """
    missing = dict(selection.missing)
    kept = []
    told = _Told()
    looked_at = [
        image
        for image in selection.images
        if look_at_all or points.needs_images or image.location.storage_type == "filesystem"
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        shapes = dict(
            zip(
                (image.name for image in looked_at),
                pool.map(photo_shape, [image.location for image in looked_at]),
                strict=True,
            )
        )
    _ask_about_percent(points, [shape for shape in shapes.values() if shape])
    if not points.has_shares:
        _ask_about_size(selection, shapes, points)
    for image in selection.images:
        shape = shapes.get(image.name)
        if shape is None:
            if points.needs_images:
                missing[image.name] = f"the size of {image.location} cannot be read"
            else:
                kept.append(image)
            continue
        result = placed(
            image.points,
            shape,
            apply_exif=points.apply_exif,
            drawn_on=points.shapes.get(image.name),
            duplicates=points.duplicates,
        )
        if result.outside and (refuse_outside or not result.inside):
            missing[image.name] = result.text()
            continue
        told.take(image.name, result, points)
        kept.append(replace(image, points=result.inside))
    told.tell()
    return Selection(kept, missing)


def _ask_about_percent(points: PointsFile, shapes: Sequence[PhotoShape]) -> None:
    """Warn where whole numbers may be percentages: none is above 100, and the photos are large."""
    some = [point for each in points.images.values() for point in each]
    large = bool(shapes) and min(min(shape.width, shape.height) for shape in shapes) >= LARGE
    if (
        large
        and len(some) >= FEW
        and all(point.share is None and max(point.row, point.column) <= 100 for point in some)
    ):
        warn(
            f"{points.name}: no position is above 100, on photos of {LARGE} pixels and more: if"
            " they are percentages, give --coordinates percent"
        )


def _ask_about_size(
    selection: Selection, shapes: Mapping[str, PhotoShape | None], points: PointsFile
) -> None:
    """Warn where points may have been drawn on smaller copies: all are in the upper left."""
    rows: list[float] = []
    columns: list[float] = []
    for image in selection.images:
        shape = shapes.get(image.name)
        if shape is not None:
            width, height = shape.shown if points.apply_exif else (shape.width, shape.height)
            rows += [point.row / height for point in image.points]
            columns += [point.column / width for point in image.points]
    if len(rows) >= ENOUGH and all(
        max(some) <= UPPER_LEFT and max(some) + min(some) <= 1 - ASIDE for some in (rows, columns)
    ):
        warn(
            f"{points.name}: all points are in the upper left of their photos, down to"
            f" {max(rows):.0%} of the height and to {max(columns):.0%} of the width: were they"
            " drawn on smaller copies?"
        )


def placed_at_features(
    points: PointsFile, features: DataLocation, names: Sequence[str], *, refuse_outside: bool
) -> tuple[PointsFile, dict[str, str]]:
    """The points as they are in the images' feature files, and the images that have none.

    A point without a feature vector is left out where the photo, which the feature file names,
    shows that it is outside; otherwise it stays, and is refused by what uses it.
    """
    images: dict[str, list[FilePoint]] = {}
    missing: dict[str, str] = {}
    told = _Told()

    def looked_at(name: str) -> Placed | None:
        return _at_features(points, feature_location(features, name), name)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for name, result in zip(names, pool.map(looked_at, names), strict=True):
            if result is None:
                if points.needs_images:
                    missing[name] = "its features do not lead to its photo, whose size is needed"
                else:
                    images[name] = points.images[name]
            elif result.outside and (refuse_outside or not result.inside):
                missing[name] = result.text()
            else:
                told.take(name, result, points)
                images[name] = result.inside
    told.tell()
    return replace(points, images=images), missing


def _at_features(points: PointsFile, loc: DataLocation, name: str) -> Placed | None:
    from spacer_tasks.data_classes.features import ImageFeatures

    some = points.images[name]
    try:
        features = ImageFeatures.from_bytes(storage.load(loc), str(loc))
    except InputError:
        # said by what uses it
        return None
    if not points.needs_images:
        there = set(features.rowcols()) if features.has_rowcols else None
        if there is None or all((each.row, each.column) in there for each in some):
            return None
    photo = _photo_of(features)
    shape = photo_shape(photo) if photo else None
    if shape is None:
        return None
    return placed(
        some,
        shape,
        apply_exif=points.apply_exif,
        drawn_on=points.shapes.get(name),
        duplicates=points.duplicates,
    )


def photo_of_features(loc: DataLocation) -> DataLocation | None:
    """The photo that a feature file names, or None."""
    from spacer_tasks.data_classes.features import ImageFeatures

    try:
        return _photo_of(ImageFeatures.from_bytes(storage.load(loc), str(loc)))
    except InputError:
        return None


def _photo_of(features: ImageFeatures) -> DataLocation | None:
    image = features.origin.get("image")
    return DataLocation.parse(image) if isinstance(image, str) else None


class _Told:
    """What was found at photos, told once for all."""

    def __init__(self) -> None:
        self._outside: dict[str, str] = {}
        self._points = 0
        self._turned: list[str] = []
        self._apply = False
        self._shared = 0
        self._unclear: list[str] = []

    def take(self, name: str, result: Placed, points: PointsFile) -> None:
        if result.outside:
            self._outside[name] = result.text()
            self._points += len(result.outside)
        self._apply = points.apply_exif
        self._shared += result.shared
        if result.unclear:
            self._unclear.append(f"{name} ({result.unclear})")
        if result.shape.orientation != 1:
            self._turned.append(name)

    def tell(self) -> None:
        for name, text in list(self._outside.items())[:TOLD]:
            warn(f"{name}: {text}")
        if self._outside:
            warn(
                f"{counted(self._points, 'point')} outside {counted(len(self._outside), 'photo')}"
                " left out; --outside refuse leaves out the photos instead"
            )
        if self._shared:
            warn(
                f"{counted(self._shared, 'pixel')} with several points of the sheet, taken once"
                + (
                    f"; with several labels, which --duplicates decides: {listed(self._unclear)}"
                    if self._unclear
                    else ""
                )
            )
        if self._turned and not self._apply:
            warn(
                f"the EXIF of {counted(len(self._turned), 'photo')} turns what viewers show"
                f" ({listed(self._turned)}); points are read on the unturned photo. If they were"
                " drawn on the turned one, give --apply-exif"
            )

"""Which image of a points file is which file."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from spacer_tasks.cli.options import location
from spacer_tasks.console import counted, listed, warn
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.data_classes.points_csv import FilePoint, PointsFile
from spacer_tasks.exceptions import ObjectNotFoundError, PointsFileError
from spacer_tasks.storage.listing import list_at, list_below

#: files of a folder that are told of when no point is in them; others may lie there
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")


@dataclass(frozen=True)
class SelectedImage:
    """An image with points. `name` is what the points file calls it."""

    name: str
    location: DataLocation
    points: list[FilePoint]


@dataclass(frozen=True)
class Selection:
    """Images that are in the points file and there, and the reasons why others are not there."""

    images: list[SelectedImage]
    missing: dict[str, str]


def select_images(images: str, points: PointsFile) -> Selection:
    """Find the images of a points file; warn of images without points.

    A name stands for a path below the folder, or, where there is no such file, for the one file of
    this name in any folder below it. Of a single image only its own points are taken.

    Parameters
    ----------
    images
        An image, a folder, or a prefix on S3.

    Raises
    ------
    ObjectNotFoundError
        There is nothing at `images`.
    PointsFileError
        None of the images in the file are there.
    StorageError, StorageUnavailableError
        The storage cannot be read.
    """
    files, single = list_at(location(images))
    by_filename: dict[str, list[str]] = {}
    for path in files:
        by_filename.setdefault(path.rpartition("/")[2], []).append(path)
    selected, missing = [], {}
    used = set()
    for name, its_points in points.images.items():
        paths = [name] if name in files else by_filename.get(name.rpartition("/")[2], [])
        if len(paths) == 1:
            used.add(paths[0])
            selected.append(SelectedImage(name, files[paths[0]], its_points))
        elif paths:
            missing[name] = f"{len(paths)} files have this name: {listed(paths)}"
        elif not single:
            missing[name] = f"not in {images}{_similar(name, files)}"
    if not selected:
        raise PointsFileError(
            f"{points.name}: none of its {counted(len(points.images), 'image')}"
            f" ({listed(list(points.images))}) is in {images}, where there"
            f" {'is' if len(files) == 1 else 'are'} {listed(list(files)) or 'no files'}"
        )
    unused = [path for path in files if path not in used and path.lower().endswith(IMAGE_SUFFIXES)]
    if unused:
        warn(
            f"{counted(len(unused), 'image')} without points in {points.name} left out:"
            f" {listed(unused)}"
        )
    return Selection(selected, missing)


def _similar(name: str, files: Mapping[str, DataLocation]) -> str:
    same = [path for path in files if path.lower() == name.lower()]
    close = same or difflib.get_close_matches(name, files, n=1, cutoff=0.8)
    return f"; is it {close[0]}?" if close else ""


def stored_features(features: DataLocation, names: list[str]) -> tuple[list[str], dict[str, str]]:
    """The images that have a feature file, and the reasons why the others do not.

    Raises
    ------
    ObjectNotFoundError
        No image has one.
    StorageError, StorageUnavailableError
        The folder cannot be read.
    """
    there = list_below(features)
    found = [name for name in names if f"{name}.npz" in there]
    if not found:
        raise ObjectNotFoundError(
            f"{features}: no features of {listed(names)}; `spacer-tasks extract` makes them"
        )
    missing = set(names) - set(found)
    return found, {name: f"no features in {features}" for name in names if name in missing}

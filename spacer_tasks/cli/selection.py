"""Which image of a points file is which file."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote

from spacer_tasks.annotations.points import FilePoint, PointsFile
from spacer_tasks.cli.options import location
from spacer_tasks.console import counted, listed, warn
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import ObjectNotFoundError, PointsFileError
from spacer_tasks.storage.listing import list_at, list_below

#: files of a folder that are told of when no point is in them; others may lie there
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")


@dataclass(frozen=True)
class SelectedImage:
    """An image with points. `name` is what the sheet calls it, `path` where the folder has it."""

    name: str
    location: DataLocation
    points: list[FilePoint]
    path: str


@dataclass(frozen=True)
class Selection:
    """Images that are in the points file and there, and the reasons why others are not there."""

    images: list[SelectedImage]
    missing: dict[str, str]


def select_images(images: str, points: PointsFile, *, tell_unused: bool = True) -> Selection:
    """Find the images of a points file; warn of images without points.

    A name stands for a path below the folder, or, where it names no folder, for the one file of
    this name in any folder below it. A name with a folder never means a file of another folder,
    and one file never has two names. Where no file is spelled so, accents in another form, another
    case and another extension are taken if one file fits. Of a single image only its own points
    are taken.

    Parameters
    ----------
    images
        An image, a folder, or a prefix on S3.
    tell_unused
        Whether images without points are worth a word.

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
    finder = _Finder(files, points.foreign)
    found: dict[str, str] = {}
    missing: dict[str, str] = {}
    for name in points.images:
        paths = finder.find(name)
        if len(paths) == 1:
            found[name] = paths[0]
        elif paths:
            missing[name] = f"{len(paths)} files have this name: {listed(paths)}"
        elif not single:
            missing[name] = f"not in {images}{finder.similar(name)}"
    twice = _used_twice(found)
    missing |= twice
    selected = [
        SelectedImage(name, files[path], points.images[name], path)
        for name, path in found.items()
        if name not in missing
    ]
    if not selected:
        reasons = [f"{name}: {text}" for name, text in missing.items()][:3]
        raise PointsFileError(
            f"{points.name}: none of its {counted(len(points.images), 'image')}"
            f" ({listed(list(points.images))}) is in {images}, where there"
            f" {'is' if len(files) == 1 else 'are'} {listed(list(files)) or 'no files'}"
            + "".join(f"\n  {each}" for each in reasons)
        )
    used = set(found.values())
    other = [
        name
        for name, path in found.items()
        if PurePosixPath(name).name != _filename(path) and name not in twice
    ]
    if other:
        warn(
            f"{counted(len(other), 'name')} spelled otherwise than the file:"
            f" {listed([f'{name} is {found[name]}' for name in other])}"
        )
    unused = [path for path in files if path not in used and path.lower().endswith(IMAGE_SUFFIXES)]
    if unused and tell_unused:
        warn(
            f"{counted(len(unused), 'image')} without points in {points.name} left out:"
            f" {listed(unused)}"
        )
    return Selection(selected, missing)


class _Finder:
    """Finds files by names, first as they are spelled, then more and more freely."""

    def __init__(self, files: Mapping[str, DataLocation], foreign: frozenset[str]) -> None:
        self._files = files
        self._foreign = foreign
        self._by_filename = [(spelling, _grouped(files, spelling)) for spelling in SPELLINGS]

    def find(self, name: str) -> list[str]:
        """The files that a name may mean; one where it is clear."""
        if name in self._files:
            return [name]
        for spelling, grouped in self._by_filename:
            same = grouped.get(spelling(_filename(name)), [])
            paths = [path for path in same if self._folders_fit(name, path)]
            if paths:
                return paths
        return []

    def _folders_fit(self, name: str, path: str) -> bool:
        """Whether a file is in the folder that a name says, if it says one."""
        folders = name.split("/")[:-1]
        if not folders:
            return True
        if name in self._foreign:
            # its upper folders are another machine's: those below ours must agree
            own = path.split("/")[:-1]
            return not own or _same(folders[-len(own) :], own)
        full = f"{self._files[path].key}".split("/")[:-1]
        return _same(full[-len(folders) :], folders)

    def similar(self, name: str) -> str:
        """A hint at what a name that was not found may mean."""
        same = [path for path in self._files if _stem(_filename(path)) == _stem(_filename(name))]
        if same and "/" in name:
            folder = name.rpartition("/")[0]
            return f"; there is {same[0]}, which is not in a folder {folder!r}"
        close = same or difflib.get_close_matches(name, self._files, n=1, cutoff=0.8)
        return f"; is it {close[0]}?" if close else ""


def _used_twice(found: Mapping[str, str]) -> dict[str, str]:
    """The names that lead to another name's file, with the reason why they cannot be it."""
    names: dict[str, list[str]] = {}
    for name, path in found.items():
        names.setdefault(path, []).append(name)
    refused = {}
    for path, some in names.items():
        owner = path if path in some else None
        for name in some if len(some) > 1 else ():
            if name != owner:
                others = listed([repr(each) for each in some if each != name])
                refused[name] = f"would be {path}, which the sheet also calls {others}"
    return refused


def _grouped(
    files: Mapping[str, DataLocation], spelling: Callable[[str], str]
) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for path in files:
        if spelling is not _stem or path.lower().endswith(IMAGE_SUFFIXES):
            grouped.setdefault(spelling(_filename(path)), []).append(path)
    return grouped


def _filename(path: str) -> str:
    return path.rpartition("/")[2]


def _as_is(text: str) -> str:
    return text


def _composed(text: str) -> str:
    """Letters with accents as one character each: file systems and sheets differ in it."""
    return unicodedata.normalize("NFC", text)


def _caseless(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _unquoted(text: str) -> str:
    """As in an address, where `%20` is a space."""
    return _caseless(unquote(text))


def _stem(filename: str) -> str:
    """Without an image's extension, and without regard to case."""
    plain = _unquoted(filename)
    return next((plain.removesuffix(end) for end in IMAGE_SUFFIXES if plain.endswith(end)), plain)


#: from as it is spelled to ever more freely
SPELLINGS: tuple[Callable[[str], str], ...] = (_as_is, _composed, _caseless, _unquoted, _stem)


def _same(some: Sequence[str], others: Sequence[str]) -> bool:
    return list(map(_unquoted, some)) == list(map(_unquoted, others))


def in_a_sheet(names: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """The names of files that a sheet can hold, and why the others cannot stand there."""
    found, refused = [], {}
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            # other bytes, as archives of other systems leave them
            refused[name] = "its name is not UTF-8, which no sheet can hold: rename the file"
        else:
            found.append(name)
    return found, refused


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

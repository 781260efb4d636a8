"""Predictions as Coral Point Count's files, one for each photo, in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from spacer_tasks import storage
from spacer_tasks.annotations.formats.cpce import cpc_text
from spacer_tasks.cli.options import location
from spacer_tasks.cli.photos import photo_of_features, photo_shape
from spacer_tasks.cli.predictions import Predictions
from spacer_tasks.console import counted, listed, say, warn
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import InputError
from spacer_tasks.messages.tasks import ClassifyFeaturesMsg, ClassifyImageMsg

#: image, row and column in front of the labels and their probabilities
PLACE = 3


def write_cpc_files(
    predictions: Predictions,
    output: str,
    messages: Mapping[str, ClassifyFeaturesMsg | ClassifyImageMsg],
    *,
    turned: bool,
) -> dict[str, str]:
    """Write a folder of .cpc files, and say so; the images for which that cannot be.

    Parameters
    ----------
    messages
        Of each image: they say where its photo is, whose size stands in the file.
    turned
        Positions are on photos that are turned as their EXIF says.
    """
    photos = {}
    for name, message in messages.items():
        loc = (
            message.image_loc
            if isinstance(message, ClassifyImageMsg)
            else photo_of_features(message.feature_loc)
        )
        if loc is not None:
            photos[name] = loc
    count, failures = _store(predictions, location(output), photos, turned=turned)
    if not predictions.points:
        say(f"no point was classified: nothing is written to {output}", "red")
        return failures
    say(
        f"{counted(predictions.points, 'point')} classified;"
        f" {counted(count, 'photo')} with a .cpc file in {output}"
    )
    return failures


def _store(
    predictions: Predictions,
    folder: DataLocation,
    photos: Mapping[str, DataLocation],
    *,
    turned: bool,
) -> tuple[int, dict[str, str]]:
    """Write a `.cpc` for each image: how many were written, and for which images that cannot be.

    The note of a point has its label's probability and the other labels in percent.
    """
    by_image: dict[str, list[tuple[int, int, str, str]]] = {}
    changed: dict[str, str] = {}
    for image, row, column, *pairs in predictions.rows()[1:]:
        changed |= {label: _in_cpce(label) for label in pairs[::2]}
        others = [
            f"{label} {100 * float(share):.1f}%"
            for label, share in zip(pairs[2::2], pairs[3::2], strict=True)
        ]
        note = "; ".join([f"{100 * float(pairs[1]):.1f}%", *others])
        by_image.setdefault(image, []).append((int(row), int(column), pairs[0], note))
    _refuse_alike(changed)
    failures: dict[str, str] = {}
    names: set[str] = set()
    for image, points in by_image.items():
        shape = photo_shape(photos[image]) if image in photos else None
        name = str(PurePosixPath(image).with_suffix(".cpc"))
        if name.casefold() in names:
            # photos of one name and several extensions
            name = f"{image}.cpc"
        if shape is None:
            failures[image] = "a .cpc file has its photo's size, and the photo cannot be read"
            continue
        if _in_cpce(image) != image:
            failures[image] = (
                "CPCe, which is of Windows, cannot write this name: it knows no quotes and no"
                " letters but those of cp1252"
            )
            continue
        names.add(name.casefold())
        size = shape.shown if turned else (shape.width, shape.height)
        text = cpc_text(image, size, points)
        storage.store(folder.joined(name), text.encode("cp1252", errors="replace"))
    others = [f"{label} is {new}" for label, new in changed.items() if label != new]
    if others and names:
        warn(f"labels that CPCe cannot write have other letters in its files: {listed(others)}")
    return len(by_image) - len(failures), failures


def _in_cpce(text: str) -> str:
    """A text as a .cpc file has it: CPCe is of Windows, and knows no Unicode and no quotes."""
    plain = " ".join(text.replace('"', "").split())
    return plain.encode("cp1252", errors="replace").decode("cp1252")


def _refuse_alike(changed: Mapping[str, str]) -> None:
    """Raise `InputError` where two labels would become one."""
    first: dict[str, str] = {}
    for label, new in changed.items():
        if first.setdefault(new, label) != label:
            raise InputError(
                f"--to cpce: labels {first[new]!r} and {label!r} would both be {new!r} in its"
                " files, which have no quotes and no letters but those of cp1252; train with --map,"
                " or write another format"
            )

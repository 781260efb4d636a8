"""Options that several commands share, declared once.

A command takes them as one parameter whose type is a dataclass; `expanded` makes an option of
each of its fields.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer
from pydantic import ValidationError

from spacer_tasks import storage
from spacer_tasks.annotations.points import Column, PointsFile, ReadOptions
from spacer_tasks.annotations.reading import read_points
from spacer_tasks.console import counted, say, warn
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import PointsFileError, StorageError
from spacer_tasks.storage.listing import list_below

#: files of a folder that are read where --points names it
POINTS_SUFFIXES = (".cpc", ".csv", ".tsv", ".txt", ".xlsx", ".xlsb", ".xls", ".ods", ".json")
#: what a spreadsheet leaves beside a workbook that is open
LOCK = "~$"
#: how a location of another storage than this machine's files begins, and those that there are
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/+")
SCHEMES = ("s3://", "http://", "https://", "memory://", "file:///")
#: titles in the commands' help
CSV, TRAINING = "Reading the CSV", "Training"

Images = Annotated[
    str, typer.Argument(help="An image, a folder, or s3://bucket/prefix.", show_default=False)
]
Points = Annotated[
    str,
    typer.Option(
        "--points", metavar="CSV", help="Points: image, row, column, label.", show_default=False
    ),
]
Features = Annotated[
    str,
    typer.Option(
        "--features",
        metavar="FOLDER",
        help="Where feature files are: a folder or s3://bucket/prefix.",
        show_default=False,
    ),
]
Classifier = Annotated[
    str,
    typer.Option("--classifier", metavar="FILE", help="The classifier file.", show_default=False),
]


def expanded(function: Callable[..., None]) -> Callable[..., None]:
    """The command with one option for each field of its parameters that are dataclasses."""
    hints = get_type_hints(function, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, type[Any]] = {}
    for parameter in inspect.signature(function).parameters.values():
        hint = hints[parameter.name]
        if not (isinstance(hint, type) and dataclasses.is_dataclass(hint)):
            parameters.append(
                parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hint)
            )
            continue
        groups[parameter.name] = hint
        types = get_type_hints(hint, include_extras=True)
        parameters += [
            inspect.Parameter(
                each.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=each.default,
                annotation=types[each.name],
            )
            for each in dataclasses.fields(hint)
        ]

    @functools.wraps(function)
    def command(**values: Any) -> None:
        for name, group in groups.items():
            fields = [each.name for each in dataclasses.fields(group)]
            values[name] = group(**{each: values.pop(each) for each in fields})
        function(**values)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    del command.__wrapped__  # its parameters are not the command's
    return command


def location(text: str) -> DataLocation:
    """Where `s3://…`, `https://…` or a path points; paths are made absolute.

    So a worker of this machine finds what is meant, and features know their image from any folder
    that the command is started in.

    Raises
    ------
    StorageError
        It is none of these.
    """
    scheme = SCHEME.match(text)
    try:
        # a path that looks like another storage would be made a folder here
        found = None if scheme and scheme[0] not in SCHEMES else DataLocation.parse(text)
    except ValidationError:
        found = None
    if found is None:
        raise StorageError(
            f"{text!r} is no location; expected a path, s3://bucket/key or https://…"
        )
    if found.storage_type == "filesystem":
        path = os.path.abspath(os.path.expanduser(found.key))  # noqa: PTH100, PTH111 -- keeps links
        return found.model_copy(update={"key": path})
    return found


def feature_location(features: DataLocation, image: str) -> DataLocation:
    """Where the feature file of an image is, by the image's name in the CSV."""
    return features.joined(f"{image}.npz")


class DuplicateLabels(Enum):
    """As `annotations.points.Duplicates`."""

    DROP = "drop"
    FIRST = "first"
    MAJORITY = "majority"
    ERROR = "error"


class CoordinateKind(Enum):
    """As `annotations.points.Coordinates`."""

    PIXEL = "pixel"
    FRACTION = "fraction"
    PERCENT = "percent"


class Outside(Enum):
    """What a point outside its photo costs."""

    DROP = "drop"
    REFUSE = "refuse"


def _contents(points: str) -> dict[str, bytes]:
    """A file's content, or those of a folder's files of points, by name."""
    loc = location(points)
    if not (loc.storage_type == "filesystem" and Path(loc.key).is_dir()):
        return {points: storage.load(loc)}
    files = {
        path: each
        for path, each in sorted(list_below(loc).items())
        if path.lower().endswith(POINTS_SUFFIXES) and not path.rpartition("/")[2].startswith(LOCK)
    }
    if not files:
        raise PointsFileError(
            f"{points}: a folder without files of points ({', '.join(POINTS_SUFFIXES)})"
        )
    return {path: storage.load(each) for path, each in files.items()}


@dataclass(frozen=True)
class ColumnOptions:
    """How to read the CSV."""

    image_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of image names.", rich_help_panel=CSV)
    ] = None
    row_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of rows (y).", rich_help_panel=CSV)
    ] = None
    column_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of columns (x).", rich_help_panel=CSV)
    ] = None
    label_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of labels.", rich_help_panel=CSV)
    ] = None
    integer_labels: Annotated[
        bool,
        typer.Option(
            "--integer-labels", help="Labels are integer ids, not texts.", rich_help_panel=CSV
        ),
    ] = False

    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help="Take only rows that meet it, as 'Annotator!=robot' or 'Year=2024'; may be"
            " repeated.",
            rich_help_panel=CSV,
        ),
    ] = None
    duplicates: Annotated[
        DuplicateLabels,
        typer.Option(
            help="A point listed with several labels: no label (drop), the first, the most"
            " frequent (majority), or an error.",
            rich_help_panel=CSV,
        ),
    ] = DuplicateLabels.DROP
    coordinates: Annotated[
        CoordinateKind | None,
        typer.Option(
            help="How positions are given, if not as the file's format has it: pixels, fractions"
            " of the image from 0 to 1, or percent.",
            rich_help_panel=CSV,
        ),
    ] = None
    encoding: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What the text is in, if neither Unicode nor Windows' cp1252: mac_roman, cp1251,"
            " gbk, …",
            rich_help_panel=CSV,
        ),
    ] = None
    sheet: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The sheet of a workbook.", rich_help_panel=CSV),
    ] = None
    one_based: Annotated[
        bool,
        typer.Option("--one-based", help="Rows and columns count from 1.", rich_help_panel=CSV),
    ] = False
    swap: Annotated[
        bool,
        typer.Option("--swap", help="Rows stand for x, columns for y.", rich_help_panel=CSV),
    ] = False
    apply_exif: Annotated[
        bool,
        typer.Option(
            "--apply-exif",
            help="Points were drawn on photos turned as their EXIF says.",
            rich_help_panel=CSV,
        ),
    ] = False
    outside: Annotated[
        Outside,
        typer.Option(
            help="A point outside its photo: leave it out (drop), or the photo (refuse).",
            rich_help_panel=CSV,
        ),
    ] = Outside.DROP

    @property
    def refuse_outside(self) -> bool:
        """Whether a point outside costs its photo."""
        return self.outside is Outside.REFUSE

    def read(self, points: str, *, labels_needed: bool = False, truth: bool = False) -> PointsFile:
        """The points file, with its warnings printed. Parameters as `ReadOptions` has them.

        Raises as `read_points_file`.
        """
        given: dict[Column, str | None] = {
            "image": self.image_column,
            "row": self.row_column,
            "column": self.column_column,
            "label": self.label_column,
        }
        options = ReadOptions(
            {column: name for column, name in given.items() if name},
            integer_labels=self.integer_labels,
            labels_needed=labels_needed or truth,
            truth=truth,
            where=tuple(self.where or ()),
            duplicates=self.duplicates.value,
            one_based=self.one_based,
            swap=self.swap,
            coordinates=self.coordinates.value if self.coordinates else None,
            encoding=self.encoding,
            sheet=self.sheet,
        )
        file = replace(read_points(_contents(points), points, options), apply_exif=self.apply_exif)
        say(
            f"{points}: read as {file.kind}: {counted(file.point_count, 'point')} of"
            f" {counted(len(file.images), 'image')}"
        )
        for line in file.warnings:
            warn(line)
        return file


class ClassifierKind(str, Enum):
    """The classifiers that the trainer makes."""

    MLP = "MLP"
    LR = "LR"


class Split(str, Enum):
    """What stays together when labels are divided; as `training.SplitMode`."""

    VECTORS = "vectors"
    POINTS = "points"
    POINTS_STRATIFIED = "points_stratified"
    LABELS = "labels"


@dataclass(frozen=True)
class TrainingOptions:
    """How to train."""

    epochs: Annotated[
        int,
        typer.Option(min=1, help="Times the labels are gone through.", rich_help_panel=TRAINING),
    ] = 10
    type: Annotated[
        ClassifierKind,
        typer.Option(help="A network (MLP) or logistic regression (LR).", rich_help_panel=TRAINING),
    ] = ClassifierKind.MLP
    split_mode: Annotated[
        Split | None,
        typer.Option(
            help="What stays together in the split: an image's points, except where a label would"
            " be lost (labels, the default on this machine); an image's points always, as in"
            " CoralNet, which loses rare labels (vectors, the default through the queue); or"
            " nothing (points; points_stratified, each label in the same proportions).",
            rich_help_panel=TRAINING,
        ),
    ] = None
    ratios: Annotated[
        tuple[float, float],
        typer.Option(
            metavar="REF VAL",
            help="Shares of the reference and validation sets.",
            rich_help_panel=TRAINING,
        ),
    ] = (0.1, 0.1)
    accept: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL",
            help="Train on these labels only; may be repeated.",
            rich_help_panel=TRAINING,
        ),
    ] = None
    previous: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="An earlier classifier to compare with; may be repeated.",
            rich_help_panel=TRAINING,
        ),
    ] = None
    valresult: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Validation results; beside the classifier if not given",
            rich_help_panel=TRAINING,
        ),
    ] = None

    def valresult_location(self, model_loc: DataLocation) -> DataLocation:
        """Where the validation results go."""
        return (
            location(self.valresult) if self.valresult else model_loc.with_suffix(".valresult.json")
        )

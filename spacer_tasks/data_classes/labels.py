"""Points and their labels, image by image, in the reference's JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, KeysView
from numbers import Integral, Real
from typing import Annotated, Any

from pydantic import (
    FailFast,
    Field,
    ModelWrapValidatorHandler,
    RootModel,
    StrictInt,
    StrictStr,
    ValidationError,
    model_serializer,
    model_validator,
)

from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.data_classes.plain_values import plain

#: of 64 bits, as numpy's: larger ones can be chosen so that all have one hash
LabelId = Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)] | StrictStr
#: (row, column), 0-based; row is y.
Point = tuple[StrictInt, StrictInt]
#: (row, column, label)
Annotation = tuple[StrictInt, StrictInt, LabelId]
#: each image's first mistake is told: a million would take gigabytes
Annotations = Annotated[list[Annotation], FailFast()]


class ImageLabels(RootModel[dict[DataLocation, list[Annotation]]]):
    """Labels of points, for a set of images, each image known by where its features are.

    On the wire it is the reference's: an object whose keys are JSON strings of locations and
    whose values are lists of `[row, column, label]`. The order of images is kept: the splits
    depend on it. Integers may come as floats, or in a type of numpy's.
    """

    root: dict[DataLocation, Annotations] = Field(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _integers_in_any_type(
        cls, data: Any, handler: ModelWrapValidatorHandler[ImageLabels]
    ) -> ImageLabels:
        try:
            return handler(data)
        except ValidationError:
            # looked for only now: most are integers, and there may be a million
            return handler(_with_plain_integers(plain(data)))

    @model_validator(mode="before")
    @classmethod
    def _keys_are_json(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {_location_of_key(key): annotations for key, annotations in data.items()}

    @model_serializer
    def _to_wire(self) -> dict[str, list[Annotation]]:
        return {json.dumps(loc.model_dump()): annotations for loc, annotations in self.root.items()}

    def add_image(self, loc: DataLocation, annotations: Iterable[Annotation]) -> None:
        """Put an image after the others, or other labels where it is already.

        Raises
        ------
        pydantic.ValidationError
            An annotation is not (row, column, label).
        """
        self.root[loc] = ImageLabels({loc: list(annotations)}).root[loc]

    def keys(self) -> KeysView[DataLocation]:
        """Where the images' features are, in order."""
        return self.root.keys()

    def __getitem__(self, loc: DataLocation) -> list[Annotation]:
        return self.root[loc]

    def __len__(self) -> int:
        return len(self.root)

    def annotations(self) -> Iterator[Annotation]:
        """All annotations, image after image."""
        for image in self.root.values():
            yield from image

    def class_counts(self) -> Counter[LabelId]:
        """How many points each label has."""
        return Counter(label for _, _, label in self.annotations())

    @property
    def classes(self) -> set[LabelId]:
        """The labels that occur."""
        return {label for _, _, label in self.annotations()}

    @property
    def label_count(self) -> int:
        """The number of labelled points."""
        return sum(map(len, self.root.values()))

    def filter_classes(self, accepted: Collection[LabelId]) -> ImageLabels:
        """Only the points with an accepted label; images left without any are dropped."""
        kept = {
            loc: [annotation for annotation in annotations if annotation[2] in accepted]
            for loc, annotations in self.root.items()
        }
        return ImageLabels.model_construct({loc: some for loc, some in kept.items() if some})


def _location_of_key(key: Any) -> Any:
    if not isinstance(key, str):
        return key
    try:
        return DataLocation(**json.loads(key))
    except (ValueError, TypeError) as error:
        raise ValueError(f"the key {key[:200]!r} is not the JSON of a location") from error


def _with_plain_integers(data: Any) -> Any:
    if not isinstance(data, dict):
        return data
    return {
        key: [
            [_plain_integer(value) for value in annotation]
            if isinstance(annotation, (list, tuple))
            else annotation
            for annotation in annotations
        ]
        if isinstance(annotations, (list, tuple))
        else annotations
        for key, annotations in data.items()
    }


def _plain_integer(value: Any) -> Any:
    """A whole number as an int; anything else as it is. Numpy's numbers are of these kinds too."""
    if type(value) is bool:
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real) and float(value).is_integer():
        return int(float(value))
    return value

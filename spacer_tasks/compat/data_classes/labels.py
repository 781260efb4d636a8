"""The reference's `ImageLabels`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, KeysView, Mapping
from typing import Any

from spacer_tasks.compat.data_classes.annotations import Annotation, FeatureLabelPair, LabelId
from spacer_tasks.compat.data_classes.base import DataClass
from spacer_tasks.compat.data_classes.locations import DataLocation
from spacer_tasks.compat.exceptions import RowColumnMismatchError, RowColumnMissingError
from spacer_tasks.data_classes import labels
from spacer_tasks.messages.parsing import parse


class ImageLabels(DataClass):
    """(row, column, label) of points, by where each image's features are."""

    def __init__(self, data: Mapping[DataLocation, list[Annotation]] | None = None) -> None:
        self._data: dict[DataLocation, list[Annotation]] = {}
        self.label_count_per_class: Counter[LabelId] = Counter()
        self.has_remote_data = False
        self.filesystem_cache: str | None = None
        for loc, each in (data or {}).items():
            self.add_image(loc, each)

    def add_image(self, feature_loc: DataLocation, image_annotations: list[Annotation]) -> None:
        """Put an image after the others."""
        self._data[feature_loc] = image_annotations
        self.label_count_per_class.update(label for _, _, label in image_annotations)
        self.has_remote_data = self.has_remote_data or feature_loc.is_remote

    def ours(self) -> labels.ImageLabels:
        """The same as this project writes it, checked."""
        found = {loc.ours(): annotations for loc, annotations in self._data.items()}
        return parse(labels.ImageLabels, found)

    @classmethod
    def of_ours(cls, found: labels.ImageLabels) -> ImageLabels:
        """The inverse of `ours`."""
        return cls({DataLocation(**loc.model_dump()): each for loc, each in found.root.items()})

    def set_filesystem_cache(self, dir_path: str) -> None:
        """Keep features that are loaded from afar in this folder."""
        self.filesystem_cache = dir_path

    @property
    def classes_set(self) -> set[LabelId]:
        """The labels that occur."""
        return set(self.label_count_per_class)

    @property
    def label_count(self) -> int:
        """The number of labelled points."""
        return sum(self.label_count_per_class.values())

    @classmethod
    def example(cls) -> ImageLabels:
        names = [f"img{number}.features" for number in range(1, 5)]
        first: list[Annotation] = [(100, 200, 3), (101, 200, 2)]
        others: list[Annotation] = [(100, 202, 3), (101, 200, 3)]
        return cls(
            {
                DataLocation("filesystem", name): list(first if name == names[0] else others)
                for name in names
            }
        )

    def serialize(self) -> dict[str, list[Annotation]]:
        return {json.dumps(loc.serialize()): each for loc, each in self._data.items()}

    @classmethod
    def deserialize(cls, data: Mapping[str, list[Any]]) -> ImageLabels:
        return cls(
            {
                DataLocation.deserialize(json.loads(key)): [tuple(each) for each in annotations]
                for key, annotations in data.items()
            }
        )

    def keys(self) -> KeysView[DataLocation]:
        """Where the images' features are, in order."""
        return self._data.keys()

    def filter_classes(self, accepted_classes: Collection[LabelId]) -> ImageLabels:
        """Only the points with an accepted label; images left without any are dropped."""
        kept = {
            loc: [each for each in annotations if each[2] in accepted_classes]
            for loc, annotations in self._data.items()
        }
        return ImageLabels({loc: annotations for loc, annotations in kept.items() if annotations})

    def load_data_in_batches(
        self, batch_size: int | None = 1000, random_seed: int | None = None
    ) -> Iterator[Any]:
        """Pairs of (vectors, labels), image after image, so many points a pair.

        Parameters
        ----------
        batch_size
            None or 0 puts all into one.
        random_seed
            Shuffle the images by numpy's global generator, which is seeded with it.
        """
        import numpy as np

        from spacer_tasks.compat.data_classes.features import ImageFeatures

        locs = list(self._data)
        if random_seed is not None:
            np.random.seed(random_seed)
            np.random.shuffle(locs)  # type: ignore[arg-type]  # it shuffles lists
        waiting: list[FeatureLabelPair] = []
        for loc in locs:
            features = ImageFeatures.load(loc, self.filesystem_cache)
            try:
                waiting.extend(features.match_with_annotations(self._data[loc]))
            except RowColumnMissingError:
                raise RowColumnMissingError(
                    f"{loc.key}: Features without rowcols are no longer supported for training."
                ) from None
            except RowColumnMismatchError as error:
                raise RowColumnMismatchError(f"{loc.key}: {error}") from None
            while batch_size and len(waiting) > batch_size:
                yield zip(*waiting[:batch_size], strict=True)
                waiting = waiting[batch_size:]
        if waiting:
            yield zip(*waiting, strict=True)

    def load_all_data(self, random_seed: int | None = None) -> Any:
        """(vectors, labels) of all points."""
        return next(self.load_data_in_batches(batch_size=None, random_seed=random_seed))

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, loc: DataLocation) -> list[Annotation]:
        return self._data[loc]

    def __contains__(self, loc: object) -> bool:
        return loc in self._data

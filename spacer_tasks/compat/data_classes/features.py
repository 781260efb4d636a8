"""The reference's `ImageFeatures`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spacer_tasks import storage
from spacer_tasks.compat.caching import loaded
from spacer_tasks.compat.data_classes.annotations import Annotation, FeatureLabelPair, LabelId
from spacer_tasks.compat.data_classes.base import DataClass, Located
from spacer_tasks.compat.exceptions import RowColumnMismatchError, RowColumnMissingError
from spacer_tasks.compat.raising import as_the_reference
from spacer_tasks.data_classes import features as ours


class PointFeatures(DataClass):
    """The feature vector of a point; old files do not know which point."""

    def __init__(self, row: int | None, col: int | None, data: ArrayLike) -> None:
        self.row = row
        self.col = col
        self.data: NDArray[np.float64] = np.array(data, dtype=float)

    @classmethod
    def example(cls) -> PointFeatures:
        return cls(100, 100, [1.1, 1.3, 1.12])

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, PointFeatures)
            and (self.row, self.col) == (other.row, other.col)
            and np.allclose(self.data, other.data)
        )


class ImageFeatures(DataClass):
    """The feature vectors of an image's points."""

    def __init__(
        self,
        point_features: list[PointFeatures],
        valid_rowcol: bool,
        feature_dim: int,
        npoints: int,
    ) -> None:
        assert len(point_features) == npoints
        assert len(point_features) > 0
        assert len(point_features[0].data) == feature_dim
        self.point_features = point_features
        self.valid_rowcol = valid_rowcol
        self.feature_dim = feature_dim
        self.npoints = npoints
        # of several points at one place the last
        self._places = {(point.row, point.col): place for place, point in enumerate(point_features)}
        #: what the file says that they were computed from
        self._origin: dict[str, Any] = {}

    @classmethod
    def of_vectors(
        cls, rowcols: Sequence[tuple[int, int]], vectors: NDArray[Any], extractor: Any = None
    ) -> ImageFeatures:
        """Vectors at points, and what they were computed with."""
        points = [
            PointFeatures(row, col, vector)
            for (row, col), vector in zip(rowcols, vectors, strict=True)
        ]
        features = cls(points, True, vectors.shape[1], len(points))
        if extractor is not None:
            features._origin = {"extractor": extractor}
        return features

    def say_origin(self, **origin: Any) -> None:
        """What their file says beside the extractor that computed them."""
        self._origin.update(origin)

    def __getitem__(self, rowcol: tuple[int, int]) -> NDArray[np.float64]:
        if not self.valid_rowcol:
            raise ValueError("Method not supported for legacy features")
        return self.point_features[self._places[rowcol]].data

    def get_array(self, rowcol: tuple[int, int]) -> NDArray[np.float64]:
        """The vector of a point, shape (1, dimensions), as classifiers take it."""
        return self[rowcol].reshape(1, -1)

    def match_with_annotations(self, labels_data: list[Annotation]) -> Iterator[FeatureLabelPair]:
        """The vector and the label of each labelled point.

        Raises
        ------
        RowColumnMissingError
            These features are of the old format without rows and columns.
        RowColumnMismatchError
            There is no vector for a labelled point.
        """
        if not self.valid_rowcol:
            raise RowColumnMissingError
        for row, col, _ in labels_data:
            if (row, col) not in self._places:
                raise RowColumnMismatchError(
                    "The labels' row-column positions don't match those of the feature vector"
                    f" (example: {(row, col)})."
                )
        for row, col, label in labels_data:
            yield self[row, col], label

    @classmethod
    def example(cls) -> ImageFeatures:
        points = [
            PointFeatures(100, 100, [1.1, 1.3, 1.12]),
            PointFeatures(120, 110, [1.9, 1.3, 1.12]),
        ]
        return cls(points, True, 3, 2)

    @classmethod
    def deserialize(cls, data: Any) -> ImageFeatures:
        """Features of the oldest format: a list of vectors."""
        assert isinstance(data, list), "Deserialize only supported for legacy format"
        assert len(data) > 0, "Empty features file."
        points = [PointFeatures(None, None, vector) for vector in data]
        return cls(points, False, len(data[0]), len(data))

    def serialize(self) -> Any:
        raise NotImplementedError("Use .store() and .load() methods instead.")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ImageFeatures) and (
            self.valid_rowcol,
            self.feature_dim,
            self.npoints,
            self.point_features,
        ) == (other.valid_rowcol, other.feature_dim, other.npoints, other.point_features)

    @classmethod
    def make_random(cls, point_labels: list[LabelId], feature_dim: int) -> ImageFeatures:
        """Vectors around a number of each label: classes that overlap. For tests."""
        vectors = np.stack(
            [hash(label) + np.random.standard_normal(feature_dim) for label in point_labels]
        )
        return cls.of_vectors([(place, place) for place in range(len(point_labels))], vectors)

    @classmethod
    def load(cls, loc: Any, filesystem_cache: str | None = None) -> ImageFeatures:
        """The features in a file of this project's, or of the reference's, of any age.

        Raises
        ------
        FeatureFileError
            The file is damaged.
        """
        data = loaded(loc.ours(), filesystem_cache if loc.is_remote else None)
        found = ours.ImageFeatures.from_bytes(data, loc.key, as_stored=True)
        if not found.has_rowcols:
            points = [PointFeatures(None, None, vector) for vector in found.vectors]
            return cls(points, False, found.dimensions, len(found))
        features = cls.of_vectors(found.rowcols(), found.vectors)
        features._origin = found.origin
        return features

    def store(self, loc: Located) -> None:
        """Write the file that the reference reads."""
        vectors = np.stack([point.data for point in self.point_features])
        rows = cols = None
        if self.valid_rowcol:
            rows, cols = (
                np.array([getattr(point, name) for point in self.point_features], dtype=np.int64)
                for name in ("row", "col")
            )
        made = ours.ImageFeatures(_as_stored(vectors), rows, cols, self._origin)
        with as_the_reference():
            storage.store(loc.ours(), made.to_bytes())


def _as_stored(vectors: NDArray[np.float64]) -> NDArray[np.float32] | NDArray[np.float64]:
    """In float32 where that holds the same numbers, as it does those of a network."""
    with np.errstate(over="ignore"):
        narrow = vectors.astype(np.float32)
    return narrow if np.array_equal(narrow, vectors) else vectors

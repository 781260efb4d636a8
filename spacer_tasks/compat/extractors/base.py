"""The reference's extractors: this project's behind their names, and a base for one's own."""

from __future__ import annotations

import abc
import time
from collections.abc import Callable, Sequence
from random import random
from typing import TYPE_CHECKING, Any, TypeVar

from spacer_tasks.compat.answers import ExtractFeaturesReturnMsg
from spacer_tasks.compat.data_classes.locations import DataLocation
from spacer_tasks.compat.extractors.files import ExtractorFiles
from spacer_tasks.compat.naming import class_path
from spacer_tasks.compat.raising import as_the_reference
from spacer_tasks.messages.parsing import parse
from spacer_tasks.registry import canonical_name, registered_class

if TYPE_CHECKING:
    from PIL import Image

    from spacer_tasks.compat.data_classes import ImageFeatures
    from spacer_tasks.extractors import Extractor
    from spacer_tasks.messages.specs import ExtractorSpec

Rowcols = Sequence[tuple[int, int]]
Class = TypeVar("Class", bound="type[FeatureExtractor]")

#: the reference's, by this project's names
_KNOWN: dict[str, Callable[..., FeatureExtractor]] = {}


def of_the_reference(cls: Class) -> Class:
    """Marks a class that stands for one of the reference's."""
    _KNOWN[canonical_name(class_path(cls))] = cls
    return cls


class FeatureExtractor(ExtractorFiles, abc.ABC):
    """Cuts a square around each point and computes its feature vector.

    A class of one's own defines `feature_dim` and `patches_to_features`, or `__call__`. It is used
    where it was made: a message names it, but only what is registered is found by its name.
    """

    CROP_SIZE = 224

    def __call__(
        self, im: Image.Image, rowcols: Rowcols
    ) -> tuple[ImageFeatures, ExtractFeaturesReturnMsg]:
        """The features of an image's points."""
        import numpy as np

        from spacer_tasks.compat.data_classes import ImageFeatures
        from spacer_tasks.compat.extractors.utils import crop_patches

        started = time.time()
        vectors, remotely = self.patches_to_features(crop_patches(im, rowcols, self.CROP_SIZE))
        features = ImageFeatures.of_vectors(rowcols, np.asarray(vectors))
        return features, ExtractFeaturesReturnMsg(remotely, time.time() - started)

    def patches_to_features(self, patch_list: list[Any]) -> tuple[list[Any], bool]:
        """A vector for each patch, and whether files were loaded from afar."""
        raise NotImplementedError

    @property
    @abc.abstractmethod
    def feature_dim(self) -> int:
        """Numbers of a vector."""

    def serialize(self) -> dict[str, Any]:
        return {
            "class_path": class_path(type(self)),
            "data_locations": {key: loc.serialize() for key, loc in self.data_locations.items()},
            "data_hashes": self.data_hashes,
        }

    @staticmethod
    def deserialize(data: dict[str, Any]) -> FeatureExtractor:
        """The extractor that a dict names: one of the reference's, or a registered one. No path is
        imported.

        Raises
        ------
        UnknownExtractorError
            Nothing is registered under the name.
        """
        options = {key: value for key, value in data.items() if key != "class_path"}
        options["data_locations"] = {
            key: DataLocation.deserialize(loc) for key, loc in data["data_locations"].items()
        }
        known = _KNOWN.get(canonical_name(data["class_path"]))
        return known(**options) if known else RegisteredExtractor(data["class_path"], **options)

    def __repr__(self) -> str:
        return str(self.serialize())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FeatureExtractor) and self.serialize() == other.serialize()

    __hash__ = None  # type: ignore[assignment]  # its files may be changed


class OurExtractor(FeatureExtractor):
    """One that this project computes, in the way of its workers: loaded once per process."""

    def spec(self) -> ExtractorSpec:
        """How a message of this project names it."""
        from spacer_tasks.messages.specs import ExtractorSpec

        return parse(ExtractorSpec, self.serialize())

    def _loaded(self) -> Extractor:
        from spacer_tasks.extractors import load_extractor

        with as_the_reference():
            return load_extractor(self.spec())

    def __call__(self, im: Any, rowcols: Rowcols) -> tuple[ImageFeatures, ExtractFeaturesReturnMsg]:
        """The features of an image's points. The image may also be RGB pixels in an array."""
        from spacer_tasks.compat.data_classes import ImageFeatures

        started = time.time()
        extractor = self._loaded()
        vectors = extractor.extract(im, rowcols)
        features = ImageFeatures.of_vectors(rowcols, vectors, extractor.identity)
        remotely = extractor.take_loaded_remotely()
        return features, ExtractFeaturesReturnMsg(remotely, time.time() - started)

    def patches_to_features(self, patch_list: list[Any]) -> tuple[list[Any], bool]:
        import numpy as np

        extractor = self._loaded()
        vectors = extractor.forward(np.stack([np.asarray(patch) for patch in patch_list]))
        return vectors.tolist(), extractor.take_loaded_remotely()

    @property
    def feature_dim(self) -> int:
        return self._loaded().feature_dim


class RegisteredExtractor(OurExtractor):
    """One that an installed package registered under a name."""

    def __init__(
        self,
        name: str,
        data_locations: dict[str, DataLocation],
        data_hashes: dict[str, str] | None = None,
        **options: Any,
    ) -> None:
        registered_class("spacer_tasks.extractors", name)
        super().__init__(data_locations, data_hashes)
        self._name = name
        self._options = options

    def serialize(self) -> dict[str, Any]:
        return {**super().serialize(), "class_path": self._name, **self._options}


@of_the_reference
class DummyExtractor(FeatureExtractor):
    """Random numbers, whatever the image."""

    def __init__(
        self,
        data_locations: dict[str, DataLocation] | None = None,
        feature_dim: int = 4096,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_locations or {}, **kwargs)
        self._feature_dim = feature_dim

    def __call__(self, im: Any, rowcols: Rowcols) -> tuple[ImageFeatures, ExtractFeaturesReturnMsg]:
        from spacer_tasks.compat.data_classes import ImageFeatures, PointFeatures

        points = [
            PointFeatures(row, col, [random() for _ in range(self._feature_dim)])
            for row, col in rowcols
        ]
        features = ImageFeatures(points, True, self._feature_dim, len(points))
        return features, ExtractFeaturesReturnMsg.example()

    @property
    def feature_dim(self) -> int:
        return self._feature_dim

    def serialize(self) -> dict[str, Any]:
        return {**super().serialize(), "feature_dim": self._feature_dim}

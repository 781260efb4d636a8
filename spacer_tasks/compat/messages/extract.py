"""Extraction of features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from spacer_tasks.compat.data_classes.locations import DataLocation
from spacer_tasks.compat.data_classes.message import Message, Readers, as_it_is

if TYPE_CHECKING:
    from spacer_tasks.compat.extractors import FeatureExtractor


def points(data: Any) -> list[tuple[int, int]]:
    """Points as JSON has them."""
    return [tuple(point) for point in data]


def extractor(data: Any) -> FeatureExtractor:
    """The extractor that a dict names."""
    from spacer_tasks.compat.extractors import FeatureExtractor

    return FeatureExtractor.deserialize(data)


def an_extractor() -> FeatureExtractor:
    """For examples."""
    from spacer_tasks.compat.extractors import EfficientNetExtractor

    return EfficientNetExtractor({"weights": DataLocation("filesystem", "/path/to/weights.pt")})


class ExtractFeaturesMsg(Message):
    """Asks for the features of an image at some points."""

    READERS: ClassVar[Readers] = {
        "job_token": as_it_is,
        "extractor": extractor,
        "rowcols": points,
        "image_loc": DataLocation.deserialize,
        "feature_loc": DataLocation.deserialize,
    }

    def __init__(
        self,
        job_token: str,
        extractor: FeatureExtractor,
        rowcols: list[tuple[int, int]],
        image_loc: DataLocation,
        feature_loc: DataLocation,
    ) -> None:
        assert isinstance(rowcols, list)
        assert len(rowcols) > 0, "Invalid message, rowcols entry is empty."
        assert len(rowcols[0]) == 2
        assert feature_loc.is_writable, (
            f"Write not supported for '{feature_loc.storage_type}' storage type."
        )
        self.job_token = job_token
        self.extractor = extractor
        self.rowcols = rowcols
        self.image_loc = image_loc
        self.feature_loc = feature_loc

    @classmethod
    def example(cls) -> ExtractFeaturesMsg:
        return cls(
            "123abc",
            an_extractor(),
            [(100, 100)],
            DataLocation("memory", "my_image.jpg"),
            DataLocation("memory", "my_feats.json"),
        )

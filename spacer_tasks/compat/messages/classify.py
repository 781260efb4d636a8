"""Classification of features and of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from spacer_tasks.compat.data_classes.locations import DataLocation
from spacer_tasks.compat.data_classes.message import Message, Readers, as_it_is
from spacer_tasks.compat.messages.extract import an_extractor, extractor, points

if TYPE_CHECKING:
    from spacer_tasks.compat.extractors import FeatureExtractor

_EXAMPLES = "https://my-bucket.s3-my-region.amazonaws.com"


class ClassifyFeaturesMsg(Message):
    """Asks for the scores of all points of a feature file."""

    READERS: ClassVar[Readers] = {
        "job_token": as_it_is,
        "feature_loc": DataLocation.deserialize,
        "classifier_loc": DataLocation.deserialize,
    }

    def __init__(
        self, job_token: str, feature_loc: DataLocation, classifier_loc: DataLocation
    ) -> None:
        self.job_token = job_token
        self.feature_loc = feature_loc
        self.classifier_loc = classifier_loc

    @classmethod
    def example(cls) -> ClassifyFeaturesMsg:
        return cls(
            "my_job",
            DataLocation("url", f"{_EXAMPLES}/01234aeiou.png.featurevector"),
            DataLocation("url", f"{_EXAMPLES}/my_model_id.model"),
        )


class ClassifyImageMsg(Message):
    """Asks for the scores of points of an image, without keeping its features."""

    READERS: ClassVar[Readers] = {
        "job_token": as_it_is,
        "extractor": extractor,
        "rowcols": points,
        "image_loc": DataLocation.deserialize,
        "classifier_loc": DataLocation.deserialize,
    }

    def __init__(
        self,
        job_token: str,
        extractor: FeatureExtractor,
        rowcols: list[tuple[int, int]],
        image_loc: DataLocation,
        classifier_loc: DataLocation,
    ) -> None:
        self.job_token = job_token
        self.extractor = extractor
        self.rowcols = rowcols
        self.image_loc = image_loc
        self.classifier_loc = classifier_loc

    @classmethod
    def example(cls) -> ClassifyImageMsg:
        return cls(
            "my_job",
            an_extractor(),
            [(1, 1), (2, 2)],
            DataLocation("url", f"{_EXAMPLES}/01234aeiou.png"),
            DataLocation("url", f"{_EXAMPLES}/my_model_id.model"),
        )

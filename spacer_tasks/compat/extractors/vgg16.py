"""The reference's VGG16 of Caffe. Caffe is not needed."""

from __future__ import annotations

from typing import ClassVar

from spacer_tasks.compat.extractors.base import OurExtractor, of_the_reference


@of_the_reference
class VGG16CaffeExtractor(OurExtractor):
    """A net in Caffe's formats; its layer `fc7`."""

    DATA_LOCATION_KEYS: ClassVar[list[str]] = ["definition", "weights"]
    BATCH_SIZE = 10
    START_LAYER = "conv1_1"
    SCORE_LAYER = "fc7"

    @property
    def feature_dim(self) -> int:
        return 4096

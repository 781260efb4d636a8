"""The reference's EfficientNet-B0."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from spacer_tasks.compat.extractors.base import OurExtractor, of_the_reference

if TYPE_CHECKING:
    from io import BytesIO

    import torch


@of_the_reference
class EfficientNetExtractor(OurExtractor):
    """1280 numbers, which this project's network computes."""

    DATA_LOCATION_KEYS: ClassVar[list[str]] = ["weights"]
    BATCH_SIZE = 10
    NUM_CLASSES = 1275

    @property
    def feature_dim(self) -> int:
        return 1280

    @classmethod
    def untrained_model(cls) -> torch.nn.Module:
        """The network with random weights, and a last layer for so many labels. It is written for
        inference: its layers work in place, which training cannot go back through.
        """
        from spacer_tasks.compat.extractors.whole_network import WholeEfficientNet

        return WholeEfficientNet(cls.NUM_CLASSES)

    @classmethod
    def load_weights(cls, weights_datastream: BytesIO) -> torch.nn.Module:
        """The network with the weights of a file."""
        from spacer_tasks.compat.extractors.torch_extractors import with_weights

        return with_weights(cls.untrained_model(), weights_datastream)

    @classmethod
    def untrained_instance(cls, data_loc_key: str = "weights") -> EfficientNetExtractor:
        """One with random weights, which lie in memory: for tests."""
        from spacer_tasks.compat.extractors.torch_extractors import stored_in_memory

        return cls({"weights": stored_in_memory(cls.untrained_model(), data_loc_key)})

"""A base for extractors of one's own with a network of torch's."""

from __future__ import annotations

import abc
from collections.abc import Callable
from io import BytesIO
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from spacer_tasks.compat.data_classes.locations import DataLocation
from spacer_tasks.compat.extractors.base import FeatureExtractor
from spacer_tasks.compat.storage import storage_factory
from spacer_tasks.extractors.files.state_dict import read_state_dict
from spacer_tasks.extractors.runtime.devices import chosen_device

Self = TypeVar("Self", bound="TorchExtractor")


def as_tensor(patch: Any) -> Tensor:
    """An image, or an array (row, column, channel), as (channel, row, column); bytes become
    numbers in [0, 1].
    """
    tensor = torch.from_numpy(np.ascontiguousarray(np.moveaxis(np.asarray(patch), 2, 0)))
    return tensor.float() / 255 if tensor.dtype == torch.uint8 else tensor


def with_weights(model: torch.nn.Module, weights_datastream: BytesIO) -> torch.nn.Module:
    """A network with the weights of a file, as `torch.save({"net": state_dict})` writes it; the
    names in it may begin with `module.`, as those of DataParallel do.

    Raises
    ------
    WeightsError
        It is no such file.
    """
    model.load_state_dict(
        read_state_dict(weights_datastream.getvalue(), "the file `weights`", "net")
    )
    return model.requires_grad_(False).to(chosen_device())


def stored_in_memory(model: torch.nn.Module, key: str) -> DataLocation:
    """Where the weights of a network are now."""
    with BytesIO() as stream:
        torch.save({"net": model.state_dict()}, stream)
        storage_factory("memory").store(key, stream)
    return DataLocation("memory", key)


def transformation() -> Callable[[Any], Tensor]:
    """What makes a tensor of a patch."""
    return as_tensor


class TorchExtractor(FeatureExtractor, abc.ABC):
    """A subclass gives the network by `untrained_model`; `extract_features` of that is called."""

    DATA_LOCATION_KEYS: ClassVar[list[str]] = ["weights"]
    BATCH_SIZE = 10

    @classmethod
    def untrained_model(cls) -> torch.nn.Module:
        """The network, with any weights."""
        raise NotImplementedError

    @classmethod
    def load_weights(cls, weights_datastream: BytesIO) -> torch.nn.Module:
        """The network with the weights of a file; see `with_weights`."""
        return with_weights(cls.untrained_model(), weights_datastream)

    def patches_to_features(self, patch_list: list[Any]) -> tuple[list[Any], bool]:
        stream, remotely = self.load_datastream("weights")
        net: Any = self.load_weights(stream).eval()
        vectors: list[Any] = []
        with torch.no_grad():
            for start in range(0, len(patch_list), self.BATCH_SIZE):
                batch = [as_tensor(each) for each in patch_list[start : start + self.BATCH_SIZE]]
                vectors += net.extract_features(torch.stack(batch).to(chosen_device())).tolist()
        return vectors, remotely

    @classmethod
    def untrained_instance(cls: type[Self], data_loc_key: str = "weights") -> Self:
        """One with random weights, which lie in memory: for tests."""
        return cls({"weights": stored_in_memory(cls.untrained_model(), data_loc_key)})

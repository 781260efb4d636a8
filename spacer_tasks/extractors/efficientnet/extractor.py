"""The extractor of today: EfficientNet-B0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from spacer_tasks.extractors.files.weights import ExtractorFile
from spacer_tasks.extractors.torch_extractor import TorchExtractor

if TYPE_CHECKING:
    from torch import nn


class EfficientNetExtractor(TorchExtractor):
    """Features are the global average pool of EfficientNet-B0, 1280 numbers.

    Its one file, `weights`, is what `torch.save({"net": state_dict})` writes; with the prefix
    `module.` or without, and with whatever plain numbers beside `net`.
    """

    file_keys: ClassVar[Mapping[str, str]] = {
        "weights": 'the weights, as torch.save({"net": state_dict}) writes them'
    }
    feature_dim = 1280

    def network(self, files: Mapping[str, ExtractorFile]) -> nn.Module:
        from spacer_tasks.extractors.efficientnet.network import load_network

        return load_network(files["weights"].data, f"{self.name}: the file `weights`")

    def onnx_model(self, network: nn.Module) -> bytes:
        # made in milliseconds, where one that is made of what the module runs takes 0.8 s
        from spacer_tasks.extractors.efficientnet.network import EfficientNetB0
        from spacer_tasks.extractors.efficientnet.onnx_graph import onnx_model

        assert isinstance(network, EfficientNetB0)
        return onnx_model(network, self.crop_size)

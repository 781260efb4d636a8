"""The extractor of today, EfficientNet-B0, and the one that works without a file: Lite0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from spacer_tasks.extractors.base import Options
from spacer_tasks.extractors.efficientnet.imagenet_weights import imagenet_weights
from spacer_tasks.extractors.files.weights import ExtractorFile, OpenedFile
from spacer_tasks.extractors.preprocessing import Preprocessing
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


class EfficientNetLite0Extractor(TorchExtractor):
    """Features are the global average pool of EfficientNet-Lite0, trained on ImageNet, 1280
    numbers.

    It takes no file: its weights come with the extra `imagenet`. Networks that were trained on
    reefs are better for reefs.
    """

    feature_dim = 1280
    # of the authors' TensorFlow code: MEAN_RGB and STDDEV_RGB are 127 and 128
    preprocessing = Preprocessing(scale=1, mean=(127, 127, 127), deviation=(128, 128, 128))

    def __init__(
        self,
        name: str,
        files: Mapping[str, ExtractorFile | OpenedFile],
        options: Options | None = None,
    ) -> None:
        # features say by their hash which these were
        super().__init__(name, {**files, "weights": imagenet_weights()}, options)

    def network(self, files: Mapping[str, ExtractorFile]) -> nn.Module:
        from spacer_tasks.extractors.efficientnet.lite import load_lite

        return load_lite(files["weights"].data, f"{self.name}: the file of its package")

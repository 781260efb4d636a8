"""The legacy extractor: VGG16 in Caffe's formats, read without Caffe and run in torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from spacer_tasks.config.settings import get_settings
from spacer_tasks.extractors.files.weights import OpenedFile
from spacer_tasks.extractors.preprocessing import Preprocessing
from spacer_tasks.extractors.torch_extractor import TorchExtractor

if TYPE_CHECKING:
    from spacer_tasks.extractors.caffe.features import BlobNetwork
    from spacer_tasks.extractors.runtime.running import Runner

#: the features; Caffe's layers after it in place (ReLU, dropout) write there last
FEATURES = "fc7"


class VGG16CaffeExtractor(TorchExtractor):
    """Features are the blob `fc7` of a net in Caffe's formats: 4096 numbers with VGG16.

    Its files are `definition` (`.prototxt`) and `weights` (`.caffemodel`), in the current format or
    V1, each. Patches are given to the net in BGR, 128 less.

    With `SPACER_CAFFE_RUNTIME=caffe` the net runs in Caffe itself, on the CPU.

    Raises
    ------
    WeightsError
        A file is damaged, or the net has a layer that is not known or has no weights; the text
        names the layer.
    ConfigError
        `SPACER_DEVICE` asks for CUDA and there is none, or `SPACER_CAFFE_RUNTIME` for Caffe where
        it is not installed.
    """

    file_keys: ClassVar[Mapping[str, str]] = {
        "definition": "the net's layers (.prototxt)",
        "weights": "the net's weights (.caffemodel)",
    }
    opened_keys: ClassVar[frozenset[str]] = frozenset(file_keys)
    preprocessing = Preprocessing(scale=1, mean=(128, 128, 128), channels="BGR")

    def network(self, files: Mapping[str, OpenedFile]) -> BlobNetwork:
        from spacer_tasks.extractors.caffe.features import load_blob_network

        return load_blob_network(files, FEATURES, self.crop_size, self.name)

    def runner(self, files: Mapping[str, OpenedFile]) -> Runner:
        from spacer_tasks.extractors.caffe.features import runner_in_caffe, runner_in_torch

        how = (self.preprocessing, self.crop_size, self.name)
        if get_settings().caffe_runtime == "caffe":
            return runner_in_caffe(files, FEATURES, *how)
        return runner_in_torch(self.network(files), *how)

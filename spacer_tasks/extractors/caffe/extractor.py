"""The legacy extractor: VGG16 in Caffe's formats, read without Caffe and run in torch."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from spacer_tasks.concurrency.device_watch import running_pass
from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import ConfigError, WeightsError
from spacer_tasks.extractors.base import Extractor
from spacer_tasks.extractors.caffe import load_net
from spacer_tasks.extractors.caffe.runtime import CaffeRuntime
from spacer_tasks.extractors.files.weights import OpenedFile
from spacer_tasks.extractors.runtime.devices import chosen_device, device_errors

#: the features; Caffe's layers after it in place (ReLU, dropout) write there last
FEATURES = "fc7"
#: subtracted from each channel
MEAN = 128
#: patches of one pass on a CPU: the matrices of fc6 and fc7, half a gigabyte, are gone through
#: once for all of them; beyond 10 no faster
CPU_BATCH = 10


class VGG16CaffeExtractor(Extractor):
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

    file_keys: ClassVar[tuple[str, ...]] = ("definition", "weights")
    opened_keys: ClassVar[frozenset[str]] = frozenset(file_keys)

    def __init__(self, name: str, files: Mapping[str, OpenedFile]) -> None:
        super().__init__(name, files)
        definition, weights = files["definition"].stream, files["weights"].stream
        in_caffe = get_settings().caffe_runtime == "caffe"
        self._device = chosen_device()
        if in_caffe and get_settings().device == "cuda":
            raise ConfigError(
                "SPACER_CAFFE_RUNTIME is caffe, which runs on the CPU, and SPACER_DEVICE is cuda"
            )
        # Caffe ends the process over a file that it cannot take, so it is checked before
        net = load_net(definition, weights, [FEATURES], only_check=in_caffe)
        expected = (3, self.crop_size, self.crop_size)
        if net.input_shape != expected:
            raise WeightsError(
                f"{name}: the net takes {net.input_shape} of an image, expected {expected}"
            )
        self._feature_dim = prod(net.shapes[FEATURES])
        self.batch_size = CPU_BATCH
        self._in_caffe = CaffeRuntime(definition, weights) if in_caffe else None
        if not in_caffe:
            self._net = net.to(self._device)
            if self._device.type == "cuda":
                if get_settings().precision == "tf32":
                    # of all networks of the process
                    self.computes_in("tf32")
                self.batch_size = get_settings().gpu_batch_patches
                self.merge_images()

    @property
    def feature_dim(self) -> int:
        return self._feature_dim

    def forward(self, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        if not len(patches):
            return np.empty((0, self._feature_dim), dtype=np.float32)
        if self._in_caffe is not None:
            bgr = patches[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32) - MEAN
            return self._in_caffe(bgr, FEATURES).reshape(len(patches), -1)
        with device_errors(), running_pass(), torch.inference_mode():
            # bytes cross to the device, four times fewer than floats
            bgr_bytes = torch.from_numpy(patches).to(self._device).flip(-1)
            # the patches' own layout, which torch calls channels_last, is also the faster one
            pixels = bgr_bytes.permute(0, 3, 1, 2).to(torch.float32).sub_(MEAN)
            features = self._net(pixels)[FEATURES].flatten(1)
            vectors: NDArray[np.float32] = features.cpu().numpy()
        return vectors

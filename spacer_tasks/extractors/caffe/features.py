"""One blob of a net as the features of a patch: in torch, or in Caffe itself."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from math import prod

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import ConfigError, WeightsError
from spacer_tasks.extractors.caffe.net import CaffeNet, load_net
from spacer_tasks.extractors.caffe.runtime import CaffeRuntime
from spacer_tasks.extractors.files.weights import OpenedFile
from spacer_tasks.extractors.preprocessing import Preprocessing
from spacer_tasks.extractors.runtime.running import CPU_BATCH, Runner, runner_of

log = logging.getLogger(__name__)


class BlobNetwork(nn.Module):
    """A net of which one blob is given, as a vector for each patch."""

    def __init__(self, net: CaffeNet, blob: str) -> None:
        super().__init__()
        self.net, self.blob = net, blob
        self.dimensions = prod(net.shapes[blob])

    def forward(self, pixels: Tensor) -> Tensor:
        found: Tensor = self.net(pixels)[self.blob]
        return found.flatten(1)


def load_blob_network(
    files: Mapping[str, OpenedFile], blob: str, size: int, name: str
) -> BlobNetwork:
    """The network of `definition` and `weights` that gives a blob for patches of this size.

    Raises
    ------
    WeightsError
        A file is damaged, or not of a net that can be computed here and takes such patches.
    """
    return BlobNetwork(_checked(files, blob, size, name, only_check=False), blob)


def runner_in_torch(
    network: BlobNetwork, preprocessing: Preprocessing, size: int, name: str
) -> Runner:
    """What runs the network in torch, on a CPU too.

    ONNX Runtime would hold half a gigabyte of weights several times while it is made, and take
    seven seconds for it instead of one.
    """
    # the net's own checks of shapes and axes say what a trial would, a second later
    return runner_of(
        network,
        preprocessing,
        size,
        name,
        dimensions=network.dimensions,
        in_onnx_runtime=False,
    )


def runner_in_caffe(
    files: Mapping[str, OpenedFile], blob: str, preprocessing: Preprocessing, size: int, name: str
) -> Runner:
    """What runs the net in Caffe, on the CPU and in float32.

    Raises
    ------
    ConfigError
        Caffe cannot be imported, or `SPACER_DEVICE` is a GPU.
    WeightsError
        As `load_blob_network`.
    """
    settings = get_settings()
    if settings.device.startswith("cuda"):
        raise ConfigError(
            "SPACER_CAFFE_RUNTIME is caffe, which runs on the CPU, and SPACER_DEVICE is"
            f" {settings.device}"
        )
    if settings.precision != "float32":
        log.warning("SPACER_PRECISION is %s: Caffe computes in float32", settings.precision)
    # Caffe ends the process over a file that it cannot take, so it is checked before
    net = _checked(files, blob, size, name, only_check=True)
    caffe = CaffeRuntime(files["definition"].stream, files["weights"].stream)
    dimensions = prod(net.shapes[blob])
    mean = np.array(preprocessing.mean, np.float32).reshape(1, 3, 1, 1)

    def forward(patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        if not len(patches):
            return np.empty((0, dimensions), np.float32)
        bgr = patches[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32)
        return caffe(bgr - mean, blob).reshape(len(patches), -1)

    return Runner(forward, dimensions, CPU_BATCH)


def _checked(
    files: Mapping[str, OpenedFile], blob: str, size: int, name: str, *, only_check: bool
) -> CaffeNet:
    definition, weights = files["definition"].stream, files["weights"].stream
    net = load_net(definition, weights, [blob], only_check=only_check)
    expected = (3, size, size)
    if net.input_shape != expected:
        raise WeightsError(
            f"{name}: the net takes {net.input_shape} of an image, expected {expected}"
        )
    return net

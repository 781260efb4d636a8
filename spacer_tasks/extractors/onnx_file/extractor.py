"""The extractor `onnx`: any network, as an ONNX file and how its patches are prepared."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, FiniteFloat, StrictInt, model_validator

from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import WeightsError
from spacer_tasks.extractors.base import Extractor, Options
from spacer_tasks.extractors.files.weights import ExtractorFile, OpenedFile
from spacer_tasks.extractors.preprocessing import Preprocessing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from spacer_tasks.extractors.onnx_file.model import CheckedModel
    from spacer_tasks.extractors.runtime.running import Runner

log = logging.getLogger(__name__)

#: numbers that a network takes, at most; others are of a scale, mean or deviation that do not fit
MAX_PREPARED = 300
#: numbers of a vector
MAX_DIMENSIONS = 2**16
Triple = tuple[FiniteFloat, FiniteFloat, FiniteFloat]


class OnnxOptions(Options):
    """How the bytes of a patch become what the network takes, and what it gives a vector."""

    mean: Annotated[
        Triple, Field(description="of each channel, after the scale, in the network's order")
    ]
    deviation: Annotated[Triple, Field(description="of each channel; (byte / scale - mean) / this")]
    patch_size: Annotated[StrictInt, Field(ge=8, le=1024, description="rows and columns")] = 224
    scale: Annotated[
        FiniteFloat, Field(ge=1, le=255, description="what bytes are divided by first")
    ] = 255
    channels: Annotated[
        Literal["RGB", "BGR"], Field(description="in which order the network takes them")
    ] = "RGB"
    pooling: Annotated[
        Literal["none", "average", "max", "first"],
        Field(description="of maps or tokens to a vector; first is a transformer's class token"),
    ] = "none"
    output: Annotated[
        str | None, Field(max_length=200, description="which output of the file; its only one")
    ] = None

    @model_validator(mode="after")
    def _fit_together(self) -> OnnxOptions:
        if min(self.deviation) <= 0:
            raise ValueError(f"deviation is {list(self.deviation)}, expected numbers above 0")
        largest = 255 / self.scale
        if not 0 <= min(self.mean) <= max(self.mean) <= largest:
            raise ValueError(
                f"mean is {list(self.mean)}, expected 0 to {largest:g}: bytes are divided by the"
                f" scale, {self.scale:g}, first"
            )
        reached = max(
            max(mean, largest - mean) / deviation
            for mean, deviation in zip(self.mean, self.deviation, strict=True)
        )
        if reached > MAX_PREPARED:
            raise ValueError(
                f"scale {self.scale:g}, mean {list(self.mean)} and deviation"
                f" {list(self.deviation)} make numbers up to {reached:.0f} of bytes, expected at"
                f" most {MAX_PREPARED}; means and deviations of numbers from 0 to 1 have scale 255"
            )
        return self


class OnnxExtractor(Extractor):
    """Features are what an ONNX file's network gives, pooled to a vector where it gives more.

    The file is data: operators are ONNX's own, without graphs inside, other files or code; sizes
    are checked before memory is taken, and it is tried in a process of its own. It computes in what
    the file is written in, on a CPU, or on a GPU where ONNX Runtime's CUDA provider is installed.
    """

    file_keys: ClassVar[Mapping[str, str]] = {
        "weights": "the network as an ONNX file (.onnx), its weights in it"
    }
    options_type: ClassVar[type[Options]] = OnnxOptions

    def __init__(
        self,
        name: str,
        files: Mapping[str, ExtractorFile | OpenedFile],
        options: Options | None = None,
    ) -> None:
        super().__init__(name, files, options)
        self.crop_size = self.options.patch_size
        file = files["weights"]
        assert isinstance(file, ExtractorFile)
        self._runner = self._runner_of(file.data)
        self.batch_size = self._runner.batch_size
        if self._runner.merges:
            self.merge_images()

    @property
    def feature_dim(self) -> int:
        return self._runner.feature_dim

    def forward(self, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._runner.forward(patches)

    def _runner_of(self, data: bytes) -> Runner:
        import torch

        from spacer_tasks.extractors.onnx_file.model import checked_model
        from spacer_tasks.extractors.onnx_file.pooling import pooled
        from spacer_tasks.extractors.onnx_file.trial import PATCHES, try_model
        from spacer_tasks.extractors.onnx_file.wrapping import with_preprocessing
        from spacer_tasks.extractors.runtime.onnx_network import (
            CudaOnnxNetwork,
            OnnxNetwork,
            runs_on_cuda,
        )
        from spacer_tasks.extractors.runtime.running import ONNX_BATCH, Runner, tried

        settings, options = get_settings(), self.options
        where = f"{self.name}: the file `weights`"
        if settings.precision != "float32":
            log.warning(
                "%s computes in what its file is written in: SPACER_PRECISION, %s, is not for it",
                self.name,
                settings.precision,
            )
        checked = checked_model(data, where, options.output)
        last = self._channels_last(checked, where)
        preprocessing = Preprocessing(
            options.scale, options.mean, options.deviation, options.channels
        )
        model = with_preprocessing(checked, preprocessing, self.crop_size, channels_last=last)
        alone = checked.shape[0] == 1
        try_model(model, self.crop_size, 1 if alone else PATCHES, where)
        on_cuda = runs_on_cuda(self.name)
        network: Any
        if on_cuda:
            network = CudaOnnxNetwork(model, 1 if alone else settings.gpu_batch_patches)
        else:
            network = OnnxNetwork(
                model, threads=torch.get_num_threads, a_run=1 if alone else PATCHES
            )

        def forward(patches: NDArray[np.uint8]) -> NDArray[np.float32]:
            return pooled(network(patches), options.pooling, channels_last=last, name=where)

        try:
            dimensions = tried(forward, self.crop_size, where)
        except ValueError as error:
            raise WeightsError(str(error)) from error
        if not 1 <= dimensions <= MAX_DIMENSIONS:
            raise WeightsError(
                f"{where}: vectors of {dimensions} numbers, expected 1 to {MAX_DIMENSIONS}"
            )
        if on_cuda:
            return Runner(forward, dimensions, settings.gpu_batch_patches, merges=True)
        return Runner(forward, dimensions, ONNX_BATCH)

    def _channels_last(self, checked: CheckedModel, where: str) -> bool:
        """In which order the file takes a patch; what it states of sizes must be the options'."""
        count, *rest = checked.shape
        if count not in (None, 1):
            raise WeightsError(
                f"{where} takes exactly {count} patches at once; export it for any number of them"
                " (dynamic_axes or dynamic_shapes), or for 1"
            )
        # a number that is left open is taken for a channel only where no other can be
        last = rest[0] != 3 and rest[2] == 3
        channels, *sizes = [rest[2], rest[0], rest[1]] if last else rest
        if channels not in (None, 3):
            raise WeightsError(f"{where} takes {channels} channels, expected 3")
        wrong = [each for each in sizes if each not in (None, self.crop_size)]
        if wrong:
            raise WeightsError(
                f"{where} takes patches of {' × '.join(map(str, sizes))}, not of {self.crop_size} ×"
                f" {self.crop_size}: give the option patch_size"
            )
        return last

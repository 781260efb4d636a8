"""The base of extractors whose network is a torch module.

Imports no torch: what a class says of its files and options is read by processes without it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spacer_tasks.extractors.base import Extractor, Options
from spacer_tasks.extractors.files.weights import ExtractorFile, OpenedFile
from spacer_tasks.extractors.preprocessing import Preprocessing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from spacer_tasks.extractors.runtime.running import Runner


class TorchExtractor(Extractor):
    """Features are the vectors of a torch module.

    A subclass states its files, options, crop size and preprocessing in class attributes, and makes
    the module in `network`. It runs wherever the settings say, in the precision that they say: on
    a GPU, over the patches of several images at once; on a CPU in ONNX Runtime, or in torch where
    no ONNX model can be made of it. `feature_dim` may be stated, as a class attribute, and is then
    checked; else it is what the module gives.

    Raises
    ------
    WeightsError
        A file is not of this network, or the network gives numbers that are not finite.
    ConfigError
        A setting asks for a device, runtime or precision that there is not for this network.
    """

    preprocessing: Preprocessing = Preprocessing()

    def __init__(
        self,
        name: str,
        files: Mapping[str, ExtractorFile | OpenedFile],
        options: Options | None = None,
    ) -> None:
        super().__init__(name, files, options)
        self._runner = self.runner(files)
        self.batch_size = self._runner.batch_size
        if self.feature_dim != self._runner.feature_dim:
            raise ValueError(
                f"{name}: the network gives vectors of {self._runner.feature_dim} numbers,"
                f" {type(self).__name__} states {self.feature_dim}"
            )
        self.computes_in(self._runner.precision, else_float32=self._runner.tries_float32)
        if self._runner.merges:
            self.merge_images()

    @abstractmethod
    def network(self, files: Mapping[str, Any]) -> nn.Module:
        """The module, on the CPU and in float32.

        It takes patches, preprocessed, float32 (n, 3, crop_size, crop_size), and gives vectors,
        (n, dimensions), each of which depends on one patch. It is brought to evaluation mode, and
        several threads run it at once.

        Parameters
        ----------
        files
            As in `Extractor`. `self.options` is there already.

        Raises
        ------
        WeightsError
            A file is not of its format, or not of this network.
        """

    def onnx_model(self, network: nn.Module) -> bytes | None:
        """An ONNX model of one's own, serialized; None to have one made of what the module runs.

        It takes the patches as they are cut, uint8 (n, crop_size, crop_size, 3), so it does the
        preprocessing too, and gives vectors, float32 (n, dimensions). It is used on a CPU, if what
        it gives is what the module gives.

        Parameters
        ----------
        network
            What `network` gave, in evaluation mode.
        """
        return None

    def runner(self, files: Mapping[str, Any]) -> Runner:
        """What computes features; for an extractor that can do it without torch too."""
        from spacer_tasks.extractors.runtime.running import runner_of

        return runner_of(
            self.network(files),
            self.preprocessing,
            self.crop_size,
            self.name,
            own_model=self.onnx_model,
        )

    @property
    def feature_dim(self) -> int:
        return self._runner.feature_dim

    def forward(self, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._runner.forward(patches)

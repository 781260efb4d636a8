"""A network with its preprocessing before it: from the bytes of patches to vectors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spacer_tasks.extractors.preprocessing import Preprocessing


class PatchNetwork(nn.Module):
    """Patches, uint8 (n, size, size, 3), to vectors, float32 (n, dimensions).

    Parameters
    ----------
    network
        Takes float numbers of `dtype`, and is on the device of the patches.
    preprocessing
        Computed in float32, whatever the network computes in.
    dtype
        What the network computes in.
    layout
        How the network's weights and the pixels lie in memory. The patches' own layout, (n, row,
        column, channel), is what torch calls channels_last.
    """

    def __init__(
        self,
        network: nn.Module,
        preprocessing: Preprocessing,
        dtype: torch.dtype = torch.float32,
        layout: torch.memory_format = torch.channels_last,
    ) -> None:
        super().__init__()
        # torch's stubs leave out this form of `to`
        self.network = network.to(dtype=dtype, memory_format=layout)  # type: ignore[call-overload]
        self._plain = layout == torch.contiguous_format
        self._dtype = dtype
        self._scale = preprocessing.scale
        self._turned = preprocessing.channels == "BGR"
        self._shifted = any(preprocessing.mean)
        self._stretched = preprocessing.deviation != (1, 1, 1)
        # on the network's device from the start: nothing is copied there in a pass
        self._mean = _of_channels(preprocessing.mean)
        self._deviation = _of_channels(preprocessing.deviation)

    def forward(self, patches: Tensor) -> Tensor:
        if self._turned:
            patches = patches.flip(-1)
        pixels = patches.permute(0, 3, 1, 2)
        if self._plain:
            pixels = pixels.to(torch.float32, memory_format=torch.contiguous_format)
        else:
            pixels = pixels.to(torch.float32)
        if self._scale != 1:
            pixels = pixels.div_(self._scale)
        if self._shifted:
            pixels = pixels.sub_(self._mean)
        if self._stretched:
            pixels = pixels.div_(self._deviation)
        vectors = self.network(pixels.to(self._dtype))
        if not isinstance(vectors, Tensor):
            raise TypeError(f"the network gives a {type(vectors).__name__}, expected a tensor")
        return vectors.to(torch.float32)


def _of_channels(numbers: tuple[float, float, float]) -> nn.Parameter:
    return nn.Parameter(
        torch.tensor(numbers, dtype=torch.float32).view(1, 3, 1, 1), requires_grad=False
    )

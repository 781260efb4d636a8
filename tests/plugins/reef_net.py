"""A network of one's own, as an installed package brings it: see docs/networks.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field
from torch import nn

from spacer_tasks.extractors import Options, Preprocessing, TorchExtractor, load_module


def reef_net(width: int) -> nn.Module:
    """Two convolutions and the mean of what they find."""
    first, second = nn.Conv2d(3, width, 5, stride=4), nn.Conv2d(width, 2 * width, 3, stride=2)
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(first, nn.BatchNorm2d(width), nn.SiLU(), second, nn.ReLU(), pool)


class ReefOptions(Options):
    """How large the network is."""

    width: int = Field(8, ge=1, le=1024, description="channels of the first layer")


class ReefExtractor(TorchExtractor):
    """Features are the mean of a small network's last layer."""

    crop_size = 96
    file_keys: ClassVar[Mapping[str, str]] = {"net": "what torch.save(net.state_dict()) wrote"}
    options_type = ReefOptions
    preprocessing = Preprocessing(mean=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225))

    def network(self, files: Mapping[str, Any]) -> nn.Module:
        net = files["net"].data
        return load_module(lambda: reef_net(self.options.width), net, f"{self.name}: net")

"""An EfficientNet-B0 whose weights are random, and chosen so that they keep what tells textures
apart.

In a deep network of plain random weights, two looks at one texture come out as different as two
textures. So here the first blocks measure: random filters that see no even light, rectified, at
four scales. All later blocks only pass on: they smooth, mix by rotations, and work where their
nonlinearity is nearly a line. The batch norms get the statistics of a few patches, layer by layer
(data-dependent initialization: Krähenbühl et al., ICLR 2016).

It is no trained network: a trained one is far better on real surveys.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from spacer_tasks.extractors.efficientnet.network import EfficientNetB0
from spacer_tasks.extractors.images.patches import cut_patches
from spacer_tasks.storage.filesystem import FilesystemStorage

PATCH_SIZE = 224
#: patches that set the statistics: enough to steady them, within 0.5 GB of memory
PATCHES = 32
PHOTOS = 8
#: blocks that measure textures; the others pass on
MEASURING_BLOCKS = 4
#: share of a measuring layer's channels that smooth instead, for the coarser scales after it
SMOOTHING_SHARE = 0.5
#: scale and shift of what enters a nonlinearity that should do little: around 3, swish is a line
PASS_SCALE, PASS_SHIFT = 0.5, 3.0
#: of what a repeated block adds to its input
RESIDUAL_SCALE = 0.5
#: standard deviation of the weights of squeeze and excitation: channels are hardly weighed
EXCITATION_STD = 0.01


def write_network(path: Path, photos: Sequence[Path], seed: int) -> None:
    """Write a weights file, `{"net": state_dict}`, as the extractor loads it.

    Parameters
    ----------
    path
        Where the file goes.
    photos
        Images like those that the network will see; patches of `PHOTOS` of them are looked at.
    seed
        The same seed and photos give the same network.
    """
    stream = BytesIO()
    torch.save({"net": seeded_network(photos, seed).state_dict()}, stream)
    FilesystemStorage().store(str(path), stream.getvalue())


def seeded_network(photos: Sequence[Path], seed: int) -> EfficientNetB0:
    """The network that `write_network` writes, in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    net = EfficientNetB0()
    with torch.no_grad():
        _fill(net, generator)
    patches = torch.from_numpy(_patches(photos, np.random.default_rng(seed)))
    with torch.inference_mode():
        # in training mode each batch norm keeps the statistics and applies them at once, so the
        # next layer sees what it will see later
        net.train()(patches.permute(0, 3, 1, 2).to(torch.float32).div_(255))
    return net.eval()


def _fill(net: EfficientNetB0, generator: torch.Generator) -> None:
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            # the one pass to come is the whole average
            module.momentum = None
        elif isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1):
            nn.init.orthogonal_(module.weight.flatten(1), generator=generator)
    weights = dict(net.named_parameters())
    stem = weights["_conv_stem.weight"]
    # the same for red, green and blue: the colour of light is no texture
    stem.copy_(_filters(stem.shape[0], 3, SMOOTHING_SHARE / 2, generator).expand_as(stem))
    for index, block in enumerate(net._blocks):
        measures = index < MEASURING_BLOCKS
        at = f"_blocks.{index}"
        depthwise = weights[f"{at}._depthwise_conv.weight"]
        smoothing = SMOOTHING_SHARE if measures else 1.0
        depthwise.copy_(_filters(depthwise.shape[0], depthwise.shape[-1], smoothing, generator))
        for layer in ("_se_reduce", "_se_expand"):
            nn.init.normal_(weights[f"{at}.{layer}.weight"], 0, EXCITATION_STD, generator)
            nn.init.zeros_(weights[f"{at}.{layer}.bias"])
        if not measures:
            for norm in ("_bn0", "_bn1"):
                nn.init.constant_(weights[f"{at}.{norm}.weight"], PASS_SCALE)
                nn.init.constant_(weights[f"{at}.{norm}.bias"], PASS_SHIFT)
        if block.skips:
            nn.init.constant_(weights[f"{at}._bn2.weight"], RESIDUAL_SCALE)


def _filters(
    count: int, size: int, smoothing_share: float, generator: torch.Generator
) -> torch.Tensor:
    """Filters of shape (count, 1, size, size): some smooth; the others are random, of sum 0 and
    norm 1.
    """
    random = torch.randn(count, size, size, generator=generator)
    random -= random.mean((1, 2), keepdim=True)
    random /= random.flatten(1).norm(dim=1)[:, None, None]
    offsets = torch.arange(size) - size // 2
    bell = torch.exp(-(offsets**2) / (2 * (size / 4) ** 2))
    smooth = torch.outer(bell, bell)
    smooth /= smooth.sum()
    # a little of the random ones, so that no two smooth alike
    uneven = smooth + 0.1 * smooth.norm() * random
    smooths = torch.rand(count, generator=generator) < smoothing_share
    return torch.where(smooths[:, None, None], uneven, random)[:, None]


def _patches(photos: Sequence[Path], random: np.random.Generator) -> np.typing.NDArray[np.uint8]:
    chosen = random.permutation(len(photos))[:PHOTOS]
    per_photo = -(-PATCHES // len(chosen))
    patches = []
    for index in chosen:
        with Image.open(photos[index]) as image:
            pixels = np.asarray(image.convert("RGB"))
        points = random.integers((0, 0), pixels.shape[:2], size=(per_photo, 2)).tolist()
        patches.append(cut_patches(pixels, [(row, column) for row, column in points], PATCH_SIZE))
    return np.concatenate(patches)[:PATCHES]

"""An EfficientNet-B0 whose weights are random and whose scale is right.

Random convolutions keep much of what tells textures apart, as long as every layer's output has
mean 0 and variance 1 on the images at hand. So the batch norms are given the statistics of a few
patches, layer by layer (data-dependent initialization: Krähenbühl et al., ICLR 2016).

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

from spacer_tasks.extractors.efficientnet_b0 import EfficientNetB0
from spacer_tasks.extractors.patches import cut_patches
from spacer_tasks.storage.filesystem import FilesystemStorage

PATCH_SIZE = 224
#: patches that set the statistics: enough to steady them, within 0.5 GB of memory
PATCHES = 32
PHOTOS = 8


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
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            # He et al., ICCV 2015
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            # the one pass below is the whole average
            module.momentum = None
    patches = torch.from_numpy(_patches(photos, np.random.default_rng(seed)))
    with torch.inference_mode():
        # in training mode each batch norm keeps the statistics and applies them at once, so the
        # next layer sees what it will see later
        net.train()(patches.permute(0, 3, 1, 2).to(torch.float32).div_(255))
    return net.eval()


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

"""What the machine gives at most, and how much of it the extraction takes.

Run by `python -m benchmarks limits`, or alone: `python -m benchmarks.limits`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks.inputs import extractor_spec, make_inputs
from benchmarks.sides import CACHE

#: runs of each measurement after the first, which is not counted
REPEATS = 15
#: rows and columns of the matrices whose product shows what the cores give
SIDE = 2048
#: patches of one measurement of the network
PATCHES = 100


def section(threads: int) -> str:
    """The limits as a section of docs/benchmarks.md."""
    torch.set_num_threads(threads)
    gflops = product_rate()
    gflop = operations_of_a_patch() / 1e9
    ceiling = gflops / gflop
    forward = forward_rate()
    photo = (CACHE / "inputs" / "photo.jpg").read_bytes()
    pillow, ours = decode_seconds(photo)
    cut = cut_seconds(photo)
    return (
        "## Beside the limits\n\n"
        "| what | measured | limit | share |\n|---|---|---|---|\n"
        f"| float32 products of {SIDE} × {SIDE} matrices, {threads} threads"
        f" | {gflops:.0f} GFLOP/s | | |\n"
        f"| EfficientNet-B0, {gflop:.2f} GFLOP a patch | {forward:.0f} patches/s"
        f" | {ceiling:.0f} patches/s | **{forward / ceiling:.0%}** |\n"
        f"| decoding a JPEG of 12 megapixels | {ours * 1000:.0f} ms"
        f" | Pillow: {pillow * 1000:.0f} ms | |\n"
        f"| cutting 100 patches of it | {cut * 1000:.1f} ms | | |\n"
    )


def product_rate() -> float:
    """10^9 operations a second in a large float32 product."""
    a, b = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
    return 2 * SIDE**3 / 1e9 / _median(lambda: a @ b)


def operations_of_a_patch() -> int:
    """Operations of the network's convolutions for one patch: two for each multiply-add."""
    from spacer_tasks.extractors.efficientnet.network import EfficientNetB0

    total = 0

    def count(layer: torch.nn.Conv2d, _inputs: object, output: torch.Tensor) -> None:
        nonlocal total
        taps = layer.weight[0].numel()
        total += 2 * taps * output[0].numel()

    net = EfficientNetB0().eval()
    for layer in net.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(count)
    with torch.inference_mode():
        net(torch.zeros(1, 3, 224, 224))
    return total


def forward_rate() -> float:
    """Patches a second through the network as an extraction runs it."""
    from spacer_tasks.extractors import load_extractor
    from spacer_tasks.messages.specs import ExtractorSpec

    make_inputs(CACHE / "inputs")
    extractor = load_extractor(ExtractorSpec(**extractor_spec(CACHE / "inputs")))
    patches = np.random.default_rng(1).integers(0, 256, (PATCHES, 224, 224, 3), dtype=np.uint8)
    return PATCHES / _median(lambda: extractor.forward(patches))


def decode_seconds(photo: bytes) -> tuple[float, float]:
    """Seconds in which Pillow and this project decode a photo."""
    from PIL import Image

    from spacer_tasks.extractors import load_pixels

    pillow = _median(lambda: np.asarray(Image.open(BytesIO(photo)).convert("RGB")))
    return pillow, _median(lambda: load_pixels(photo, "photo.jpg"))


def cut_seconds(photo: bytes) -> float:
    """Seconds in which 100 patches are cut out of a decoded photo."""
    from spacer_tasks.extractors import load_pixels
    from spacer_tasks.extractors.images.patches import cut_patches

    pixels = load_pixels(photo, "photo.jpg")
    rng = np.random.default_rng(2)
    points = [(int(r), int(c)) for r, c in rng.integers(0, 3000, (100, 2))]
    return _median(lambda: cut_patches(pixels, points, 224))


def _median(work: Callable[[], object]) -> float:
    work()
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return median(seconds)


if __name__ == "__main__":
    Path(CACHE).mkdir(parents=True, exist_ok=True)
    print(section(os.cpu_count() or 1))

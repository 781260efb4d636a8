"""The card's features beside the CPU's, in float32 and in other precisions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.card.inputs import (
    FIXTURE,
    KINDS,
    WORK,
    efficientnet,
    forget,
    patches_of,
    say,
    vgg16,
    weights,
    worst,
)
from spacer_tasks.data_classes.labels import Point
from spacer_tasks.extractors.efficientnet.network import load_network
from spacer_tasks.extractors.runtime.precision import deviation, sample_patches

PATCHES = 72
#: in float64 too, which takes a CPU long
EXACT = 24
MAX_PATCHES = 64
#: calls of many threads at once
CALLS, THREADS = 600, 16


def compare() -> None:
    """Every number of patches, both lanes, many threads; and what another process found."""
    patches = patches_of(PATCHES)
    float32, float64 = _on_the_cpu(patches)
    extractor: Any = efficientnet()
    usual = np.flatnonzero(np.arange(PATCHES) % 3 < 2)
    rng = np.random.default_rng(1)
    network = extractor._runner.forward
    lanes = [network._lanes.get() for _ in range(2)]
    graphs: dict[int, Any]
    for number, lane in enumerate(lanes):
        for graphs in (lane._graphs, {}):
            kept, lane._graphs = lane._graphs, graphs
            off: dict[int, float] = {}
            for count in range(1, MAX_PATCHES + 1):
                chosen = rng.choice(usual, count)
                computed = next(each for each in lane._counts if each >= count)
                found = worst(lane.run(patches[chosen]), float32[chosen])
                off[computed] = max(off.get(computed, 0), found)
            lane._graphs = kept
            shown = ", ".join(f"{count}: {error:.1e}" for count, error in off.items())
            how = "graphs" if graphs else "step by step"
            say(f"lane {number}, {how}, 1 to {MAX_PATCHES} patches, by those computed: {shown}")
    first, second = (lane.run(patches[:MAX_PATCHES]) for lane in lanes)
    one_by_one = np.concatenate([lanes[0].run(patches[i : i + 1]) for i in range(MAX_PATCHES)])
    say(f"both lanes: {worst(first, second):.1e}; one by one: {worst(one_by_one, first):.1e}")
    for kind, name in enumerate(KINDS):
        say(
            f"{name}: GPU from the CPU's float32 {_of(first, float32, kind):.1e}; from float64: GPU"
            f" {_of(first, float64, kind):.1e}, CPU {_of(float32, float64, kind):.1e}"
        )
    for lane in lanes:
        network._lanes.put(lane)

    def call(seed: int) -> float:
        choose = np.random.default_rng(seed)
        chosen = choose.choice(usual, choose.integers(1, MAX_PATCHES + 1))
        return worst(extractor.forward(patches[chosen]), float32[chosen])

    with ThreadPoolExecutor(THREADS) as pool:
        say(f"{CALLS} calls of {THREADS} threads: {max(pool.map(call, range(CALLS))):.1e}")
    image, points, expected = _fixture()
    say(f"the reference's {len(points)}: {worst(extractor.extract(image, points), expected):.1e}")
    before = WORK / "features.npy"
    if before.exists():
        say(f"from the process before: {worst(first, np.load(before)):.1e}")
    np.save(before, first)
    on_cpu = vgg16(device="cpu").forward(sample_patches())
    forget()
    say(f"VGG16, the sample: {worst(vgg16().forward(sample_patches()), on_cpu):.1e}")


def _of(found: NDArray[Any], expected: NDArray[Any], kind: int) -> float:
    count = min(len(found), len(expected))
    return worst(found[:count][kind::3], expected[:count][kind::3])


def _on_the_cpu(patches: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """In float32 as a worker computes it, and some in float64."""
    float32 = efficientnet(device="cpu").forward(patches)
    forget()
    net = load_network(weights().read_bytes(), "weights").to(torch.float64)
    net = net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    with torch.inference_mode():
        pixels = torch.from_numpy(patches[:EXACT]).permute(0, 3, 1, 2).to(torch.float64) / 255
        some = [net(each.contiguous()) for each in pixels.split(4)]
    return float32, torch.cat(some).numpy()


def _fixture() -> tuple[Image.Image, list[Point], NDArray[np.float32]]:
    with np.load(FIXTURE / "expected_features.npz") as arrays:
        points = [(row, col) for row, col in arrays["rowcols"].tolist()]
        image = Image.open(FIXTURE / "image.jpg").convert("RGB")
        return image, points, arrays["features"]


def precisions() -> None:
    """What is computed in where a precision is asked for, and how far off that is."""
    truth = efficientnet(device="cpu").forward(sample_patches())
    image, points, expected = _fixture()
    for precision in ("float32", "tf32", "bfloat16", "float16"):
        forget()
        extractor = efficientnet(precision=precision)
        used = extractor.identity.get("precision", "float32")
        sample = deviation(extractor.forward(sample_patches()), truth)
        points_off = deviation(extractor.extract(image, points), expected)
        say(f"{precision}, computed in {used}: the sample {sample}; the reference's {points_off}")

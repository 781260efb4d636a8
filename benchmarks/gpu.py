"""What a GPU does with this project: precision, the forward pass, and images with their decoding.

    python -m benchmarks.gpu [--device cuda] [--threads 24]

prints Markdown. It needs no server. Without a GPU it says so and ends well; `--device cpu` runs the
same on a CPU, which shows that it works and little else.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.inputs import MAKE_WEIGHTS
from benchmarks.inputs import photo as make_photo
from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.extractors import Extractor, load_extractor, load_pixels, loading
from spacer_tasks.extractors.efficientnet.network import load_network
from spacer_tasks.extractors.runtime.precision import deviation, sample_patches
from spacer_tasks.messages.specs import ExtractorSpec

PRECISIONS = ("float32", "tf32", "bfloat16", "float16")


def extractor_in(precision: str, device: str, weights: Path) -> Extractor:
    """The extractor as a worker loads it."""
    os.environ |= {"SPACER_PRECISION": precision, "SPACER_DEVICE": device}
    get_settings.cache_clear()
    loading.forget_extractors()
    return load_extractor(
        ExtractorSpec(
            class_path="efficientnet", data_locations={"weights": DataLocation.parse(str(weights))}
        )
    )


def truth(weights: Path) -> NDArray[np.float32]:
    """The sample's features that all others are compared with: the CPU's, in float32.

    A GPU that is wrong in float32 must not be its own measure.
    """
    return extractor_in("float32", "cpu", weights).forward(sample_patches())


def rate(work: Callable[[], int], seconds: float, repeats: int) -> float:
    """The median, over repeats of so many seconds, of what `work` counts in a second."""
    work()
    rates = []
    for _ in range(repeats):
        started, done = time.perf_counter(), 0
        while not done or time.perf_counter() - started < seconds:
            done += work()
        rates.append(done / (time.perf_counter() - started))
    return median(rates)


def best_batched(
    weights: Path, device: torch.device, batches: list[int], options: Any
) -> tuple[int, float]:
    """The batch size of the highest rate of the network alone in torch, in float32, patches that
    are on the device already, in the faster layout; and that rate.
    """
    net = load_network(weights.read_bytes(), str(weights)).to(device)
    best = (0, 0.0)
    # which of them is faster depends on the device
    for layout in (torch.contiguous_format, torch.channels_last):
        # torch's stubs leave out this form of `to`
        net = net.to(memory_format=layout)  # type: ignore[call-overload]
        for batch in batches:
            pixels = torch.rand(batch, 3, 224, 224, device=device).to(memory_format=layout)

            def forward(
                net: torch.nn.Module = net, pixels: torch.Tensor = pixels, batch: int = batch
            ) -> int:
                with torch.inference_mode():
                    # what is fetched is finished
                    net(pixels)[:1].cpu()
                return batch

            best = max(
                best,
                (batch, rate(forward, options.seconds, options.repeats)),
                key=lambda each: each[1],
            )
    return best


def images_of(
    extractor: Extractor, pixels: NDArray[np.uint8], threads: int, points: int
) -> Callable[[], int]:
    """Extracts two decoded images in each of the threads; counts points."""
    height, width = pixels.shape[:2]
    random = np.random.default_rng(2)
    rows, cols = random.integers(0, height, points), random.integers(0, width, points)
    rowcols = list(zip(rows.tolist(), cols.tolist(), strict=True))

    def work() -> int:
        with ThreadPoolExecutor(threads) as pool:
            vectors = list(
                pool.map(lambda _: extractor.extract(pixels, rowcols), range(2 * threads))
            )
        return sum(len(each) for each in vectors)

    return work


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--threads", type=int, default=3 * (os.cpu_count() or 1))
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 32, 64, 128, 256])
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--megapixels", type=float, default=12)
    parser.add_argument("--points", type=int, default=25, help="of an image")
    parser.add_argument("--seconds", type=float, default=2, help="of each measurement")
    parser.add_argument("--repeats", type=int, default=3, help="measurements; medians are printed")
    parser.add_argument(
        "--merge", action="store_true", help="one pass for several images on a CPU too"
    )
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        print("Not measured: this machine has no CUDA device.")
        return
    device = torch.device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    threads = options.threads
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.pt"
        subprocess.run([sys.executable, MAKE_WEIGHTS, weights], check=True)
        photo = _photo(options.megapixels)
        pixels = load_pixels(photo, "photo")

        exact = truth(weights)
        batch, best = best_batched(weights, device, options.batches, options)
        print(f"{name}, torch {torch.__version__}, {os.cpu_count()} cores, {threads} threads\n")
        print(
            f"Best rate of the plain network in torch, float32, nothing copied: {best:.0f}"
            f" patches a second, {batch} at a time.\n"
        )
        print(
            "| asked for | computed in | deviation from the CPU's float32 over the sample"
            " | patches a second | of best | cores busy |"
        )
        print("|---|---|---|---|---|---|")

        def loaded(precision: str) -> Extractor:
            extractor = extractor_in(precision, options.device, weights)
            if options.merge:
                extractor.merge_images()
            return extractor

        for precision in options.precisions:
            extractor = loaded(precision)
            used = extractor.identity.get("precision", "float32")
            off = deviation(extractor.forward(sample_patches()), exact)
            work = images_of(extractor, pixels, threads, options.points)
            started, busy_s = time.perf_counter(), time.process_time()
            found = rate(work, options.seconds, options.repeats)
            cores = (time.process_time() - busy_s) / (time.perf_counter() - started)
            print(
                f"| {precision} | {used} | {off} | {found:.0f} | {found / best:.2f}"
                f" | {cores:.1f} |",
                flush=True,
            )

        def decode(_: int) -> NDArray[np.uint8]:
            return load_pixels(photo, "photo")

        extractor = loaded("float32")
        with ThreadPoolExecutor(threads) as pool:

            def decoded() -> int:
                return len(list(pool.map(lambda i: decode(i).shape, range(2 * threads))))

            def extracted() -> int:
                points = [(i, i) for i in range(options.points)]
                work = pool.map(lambda i: extractor.extract(decode(i), points), range(2 * threads))
                return len(list(work))

            alone = rate(decoded, options.seconds, options.repeats)
            whole = rate(extracted, options.seconds, options.repeats)
        print(
            f"\n{options.megapixels:g} megapixels, {options.points} points: {whole:.1f} images"
            f" a second from bytes to vectors; {alone:.1f} where they are only decoded."
        )


def _photo(megapixels: float) -> bytes:
    scale = (megapixels / 12) ** 0.5
    photo = make_photo()
    stream = BytesIO()
    photo.resize((round(photo.width * scale), round(photo.height * scale))).save(
        stream, "JPEG", quality=92
    )
    return stream.getvalue()


if __name__ == "__main__":
    main()

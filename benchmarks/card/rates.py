"""Patches a second by layout, batch and precision, and what waiting for the card takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.card.inputs import memory, patches_of, say, timed, weights
from spacer_tasks.extractors.efficientnet.extractor import EfficientNetExtractor
from spacer_tasks.extractors.efficientnet.network import load_network
from spacer_tasks.extractors.runtime.cuda_network import CudaNetwork
from spacer_tasks.extractors.runtime.devices import allow_tf32
from spacer_tasks.extractors.runtime.patch_network import PatchNetwork

BATCHES = (8, 16, 32, 64, 128, 256)
LAYOUTS = {"plain": torch.contiguous_format, "channels_last": torch.channels_last}
DTYPES = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
#: patches of a pass, from bytes to vectors
PASSES = (32, 64, 128, 256)
SECONDS = 1.5
#: patches of one measurement of a rate, at least
COUNTED = 1024
#: of the device's clock: about 1.5 s
CYCLES = 3_000_000_000


def layouts() -> None:
    """The network alone, its input on the device, step by step and as a graph."""
    net = load_network(weights().read_bytes(), "weights").to("cuda")
    say("patches a second, step by step / as a graph\n")
    say(f"| precision | layout | cudnn.benchmark | {' | '.join(map(str, BATCHES))} |")
    say("|---" * (3 + len(BATCHES)) + "|")
    for precision in DTYPES:
        for layout in LAYOUTS:
            for benchmark in (False, True):
                torch.backends.cudnn.benchmark = benchmark
                allow_tf32(precision == "tf32")
                cells = [_rates(net, precision, layout, batch) for batch in BATCHES]
                say(f"| {precision} | {layout} | {benchmark} | {' | '.join(cells)} |")


def _rates(net: nn.Module, precision: str, layout: str, batch: int) -> str:
    form: Any = {"dtype": DTYPES[precision], "memory_format": LAYOUTS[layout]}
    net = deepcopy(net).to(**form)
    pixels = torch.rand(batch, 3, 224, 224, device="cuda").to(**form)
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    with torch.inference_mode(), torch.cuda.stream(stream):
        for _ in range(3):
            net(pixels)
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            net(pixels)
        found = [_rate(work, batch) for work in (lambda: net(pixels), graph.replay)]
    return " / ".join(f"{each:.0f}" for each in found)


def _rate(work: Callable[[], Any], batch: int) -> float:
    """The median of three."""
    work()
    runs, times = max(5, COUNTED // batch), []
    for _ in range(3):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()  # type: ignore[no-untyped-call]
        for _ in range(runs):
            work()
        end.record()  # type: ignore[no-untyped-call]
        end.synchronize()  # type: ignore[no-untyped-call]
        times.append(start.elapsed_time(end) / runs)  # type: ignore[no-untyped-call]
    return 1000 * batch / sorted(times)[1]


def passes() -> None:
    """The network as a worker runs it, from bytes to vectors."""
    allow_tf32(False)
    net = load_network(weights().read_bytes(), "weights").to("cuda")
    preprocessing = EfficientNetExtractor.preprocessing
    features = PatchNetwork(net, preprocessing, layout=torch.contiguous_format).to("cuda")
    for size in PASSES:
        network = CudaNetwork(features, torch.device("cuda"), 224, size, 2)
        patches = patches_of(size)
        for threads in (1, 2, 4):
            end = time.perf_counter() + SECONDS

            def work(_: int, end: float = end, run: Any = network, patches: Any = patches) -> int:
                done = 0
                while time.perf_counter() < end:
                    done += len(run(patches))
                return done

            with ThreadPoolExecutor(threads) as pool:
                wall, cpu, done = timed(
                    lambda work=work, pool=pool, threads=threads: sum(
                        pool.map(work, range(threads))
                    )
                )
            say(
                f"{size} at a time, {threads} threads: {done / wall:.0f} patches a second,"
                f" {cpu / wall:.2f} cores busy"
            )
    say(memory())


def waiting() -> None:
    """What a thread that waits for the device takes of a core."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    vectors = torch.zeros(64, 1280, device="cuda")
    pinned = torch.zeros(64, 1280, pin_memory=True)
    torch.cuda.synchronize()

    def copied() -> None:
        vectors.cpu()

    def synchronized() -> None:
        pinned.copy_(vectors, non_blocking=True)
        stream.synchronize()

    def event(blocking: bool) -> Callable[[], None]:
        def work() -> None:
            pinned.copy_(vectors, non_blocking=True)
            done = torch.cuda.Event(blocking=blocking)
            done.record(stream)  # type: ignore[no-untyped-call]
            done.synchronize()  # type: ignore[no-untyped-call]

        return work

    ways = {
        ".cpu()": copied,
        "pinned memory, stream": synchronized,
        "pinned memory, event": event(False),
        "pinned memory, blocking event": event(True),
    }
    for name, wait in ways.items():

        def work(wait: Callable[[], None] = wait) -> None:
            with torch.cuda.stream(stream):
                torch.cuda._sleep(CYCLES)
                wait()

        wall, cpu, _ = timed(work)
        say(f"{name}: {wall:.2f} s of waiting, {cpu:.2f} s of processor")
    for blocking in (False, True):
        times = []
        for _ in range(300):
            done = torch.cuda.Event(blocking=blocking)
            start = time.perf_counter()
            with torch.cuda.stream(stream):
                torch.cuda._sleep(200_000)
                done.record(stream)  # type: ignore[no-untyped-call]
            done.synchronize()  # type: ignore[no-untyped-call]
            times.append(time.perf_counter() - start)
        say(f"a short kernel, event blocking {blocking}: {1e6 * np.median(times):.0f} us")

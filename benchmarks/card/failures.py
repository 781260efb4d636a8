"""A card without memory, one that fails, one that does not end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from benchmarks.card.inputs import ROOT, efficientnet, memory, outcome, say, vgg16
from spacer_tasks.concurrency import device_watch
from spacer_tasks.extractors import Extractor

#: MiB that another process leaves, before a network is loaded and after
BEFORE, AFTER = (3000, 1500, 800), (1000, 200, 8)
#: cycles of a kernel of some 15 s, and the seconds after which one looks
HANGS, LOOK_S = 30_000_000_000, 4
POINTS = [(300 + i, 300 + i) for i in range(64)]


def beside() -> None:
    """Memory that another process holds."""
    vgg, net = vgg16(), efficientnet()
    for leave in BEFORE:
        with _held(leave):
            subprocess.run(
                [sys.executable, "-m", "benchmarks.card", "--here", "small"], cwd=ROOT, check=False
            )
    say("loaded before the other process takes the rest:")
    torch.cuda.empty_cache()
    for leave in AFTER:
        with _held(leave):
            for extractor in (net, vgg):
                _extract(extractor)
        torch.cuda.empty_cache()
    say("alone again:")
    _extract(vgg)


@contextmanager
def _held(leave: int) -> Iterator[None]:
    other = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.card", "--here", "hold"],
        cwd=ROOT,
        text=True,
        env={**os.environ, "LEAVE_MIB": str(leave)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdout
    say(f"beside another process, which leaves {other.stdout.readline().strip()}:")
    yield
    other.communicate("")


def hold() -> None:
    """Hold the card's memory but for LEAVE_MIB until the input ends."""
    leave, held = int(os.environ["LEAVE_MIB"]) << 20, []
    for step in (2**30, 2**27, 2**24):
        while torch.cuda.mem_get_info()[0] - step > leave:
            held.append(torch.empty(step, dtype=torch.uint8, device="cuda"))
    say(f"{torch.cuda.mem_get_info()[0] >> 20} MiB")
    sys.stdin.read()


def small() -> None:
    """Load and extract with the memory that there is."""
    for name, load in (("EfficientNet-B0", efficientnet), ("VGG16", vgg16)):
        extractor: Extractor | None = outcome(f"load {name}", load)
        if extractor is not None:
            _extract(extractor)


def _extract(extractor: Extractor) -> None:
    image = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), dtype=np.uint8)

    def work() -> None:
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda _: extractor.extract(image, POINTS), range(6)))

    outcome(f"extract with {type(extractor).__name__}", work)
    assert extractor._batcher is not None
    say(f"  patches of a pass now: {extractor._batcher.limit}; {memory()}")


def assertion() -> None:
    """What each call raises after an assertion on the device."""
    extractor = efficientnet()
    black = np.zeros((1000, 1000, 3), np.uint8)
    extractor.extract(black, [(5, 5)])

    def fail() -> None:
        torch.zeros(3, device="cuda")[torch.tensor([5], device="cuda")]
        torch.cuda.synchronize()

    calls: dict[str, Any] = {
        "the assertion": fail,
        "extract": lambda: extractor.extract(black, [(5, 5)] * 25),
        "extract again": lambda: extractor.extract(black, [(5, 5)] * 25),
        "load another": lambda: efficientnet("other"),
        "torch.cuda.is_available": torch.cuda.is_available,
        "torch.cuda.mem_get_info": torch.cuda.mem_get_info,
        "torch.cuda.synchronize": torch.cuda.synchronize,
    }
    for name, call in calls.items():
        outcome(name, call)
    say(f"lost: {device_watch.lost()}")
    # the interpreter's own end aborts
    sys.stdout.flush()
    os._exit(0)


def hung() -> None:
    """A kernel that does not end on one lane: images, processor, and the end of the process."""
    extractor: Any = efficientnet()
    black = np.zeros((1000, 1000, 3), np.uint8)
    extractor.extract(black, [(5, 5)])
    lanes = extractor._runner.forward._lanes
    lane = lanes.get()
    with torch.cuda.stream(lane._stream):
        torch.cuda._sleep(HANGS)
    lanes.put(lane)
    done: list[float] = []

    def work() -> None:
        extractor.extract(black, [(5, 5)] * 25)
        done.append(time.perf_counter())

    cpu = time.process_time()
    for _ in range(6):
        threading.Thread(target=work, daemon=True).start()
    time.sleep(LOOK_S)
    say(
        f"after {LOOK_S} s: {len(done)} of 6 images done,"
        f" {(time.process_time() - cpu) / LOOK_S:.2f} cores busy, longest pass"
        f" {device_watch.longest_pass_s():.1f} s"
    )
    sys.stdout.flush()
    os._exit(0)

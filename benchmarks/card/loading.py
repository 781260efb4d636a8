"""The card itself, and what loading a network costs in seconds and memory."""

from __future__ import annotations

import os
import subprocess
import time
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.card.inputs import efficientnet, forget, memory, say, timed, vgg16, weights
from spacer_tasks.extractors.efficientnet.network import load_network

EXTRACTORS = 5
#: patches of the first passes
FIRST = (64, 32, 16, 8, 64)
#: patches of VGG16's passes: some of a number for the first time, some not
COUNTS = (64, 64, 63, 17, 17, 5)


def about() -> None:
    """Card, driver, versions."""
    fields = "name,driver_version,memory.total"
    subprocess.run(["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"], check=False)
    major, minor = torch.cuda.get_device_capability()
    say(
        f"compute capability {major}.{minor}; torch {torch.__version__}, for"
        f" {', '.join(torch.cuda.get_arch_list())}; CUDA {torch.version.cuda}, cuDNN"
        f" {torch.backends.cudnn.version()}; {os.cpu_count()} cores"
    )


def load() -> None:
    """The extractor of a fresh process."""
    wall, _, _ = timed(lambda: torch.zeros(1, device="cuda"))
    say(f"first use of the device: {wall:.2f} s; {memory()}")
    weights()
    wall, cpu, extractor = timed(efficientnet)
    say(f"EfficientNet-B0 loaded: {wall:.2f} s, {cpu:.2f} s of processor; {memory()}")
    lanes = extractor._runner.forward._lanes
    taken = [lanes.get() for _ in range(lanes.qsize())]
    say(f"graphs of each lane, by patches: {[sorted(lane._graphs) for lane in taken]}")
    for lane in taken:
        lanes.put(lane)
    times = sorted(timed(extractor.warm)[0] for _ in range(20))
    say(f"a full pass alone: {1000 * times[10]:.1f} ms")


def first_pass() -> None:
    """Where the first pass of each number of patches spends its time, in both layouts."""
    torch.backends.cudnn.allow_tf32 = False
    for layout in (torch.contiguous_format, torch.channels_last):
        net = load_network(weights().read_bytes(), "weights").to("cuda")
        net = net.to(memory_format=layout)  # type: ignore[call-overload]
        spent = _watched(net)
        for batch in FIRST:
            spent.clear()
            pixels = torch.rand(batch, 3, 224, 224, device="cuda").to(memory_format=layout)
            with torch.inference_mode():
                wall, _, _ = timed(lambda net=net, pixels=pixels: net(pixels))
            top = sorted(spent.items(), key=lambda each: -each[1])[:3]
            shown = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in top)
            say(f"{layout}, {batch} patches: {wall:.2f} s; {shown}")


def _watched(net: nn.Module) -> dict[str, float]:
    """Seconds in modules by kind, from now on."""
    spent: dict[str, float] = {}
    starts: list[float] = []

    def before(*_: Any) -> None:
        torch.cuda.synchronize()
        starts.append(time.perf_counter())

    def after(module: Any, *_: Any) -> None:
        torch.cuda.synchronize()
        groups = "depthwise " if getattr(module, "groups", 1) > 1 else ""
        name = f"{groups}{type(module).__name__} {getattr(module, 'kernel_size', '')}"
        spent[name] = spent.get(name, 0) + time.perf_counter() - starts.pop()

    for module in net.modules():
        if not list(module.children()):
            module.register_forward_pre_hook(before)
            module.register_forward_hook(after)
    return spent


def evicted() -> None:
    """Two networks in a process, and more of them than stay loaded."""
    net = vgg16()
    for count in COUNTS:
        patches = np.zeros((count, 224, 224, 3), np.uint8)
        wall, _, _ = timed(lambda net=net, patches=patches: net.forward(patches))
        say(f"VGG16, {count} patches: {1000 * wall:.1f} ms")
    say(memory())
    black = np.zeros((300, 300, 3), np.uint8)
    for number in range(EXTRACTORS):
        extractor = efficientnet(f"weights-{number}")
        extractor.extract(black, [(5, 5)] * 5)
        say(f"EfficientNet-B0 number {number} loaded; {memory()}")
    del net, extractor
    forget()
    torch.cuda.empty_cache()
    say(f"all dropped; {memory()}")

"""The full-size VGG16 in Caffe's formats: reading it, and the time of a patch; beside Caffe itself.

    python -m benchmarks.caffe [--threads N]

Its weights, 553 MB, are random and made at the first run. Caffe is measured where it can be
imported, alternately with this project, each in a process of its own; docs/caffe.md says how to
compile it.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".cache" / "benchmarks" / "vgg16"
DEFINITION, WEIGHTS = FOLDER / "vgg16.prototxt", FOLDER / "vgg16.caffemodel"
#: outputs of VGG16's convolutions, pooled after each group (Simonyan and Zisserman 2014, table 1,
#: column D), and of its fully connected layers
CONVOLUTIONS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
CONNECTED = {"fc6": 4096, "fc7": 4096, "fc8": 1000}
SIDE = 224
BATCHES = (1, 4, 10, 20)
#: processes of each side, and runs of a batch in each, of which the fastest counts
REPEATS, RUNS = 3, 5


def section(threads: int) -> str:
    """The figures as a section of docs/benchmarks.md."""
    if not WEIGHTS.exists():
        # in a process of its own: its memory is not this one's
        subprocess.run([sys.executable, "-m", "benchmarks.caffe", "--make"], check=True, cwd=ROOT)
    sides = ["torch", "caffe"] if find_spec("caffe") else ["torch"]
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for _ in range(REPEATS):
        for side in sides:
            found[side].append(_measured_in_a_process(side, threads))
    return _text(found, threads)


def _measured_in_a_process(side: str, threads: int) -> dict[str, Any]:
    limits = {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "OPENBLAS", "MKL")}
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.caffe", "--side", side, "--threads", str(threads)],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **limits, "SPACER_CAFFE_RUNTIME": side, "GLOG_minloglevel": "2"},
    )
    measured: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return measured


def _text(found: dict[str, list[dict[str, Any]]], threads: int) -> str:
    lines = [
        "## VGG16 in Caffe's formats\n",
        f"`python -m benchmarks.caffe`: the full-size network, random weights, threads: {threads}."
        f" Medians of {REPEATS} processes of each side, run alternately; of a batch the fastest of"
        f" {RUNS} runs counts. CPU time is that of all threads.\n",
        f"| a patch, in batches of | {' | '.join(_titles(found))} |",
        "|---" * (1 + 2 * len(found)) + "|",
    ]
    for batch in BATCHES:
        cells = [
            f"{_median(runs, kind, str(batch)):.0f} ms"
            for runs in found.values()
            for kind in ("wall_ms", "cpu_ms")
        ]
        lines.append(f"| {batch} | {' | '.join(cells)} |")
    ours = found["torch"]
    lines.append(
        f"\nReading both files ({WEIGHTS.stat().st_size / 1e6:.0f} MB, from the disk's cache) into"
        f" the network: {_median(ours, 'load_s'):.2f} s, of which {_median(ours, 'hash_s'):.2f} s"
        f" are the SHA-256. Memory of the process: {_median(ours, 'before_mib'):.0f} MiB before,"
        f" {_median(ours, 'peak_mib'):.0f} MiB at most while reading; the weights read (fc8 is not)"
        f" have {_median(ours, 'weights_mib'):.0f} MiB.\n"
    )
    if "caffe" in found:
        ratio = _median(ours, "cpu_ms", "10") / _median(found["caffe"], "cpu_ms", "10")
        lines.append(f"CPU time of a patch in batches of 10: {ratio:.2f} of Caffe's.\n")
    return "\n".join(lines)


def _titles(found: dict[str, Any]) -> Iterator[str]:
    for side in found:
        name = "this project" if side == "torch" else "Caffe"
        yield from (f"{name}, time", f"{name}, CPU time")


def _median(runs: list[dict[str, Any]], *keys: str) -> float:
    values = []
    for run in runs:
        value: Any = run
        for key in keys:
            value = value[key]
        values.append(value)
    return float(median(values))


# --- one side, in its own process ----------------------------------------------------------------


def measure(threads: int) -> dict[str, Any]:
    """Load the extractor and run it, by whichever runtime the settings say."""
    import numpy as np
    import torch

    from spacer_tasks.data_classes.locations import DataLocation
    from spacer_tasks.extractors import load_extractor
    from spacer_tasks.extractors.caffe.extractor import VGG16CaffeExtractor
    from spacer_tasks.extractors.caffe.net import CaffeNet
    from spacer_tasks.messages.specs import ExtractorSpec

    torch.set_num_threads(threads)
    files = {
        name: DataLocation(storage_type="filesystem", key=str(path))
        for name, path in (("definition", DEFINITION), ("weights", WEIGHTS))
    }
    started = time.perf_counter()
    with WEIGHTS.open("rb") as stream:
        digest, buffer = hashlib.sha256(), bytearray(2**20)
        while count := stream.readinto(buffer):
            digest.update(memoryview(buffer)[:count])
    hash_s = time.perf_counter() - started
    before = _peak_mib()
    started = time.perf_counter()
    extractor = load_extractor(ExtractorSpec(class_path="vgg16", data_locations=files))
    load_s = time.perf_counter() - started
    peak = _peak_mib()
    nets = [each for each in gc.get_objects() if isinstance(each, CaffeNet)]
    weights = sum(each.nbytes for net in nets for each in net.parameters() if not each.is_meta)
    wall, cpu = {}, {}
    for batch in BATCHES:
        shape = (batch, SIDE, SIDE, 3)
        patches = np.random.default_rng(batch).integers(0, 256, shape, dtype=np.uint8)
        extractor.forward(patches)
        times = [_timed(lambda patches=patches: extractor.forward(patches)) for _ in range(RUNS)]
        wall[batch], cpu[batch] = (min(each) * 1000 / batch for each in zip(*times, strict=True))
    assert isinstance(extractor, VGG16CaffeExtractor)
    return {
        "hash_s": hash_s,
        "load_s": load_s,
        "before_mib": before,
        "peak_mib": peak,
        "weights_mib": weights / 2**20,
        "wall_ms": wall,
        "cpu_ms": cpu,
    }


def _timed(function: Any) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - cpu


def _peak_mib() -> float:
    """Of this process since it began; `ru_maxrss` would count its parent's too."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


# --- the network ---------------------------------------------------------------------------------


def make_files() -> None:
    """Write the definition, and random weights that keep the size of what goes through them."""
    import numpy as np

    from tests.support.files.caffemodels import blob, layer

    FOLDER.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    definition = [f'input: "data" input_shape {{ dim: 10 dim: 3 dim: {SIDE} dim: {SIDE} }}']
    part = WEIGHTS.with_suffix(".part")
    with part.open("wb") as stream:

        def add(kind: str, name: str, bottom: str, options: str, shape: tuple[int, ...]) -> None:
            scale = np.float32((2 / np.prod(shape[1:])) ** 0.5)
            weights = rng.standard_normal(shape, dtype=np.float32) * scale
            biases = rng.standard_normal(shape[0], dtype=np.float32) / 10
            stream.write(layer(name, [blob(weights), blob(biases)]))
            definition.append(
                f'layer {{ name: "{name}" type: "{kind}" bottom: "{bottom}" top: "{name}" {options}'
                f' }}\nlayer {{ name: "relu_{name}" type: "ReLU" bottom: "{name}" top: "{name}" }}'
            )

        top, channels, side = "data", 3, SIDE
        for group, outputs in enumerate(CONVOLUTIONS, start=1):
            for number, count in enumerate(outputs, start=1):
                name = f"conv{group}_{number}"
                options = f"convolution_param {{ num_output: {count} kernel_size: 3 pad: 1 }}"
                add("Convolution", name, top, options, (count, channels, 3, 3))
                top, channels = name, count
            definition.append(
                f'layer {{ name: "pool{group}" type: "Pooling" bottom: "{top}" top: "pool{group}"'
                " pooling_param { pool: MAX kernel_size: 2 stride: 2 } }"
            )
            top, side = f"pool{group}", side // 2
        inputs = channels * side * side
        for name, count in CONNECTED.items():
            options = f"inner_product_param {{ num_output: {count} }}"
            add("InnerProduct", name, top, options, (count, inputs))
            top, inputs = name, count
    DEFINITION.write_text("\n".join(definition) + "\n")
    # only a whole file has the name
    part.replace(WEIGHTS)


def main() -> None:
    """Measure and print; the other options are for this program's own processes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.caffe", description=__doc__)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--side", choices=("torch", "caffe"), help=argparse.SUPPRESS)
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make_files()
    elif options.side:
        print(json.dumps(measure(options.threads)))
    else:
        print(section(options.threads))


if __name__ == "__main__":
    main()

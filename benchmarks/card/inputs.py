"""What the parts work on, and how they measure."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks import caffe
from benchmarks.inputs import MAKE_WEIGHTS
from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.extractors import Extractor, load_extractor, loading
from spacer_tasks.extractors.runtime.precision import sample_patches
from spacer_tasks.messages.specs import ExtractorSpec

ROOT = Path(__file__).resolve().parents[2]
FIXTURE = ROOT / "tests" / "fixtures" / "efficientnet"
#: shared by the parts' processes
WORK = Path(tempfile.gettempdir()) / "spacer-card"
#: names the weights to use, in the environment of the parts
WEIGHTS = "CARD_WEIGHTS"
#: of the patches, in turn. Noise is ill-conditioned: the CPU's own float32 is off by 1e-3
KINDS = ("texture", "photo", "noise")


def say(*words: Any) -> None:
    """Print at once: a part may be ended."""
    print(*words, flush=True)


def weights(name: str = "weights") -> Path:
    """A weights file; those of other names are other files with the same content."""
    WORK.mkdir(exist_ok=True)
    path = WORK / f"{name}.pt"
    if real := os.environ.get(WEIGHTS):
        shutil.copyfile(real, path)
    elif not path.exists():
        subprocess.run([sys.executable, MAKE_WEIGHTS, path], check=True)
    return path


def efficientnet(
    name: str = "weights", device: str = "cuda", precision: str = "float32"
) -> Extractor:
    """EfficientNet-B0 as a worker loads it."""
    _set(device, precision)
    loc = DataLocation.parse(str(weights(name)))
    return load_extractor(ExtractorSpec(class_path="efficientnet", data_locations={"weights": loc}))


def vgg16(device: str = "cuda") -> Extractor:
    """The full-size VGG16, with random weights."""
    _set(device, "float32")
    if not caffe.WEIGHTS.exists():
        subprocess.run([sys.executable, "-m", "benchmarks.caffe", "--make"], check=True, cwd=ROOT)
    files = {
        name: DataLocation(storage_type="filesystem", key=str(path))
        for name, path in (("definition", caffe.DEFINITION), ("weights", caffe.WEIGHTS))
    }
    return load_extractor(ExtractorSpec(class_path="vgg16", data_locations=files))


def _set(device: str, precision: str) -> None:
    os.environ |= {"SPACER_DEVICE": device, "SPACER_PRECISION": precision}
    get_settings.cache_clear()


def patches_of(count: int) -> NDArray[np.uint8]:
    """Patches of `KINDS` in turn."""
    image = np.asarray(Image.open(FIXTURE / "image.jpg").convert("RGB"), np.uint8)
    rng, sample = np.random.default_rng(0), sample_patches()
    patches = []
    for number in range(count):
        if KINDS[number % 3] == "texture":
            patches.append(sample[number // 3 % len(sample)][:: rng.choice([-1, 1])])
        elif KINDS[number % 3] == "photo":
            row, col = (int(rng.integers(0, side - 224)) for side in image.shape[:2])
            patches.append(image[row : row + 224, col : col + 224])
        else:
            patches.append(rng.integers(0, 256, (224, 224, 3), dtype=np.uint8))
    return np.stack(patches)


def worst(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """The relative L2 error of the worst vector."""
    a, b = found.astype(np.float64), expected.astype(np.float64)
    return float((np.linalg.norm(a - b, axis=1) / np.linalg.norm(b, axis=1)).max())


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds, seconds of processor of all threads, and what `work` gave."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    torch.cuda.synchronize()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def memory() -> str:
    """Of this process in torch, and of the card in all."""
    free, total = torch.cuda.mem_get_info()
    used = (torch.cuda.memory_allocated(), torch.cuda.memory_reserved(), total - free)
    return "allocated {} MiB, reserved {} MiB, card in use {} MiB".format(
        *(each >> 20 for each in used)
    )


def outcome(name: str, work: Callable[[], Any]) -> Any:
    """What `work` gives; what it raises is printed, and gives None."""
    started = time.perf_counter()
    try:
        result = work()
    except Exception as error:  # noqa: BLE001 -- the error is what is looked for
        kinds = " < ".join(each.__qualname__ for each in type(error).__mro__[:-2])
        text = " ".join(str(error).split())[:160]
        say(f"- {name}: {kinds} after {time.perf_counter() - started:.3f} s: {text}")
        return None
    say(f"- {name}: well after {time.perf_counter() - started:.3f} s")
    return result


def forget() -> None:
    """Drop all extractors."""
    loading.forget_extractors()

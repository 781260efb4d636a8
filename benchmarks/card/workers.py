"""Whole feature workers on one card, with a local Redis and local files: images a second."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.card.inputs import ROOT, WORK, say, weights
from benchmarks.inputs import photo

WORKERS = (1, 2, 4)
POINTS = 25
#: by the photos' width and height: images for each number of workers
IMAGES = {(4000, 3000): (900, 1600, 2400), (800, 600): (2500, 4000, 6000)}
#: different photos of a size
PHOTOS = 4
LIMIT_S = 100


def measure() -> None:
    """Print a row for each number of workers and size of photos."""
    from spacer_tasks.demo.services import redis_server

    folder = WORK / "workers"
    folder.mkdir(exist_ok=True, parents=True)
    spec = {"class_path": "efficientnet", "data_locations": {"weights": _file(weights())}}
    with redis_server() as redis:
        os.environ |= {
            "SPACER_BROKER_URL": redis.url,
            "SPACER_RESULTS_PREFIX": str(folder / "results"),
            "SPACER_DEVICE": "cuda",
            "SPACER_LOG_LEVEL": "WARNING",
            "SPACER_WARM_EXTRACTOR": json.dumps(spec),
        }
        say(
            "| workers | pixels | images a second | patches a second | GPU busy | all cores busy"
            " | processor an image |\n|---|---|---|---|---|---|---|"
        )
        for turn, count in enumerate(WORKERS):
            with _workers(count, folder) as running:
                for size, images in IMAGES.items():
                    _row(running, size, images[turn], spec, folder / f"{count}-{size[0]}")


def _row(
    workers: list[int], size: tuple[int, int], images: int, spec: dict[str, Any], folder: Path
) -> None:
    sources = _photos(size)
    folder.mkdir()
    before = _processor_s(workers)
    with _watched() as watch:
        _send(sources, size, images, spec, folder)
        end = time.time() + LIMIT_S
        while time.time() < end and len(list(folder.iterdir())) < images:
            time.sleep(0.3)
    used = _processor_s(workers) - before
    times = sorted(path.stat().st_mtime for path in folder.iterdir())
    # without the time in which workers begin and end
    low, high = times[len(times) // 10], times[9 * len(times) // 10]
    rate = 0.8 * len(times) / (high - low)
    gpu, cores = watch.between(low, high)
    missing = f" ({images - len(times)} missing)" if len(times) < images else ""
    say(
        f"| {len(workers)} | {size[0]} x {size[1]} | {rate:.0f}{missing} | {POINTS * rate:.0f} |"
        f" {gpu:.0f} % | {cores:.0f} % | {1000 * used / len(times):.0f} ms |"
    )


@contextmanager
def _workers(count: int, folder: Path) -> Iterator[list[int]]:
    """Workers that are ready; their processes."""
    from spacer_tasks.app import app
    from spacer_tasks.demo.processes import process

    names = [f"w{number}@card" for number in range(count)]
    with ExitStack() as stack:
        started = [
            stack.enter_context(
                process(
                    [sys.executable, "-m", "workers.feature_worker", f"--hostname={name}"],
                    log_path=folder / f"{count}-{name}.log",
                    cwd=ROOT,
                    ready=lambda: True,
                )
            )
            for name in names
        ]
        while len(app.control.ping(names, timeout=1.0) or []) < count:
            pass
        yield [each.pid for each in started]


def _send(
    sources: list[Path], size: tuple[int, int], images: int, spec: dict[str, Any], folder: Path
) -> None:
    from spacer_tasks.tasks import extract_features

    rng = np.random.default_rng(5)
    for number in range(images):
        cols, rows = (rng.integers(0, side, POINTS).tolist() for side in size)
        message = {
            "job_token": str(number),
            "extractor": spec,
            "image_loc": _file(sources[number % PHOTOS]),
            "feature_loc": _file(folder / str(number)),
            "rowcols": [list(point) for point in zip(rows, cols, strict=True)],
        }
        extract_features.apply_async([message], ignore_result=True)


def _photos(size: tuple[int, int]) -> list[Path]:
    paths = [WORK / f"{size[0]}-{number}.jpg" for number in range(PHOTOS)]
    if not paths[-1].exists():
        picture = photo(size)
        for number, path in enumerate(paths):
            picture.rotate(90 * 2 * (number % 2)).transpose(Image.Transpose(number // 2)).save(
                path, quality=92
            )
    return paths


def _file(path: Path) -> dict[str, Any]:
    return {"storage_type": "filesystem", "key": str(path), "bucket_name": None}


def _processor_s(pids: list[int]) -> float:
    ticks = 0
    for pid in pids:
        # after the name, which may hold blanks
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@dataclass
class _Watch:
    """What nvidia-smi and the system say: when, the GPU's use in percent, idle and all ticks."""

    seen: list[tuple[float, float, int, int]] = field(default_factory=list)

    def between(self, low: float, high: float) -> tuple[float, float]:
        """The use of the GPU and of all cores, in percent."""
        some = [each for each in self.seen if low <= each[0] <= high]
        idle, ticks = (some[-1][at] - some[0][at] for at in (2, 3))
        return float(np.mean([each[1] for each in some])), 100 * (1 - idle / ticks)


@contextmanager
def _watched() -> Iterator[_Watch]:
    watch = _Watch()
    fields = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200"]
    smi = subprocess.Popen(["nvidia-smi", *fields], stdout=subprocess.PIPE, text=True)

    def look() -> None:
        assert smi.stdout
        for line in smi.stdout:
            ticks = list(map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:9]))
            watch.seen.append((time.time(), float(line), ticks[3] + ticks[4], sum(ticks)))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield watch
    finally:
        smi.terminate()
        watcher.join()

"""Whether a photo's decoding leaves other threads running.

    python -m benchmarks.decoding

Beside each piece of work another thread runs Python as fast as it can. If the work held Python's
lock (the GIL), that thread would get next to nothing; if not, as much processor time as the work.
So the ratio does not depend on what else the machine does.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from io import BytesIO
from threading import Event, Thread

import numpy as np

from benchmarks.inputs import photo as make_photo
from spacer_tasks.extractors import cut_patches, load_image, load_pixels

REPEATS = 15
#: a pattern that takes `re` about 0.3 s
SLOW_TEXT = "a" * 24 + "b"


def share(work: Callable[[], object]) -> float:
    """Processor time of another thread for each second of the work's."""
    ran = worked = 0.0

    def timed() -> None:
        nonlocal worked
        started = time.thread_time()
        work()
        worked += time.thread_time() - started
        done.set()

    for _ in range(REPEATS):
        done = Event()
        thread = Thread(target=timed)
        thread.start()
        started = time.thread_time()
        while not done.is_set():
            pass
        ran += time.thread_time() - started
        thread.join()
    return ran / worked


def main() -> None:
    """Print a table."""
    stream = BytesIO()
    make_photo().save(stream, "JPEG", quality=92)
    photo = stream.getvalue()
    pixels = load_pixels(photo, "photo")
    points = [(29 * i, 37 * i) for i in range(100)]
    cases: dict[str, Callable[[], object]] = {
        "decode a JPEG of 12 megapixels, simplejpeg": lambda: load_pixels(photo, "photo"),
        "the same, Pillow": lambda: np.asarray(load_image(photo, "photo")),
        "cut 100 patches": lambda: cut_patches(pixels, points, 224),
        "for comparison, SHA-256 (does not hold the lock)": lambda: hashlib.sha256(photo * 20),
        "for comparison, a regular expression (holds it)": lambda: re.match(r"(a+)+$", SLOW_TEXT),
    }
    print("| work | processor time of another thread, over the work's |\n|---|---|")
    for name, work in cases.items():
        print(f"| {name} | {share(work):.2f} |", flush=True)


if __name__ == "__main__":
    main()

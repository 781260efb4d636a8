"""What the first run on a card must check, part by part.

    python -m benchmarks.card [PART ...]

prints figures, not judgements: docs/gpu.md says what they should be. Each part has a process of its
own, since some leave the device unusable in theirs; one that fails does not stop the others.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.card import agreement, failures, loading, rates, workers
from benchmarks.card.inputs import ROOT, WEIGHTS, say

#: by name: the part, and the seconds after which it is ended
PARTS: dict[str, tuple[Callable[[], None], int]] = {
    "about": (loading.about, 60),
    "loading": (loading.load, 120),
    "first-pass": (loading.first_pass, 120),
    "agreement": (agreement.compare, 120),
    # in another process: features must be the same
    "agreement-again": (agreement.compare, 120),
    "precisions": (agreement.precisions, 120),
    "layouts": (rates.layouts, 300),
    "passes": (rates.passes, 120),
    "waiting": (rates.waiting, 60),
    "evicted": (loading.evicted, 120),
    "beside": (failures.beside, 300),
    "assertion": (failures.assertion, 60),
    "hung": (failures.hung, 60),
    "workers": (workers.measure, 400),
}
#: for the parts' own use, in processes of theirs
INNER: dict[str, Callable[[], None]] = {"hold": failures.hold, "small": failures.small}


def main() -> None:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.card", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--here", choices=[*PARTS, *INNER], help=argparse.SUPPRESS)
    parser.add_argument("--weights", help="EfficientNet-B0's; random ones without it")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        say("Not measured: this machine has no CUDA device.")
        return
    if options.here:
        (INNER.get(options.here) or PARTS[options.here][0])()
        return
    if unknown := [name for name in options.parts if name not in PARTS]:
        parser.error(f"no part {unknown[0]}, expected {', '.join(PARTS)}")
    if options.weights:
        os.environ[WEIGHTS] = str(Path(options.weights).resolve(strict=True))
    for name in options.parts or PARTS:
        _, limit_s = PARTS[name]
        say(f"## {name}")
        started = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.card", "--here", name],
            cwd=ROOT,
            start_new_session=True,
        )
        try:
            ended = f"exit code {child.wait(limit_s)}"
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            ended = "was ended"
        say(f"({name}: {ended} after {time.perf_counter() - started:.1f} s)\n")


if __name__ == "__main__":
    main()

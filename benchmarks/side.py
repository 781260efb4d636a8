"""One side of the comparison, in its own process and virtual environment.

    python side.py reference|project THREADS

reads a JSON line per case (`{"task_name": …, "job_token": …, …}`), runs it (`times` times, one
after the other), and prints a JSON line: the median seconds of one and the run's peak memory.
It imports nothing of the other side.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any


def runner(side: str) -> Callable[[str, dict[str, Any]], Any]:
    """The function that runs a task's message on this side."""
    if side == "project":
        from spacer_tasks import operations

        return lambda name, message: getattr(operations, name)(message)
    from spacer import messages, tasks

    classes = {
        "extract_features": messages.ExtractFeaturesMsg,
        "train_classifier": messages.TrainClassifierMsg,
        "classify_features": messages.ClassifyFeaturesMsg,
    }
    return lambda name, message: getattr(tasks, name)(classes[name].deserialize(message))


def main(side: str, threads: int) -> None:
    """Answer cases until standard input ends."""
    # a script's own folder comes first: its queue.py is not the standard library's
    sys.path.pop(0)
    import torch

    torch.set_num_threads(threads)
    run = runner(side)
    answers = sys.stdout
    # a library's own prints must not be taken for answers
    sys.stdout = sys.stderr
    for line in sys.stdin:
        message = json.loads(line)
        forget_peak()
        held = peak_mib()
        name, times = message.pop("task_name"), message.pop("times", 1)
        seconds = []
        for _ in range(times):
            started = time.perf_counter()
            answer = run(name, message)
            seconds.append(time.perf_counter() - started)
        peak = peak_mib()
        result = {
            "seconds": median(seconds),
            "held_mib": held,
            "peak_mib": peak,
            "acc": getattr(answer, "acc", None),
        }
        print(json.dumps(result), file=answers, flush=True)


def forget_peak() -> None:
    """Let the peak start at what is in memory now. Where the system cannot, it is the process's."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_mib() -> float:
    """The most memory that this process has held since `forget_peak`."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

"""A model tried in a process of its own, with little memory and time, before a worker loads it.

A runtime for networks is not made for files of strangers: it may divide by what a file says, or
make a large tensor of a small one while it simplifies the graph. What ends or fills a process ends
or fills that one. `main` runs there; it imports the runtime and nothing of torch.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from spacer_tasks.exceptions import WeightsError

#: bytes beside the model that a trial may take: a run on `PATCHES` patches takes most of it
MEMORY = 300 * 2**20
#: times the file is in memory while a runtime reads it and brings its weights into its own order
COPIES = 6
#: seconds of a core beside those for the size of the file: imports take 1, a patch less than 1
SECONDS = 3
#: bytes of a file for which one second more is given
BYTES_A_SECOND = 20 * 2**20
#: seconds on the clock for one of a core: workers share their cores
PATIENCE = 15
#: patches of the trial: as many as a run takes later
PATCHES = 4
SHOWN = 300
#: of a patch alone beside the same with others; half floats have three digits
MAX_RELATIVE_ERROR = 1e-3


def try_model(model: bytes, size: int, patches: int, name: str) -> None:
    """Load and run a model in a process of its own.

    Parameters
    ----------
    model
        Serialized; it takes patches as they are cut.
    size
        Rows and columns of a patch.
    patches
        How many it is tried with.
    name
        Which file, in errors.

    Raises
    ------
    WeightsError
        The runtime refuses it, ends, or takes more memory or time than a network of that size may.
    """
    memory = MEMORY + COPIES * len(model)
    seconds = SECONDS + len(model) // BYTES_A_SECOND
    command = [
        sys.executable,
        "-c",
        "from spacer_tasks.extractors.onnx_file.trial import main; main()",
        *map(str, (memory, seconds, size, patches)),
    ]
    took = f"{memory / 2**20:.0f} MB of memory and {seconds} s of a core"
    try:
        ended = subprocess.run(
            command,
            input=model,
            capture_output=True,
            timeout=PATIENCE * seconds,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
    except subprocess.TimeoutExpired:
        raise WeightsError(f"{name}: its network does not end; it may take {took}") from None
    answer: dict[str, Any] | None = None
    for line in ended.stdout.splitlines():
        try:
            answer = json.loads(line)
        except ValueError:
            continue
    if answer is not None and ended.returncode == 0:
        if reason := answer.get("error"):
            raise WeightsError(f"{name}: its network cannot be used: {reason}")
        return
    if ended.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise WeightsError(f"{name}: its network takes more than {took}")
    last = ended.stderr.decode(errors="replace").strip().splitlines()[-1:]
    raise WeightsError(
        f"{name}: the process that tried its network ended ({_ending(ended.returncode)};"
        f" {' '.join(last)[:SHOWN]}); it may take {took}"
    )


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def main() -> None:
    """Of the process: limits, then the model from standard input; an answer on standard output."""
    memory, seconds, size, patches = map(int, sys.argv[1:5])
    _end_with_parent()
    model = sys.stdin.buffer.read()
    import numpy as np

    from spacer_tasks.extractors.runtime.onnx_network import session_of

    _limit(memory, seconds)
    try:
        session = session_of(model, keep_memory=False)
        given = np.random.default_rng(0).integers(0, 256, (patches, size, size, 3), dtype=np.uint8)
        answer = {}
        if reason := _mixes(session, given):
            answer = {"error": reason}
    except MemoryError:
        answer = {"error": f"it takes more than {memory / 2**20:.0f} MB"}
    # the runtime has classes of its own for what it refuses
    except Exception as error:  # noqa: BLE001
        answer = {"error": str(error).partition("\n")[0][:SHOWN] or type(error).__name__}
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    sys.stdout.flush()
    # without what the runtime does at its end
    os._exit(0)


def _mixes(session: Any, given: Any) -> str | None:
    """Why what it gives is not something for each patch by itself."""
    import numpy as np

    name = session.get_inputs()[0].name
    together = session.run(None, {name: given})[0]
    if together.ndim < 2 or len(together) != len(given):
        return (
            f"it gives an array of the shape {together.shape} for {len(given)} patches, expected"
            f" {len(given)} vectors"
        )
    alone = session.run(None, {name: given[-1:]})[0].astype(np.float64)
    expected = together[-1:].astype(np.float64)
    # numbers that are not finite are found, and said, where features are made
    off = np.linalg.norm(np.nan_to_num(alone - expected))
    if off > MAX_RELATIVE_ERROR * np.linalg.norm(np.nan_to_num(expected)):
        return (
            "what it gives for a patch depends on the others in its pass; a network must compute"
            " each by itself"
        )
    return None


def _limit(memory: int, seconds: int) -> None:
    try:
        import resource
    except ImportError:
        # Windows: the time on the clock is what limits it there
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(used.ru_utime + used.ru_stime)
    resource.setrlimit(resource.RLIMIT_CPU, (spent + seconds, spent + seconds + 1))
    statm = Path("/proc/self/statm")
    if statm.exists():
        mapped = int(statm.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + memory, mapped + memory))


def _end_with_parent() -> None:
    """Where a worker is killed meanwhile, this ends too: it would run on until its limit."""
    parent = os.getppid()

    def watch() -> None:
        import time

        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

"""The two sides as running processes: this project, and the reference in its own environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "benchmarks"
REFERENCE = "pyspacer==0.14.0"


@dataclass
class Side:
    """A running side, and what it measured, by case.

    Attributes
    ----------
    seconds
        Of each run that was kept.
    held, peaks
        MiB that the process held before each of these, and at most while it ran.
    accuracy
        On the validation set, of trainings.
    """

    process: subprocess.Popen[str]
    seconds: dict[str, list[float]] = field(default_factory=dict)
    held: dict[str, list[float]] = field(default_factory=dict)
    peaks: dict[str, list[float]] = field(default_factory=dict)
    accuracy: dict[str, float] = field(default_factory=dict)

    def run(self, case: str, message: dict[str, Any], *, keep: bool) -> None:
        """Run a case once."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(message), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{case}: the process ended with {self.process.wait()}")
        answer = json.loads(line)
        if answer["acc"] is not None:
            self.accuracy[case] = answer["acc"]
        if keep:
            self.seconds.setdefault(case, []).append(answer["seconds"])
            self.held.setdefault(case, []).append(answer["held_mib"])
            self.peaks.setdefault(case, []).append(answer["peak_mib"])

    def median_seconds(self, case: str) -> float:
        """Of the runs that were kept."""
        return median(self.seconds[case])


def reference_python() -> Path:
    """The interpreter of the reference's own virtual environment, made at first use."""
    folder = CACHE / "reference-venv"
    python = folder / "bin" / "python"
    if not (folder / ".ready").exists():
        print(f"installing {REFERENCE} in a virtual environment of its own…", flush=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", REFERENCE], check=True)
        (folder / ".ready").touch()
    return python


def start(stack: ExitStack, name: str, python: Path, threads: int) -> Side:
    """Start a side's process."""
    # no more threads than asked for, in any library of either side
    limits = {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "OPENBLAS", "MKL")}
    process = stack.enter_context(
        subprocess.Popen(
            [python, ROOT / "benchmarks" / "side.py", name, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **limits},
        )
    )
    stack.callback(process.terminate)
    return Side(process)

"""Run both sides alternately and write the table to docs/benchmarks.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import caffe
from benchmarks.inputs import make_inputs
from benchmarks.queue import section
from benchmarks.training import BUCKET, make_training_cases
from spacer_tasks.demo.services import S3Server, s3_server

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "benchmarks"
REFERENCE = "pyspacer==0.14.0"
#: in the name of cases that take minutes: one run of each side
LARGE = "50,000"


@dataclass
class Side:
    """A running side, and what it measured: seconds by case."""

    process: subprocess.Popen[str]
    seconds: dict[str, list[float]] = field(default_factory=dict)
    accuracy: dict[str, float] = field(default_factory=dict)
    peak_mib: float = 0

    def run(self, case: str, message: dict[str, Any], *, keep: bool) -> None:
        """Run a case once."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(message), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{case}: the process ended with {self.process.wait()}")
        answer = json.loads(line)
        self.peak_mib = answer["peak_mib"]
        if answer["acc"] is not None:
            self.accuracy[case] = answer["acc"]
        if keep:
            self.seconds.setdefault(case, []).append(answer["seconds"])


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


def s3_environment(s3: S3Server) -> dict[str, str]:
    """By which both sides find the server."""
    return {
        "AWS_ENDPOINT_URL_S3": s3.endpoint_url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "SPACER_S3_ENDPOINT_URL": s3.endpoint_url,
        "SPACER_AWS_ACCESS_KEY_ID": s3.access_key,
        "SPACER_AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


def table(sides: dict[str, Side]) -> str:
    """The medians as a Markdown table."""
    reference, project = sides["reference"], sides["project"]
    lines = ["| work | reference | this project | ratio |", "|---|---|---|---|"]
    for case, seconds in project.seconds.items():
        ours, theirs = median(seconds), median(reference.seconds[case])
        lines.append(f"| {case} | {_time(theirs)} | {_time(ours)} | **{theirs / ours:.1f}×** |")
    return "\n".join(lines)


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds:.2f} s"


def main() -> None:
    """Parse, run, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="runs of each case and side")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", default="", help="cases whose name has this text")
    parser.add_argument("--skip", help="leave out cases whose name has this text; the page says so")
    parser.add_argument("--write", type=Path, default=ROOT / "docs" / "benchmarks.md")
    options = parser.parse_args()
    with ExitStack() as stack:
        s3 = None
        # only trainings read from there
        if not options.only.startswith(("extract", "classify")):
            s3 = stack.enter_context(s3_server())
            s3.create_bucket(BUCKET)
            os.environ.update(s3_environment(s3))
        cases = make_inputs(CACHE / "inputs") | make_training_cases(CACHE / "inputs", s3)
        sides = {
            "reference": start(stack, "reference", reference_python(), options.threads),
            "project": start(stack, "project", Path(sys.executable), options.threads),
        }
        for case, message in cases.items():
            if options.only not in case or (options.skip and options.skip in case):
                continue
            # the first run of each side loads what later runs share, and is not counted
            first = LARGE in case
            for repeat in range(first, 2 if first else options.repeats + 1):
                for name, side in sides.items():
                    text = json.dumps(message).replace("{side}", name)
                    side.run(case, json.loads(text), keep=repeat > 0)
            print(f"{case}: done", flush=True)
    text = table(sides)
    print(text)
    accuracies = "; ".join(
        f"{case}: {sides['reference'].accuracy[case]:.3f} and {accuracy:.3f}"
        for case, accuracy in sides["project"].accuracy.items()
    )
    peaks = ", ".join(f"{name} {side.peak_mib:.0f} MiB" for name, side in sides.items())
    print(f"validation accuracy (reference and project): {accuracies}\npeak memory: {peaks}")
    if not options.only:
        queue = section()
        legacy = caffe.section(options.threads)
        print(queue, legacy, sep="\n")
        options.write.write_text(
            "# Benchmarks\n\n"
            "`make bench` runs this project and the reference"
            f" ({REFERENCE}) alternately, in one run, on the same files, and writes this page.\n"
            "Each side is one process that stays; the first run of each case is not counted.\n\n"
            f"{date.today():%d %B %Y}, {options.threads} threads, {platform.machine()},"
            f" medians of {options.repeats} (of {LARGE} labels one run). The photo has 12"
            " megapixels; features have 1280 numbers, classes have a long tail, 10 epochs."
            f"\n\n{text}\n\n"
            f"Validation accuracy (reference and this project): {accuracies}.\n"
            + (f"Left out in this run: {options.skip}.\n" if options.skip else "")
            + f"Peak memory of the process over all cases: {peaks}.\n\n{queue}\n{legacy}"
        )


if __name__ == "__main__":
    main()

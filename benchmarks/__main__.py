"""Run both sides alternately, then this project's other measurements; write docs/benchmarks.md.

A part alone: `python -m benchmarks --parts limits`; `--help` names them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.goals import LIMITS, goal_of
from benchmarks.inputs import make_inputs
from benchmarks.servers import s3_environment
from benchmarks.sides import CACHE, REFERENCE, ROOT, Side, reference_python, start
from benchmarks.training import BUCKET, make_training_cases
from spacer_tasks.demo.services import s3_server

#: in the name of cases that take minutes: one run of each side
LARGE = "50,000"
#: classifications in one run
QUICK = 20
#: seconds between one side's run and the other's
REST_S = 0.5
PARTS = ("beside", "limits", "bulk", "caffe", "queue", "overhead", "growth", "gpu")


def table(sides: dict[str, Side]) -> str:
    """The medians as a Markdown table, with the goals and the peak of each case's memory."""
    reference, project = sides["reference"], sides["project"]
    lines = [
        "| work | reference | this project | ratio | goal | memory, reference | memory, project |",
        "|---|---|---|---|---|---|---|",
    ]
    for case in project.seconds:
        theirs, ours = reference.median_seconds(case), project.median_seconds(case)
        goal = goal_of(case)
        wanted = f"{goal:g}×" if goal else ""
        peaks = " | ".join(f"{max(side.peaks[case]):.0f} MiB" for side in (reference, project))
        lines.append(
            f"| {case} | {_time(theirs)} | {_time(ours)} | **{theirs / ours:.1f}×** | {wanted}"
            f" | {peaks} |"
        )
    return "\n".join(lines)


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds:.2f} s"


def beside(options: argparse.Namespace) -> str:
    """Both sides, alternately, on the same files."""
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
            if case.startswith("classify"):
                # milliseconds each, so several in a row, as a worker classifies them
                message["times"] = QUICK
            _both(sides, case, message, options.repeats)
            print(f"{case}: done", flush=True)
    accuracies = "; ".join(
        f"{case}: {sides['reference'].accuracy[case]:.3f} and {accuracy:.3f}"
        for case, accuracy in sides["project"].accuracy.items()
    )
    return (
        f"Medians of {options.repeats} (of {LARGE} labels one run; of classifications, each run is"
        f" the median of {QUICK} in a row). The photo has 12 megapixels;"
        " features have 1280 numbers, classes have a long tail, 10 epochs. Memory is the most that"
        f" the process held during a run.\n\n{table(sides)}\n\n"
        f"Validation accuracy (reference and this project): {accuracies}.\n"
        + (f"Left out in this run: {options.skip}.\n" if options.skip else "")
        + f"\n{LIMITS}"
    )


def _both(sides: dict[str, Side], case: str, message: dict[str, Any], repeats: int) -> None:
    # the first run of each side loads what later runs share, and is not counted
    first = LARGE in case
    for repeat in range(first, 2 if first else repeats + 1):
        for name, side in sides.items():
            # the other side's threads wait busily for their next product, on cores that this needs
            time.sleep(REST_S)
            text = json.dumps(message).replace("{side}", name)
            side.run(case, json.loads(text), keep=repeat > 0)


def part(name: str, options: argparse.Namespace) -> str:
    """One part of the page. Each is imported when it is asked for: settings are read once."""
    if name == "beside":
        return beside(options)
    if name == "growth":
        from benchmarks import growth, plots

        return growth.section(options.threads, options.write.with_suffix(".svg"), plots.draw)
    if name == "limits":
        from benchmarks import limits

        return limits.section(options.threads)
    if name == "bulk":
        from benchmarks import bulk

        return bulk.section()
    if name == "caffe":
        from benchmarks import caffe

        return caffe.section(options.threads)
    if name == "queue":
        return _alone("queue")
    if name == "gpu":
        return f"## On a GPU\n\n{_alone('gpu')}"
    from benchmarks import overhead

    return overhead.section()


def _alone(name: str) -> str:
    """What a benchmark prints in a process of its own: settings are read once."""
    command = [sys.executable, "-m", f"benchmarks.{name}"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout


def main() -> None:
    """Parse, run, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="runs of each case and side")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", default="", help="cases whose name has this text; not written")
    parser.add_argument("--skip", help="leave out cases whose name has this text; the page says so")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="not written")
    parser.add_argument("--write", type=Path, default=ROOT / "docs" / "benchmarks.md")
    options = parser.parse_args()
    # builds of OpenBLAS are told here and there to use older kernels; both sides use their own
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(name, None)
    CACHE.mkdir(parents=True, exist_ok=True)
    sections = []
    for name in options.parts:
        sections.append(part(name, options))
        print(sections[-1], flush=True)
    if not options.only and tuple(options.parts) == PARTS:
        options.write.write_text(
            "# Benchmarks\n\n"
            "`make bench` runs this project and the reference"
            f" ({REFERENCE}) alternately, in one run, on the same files, and writes this page.\n"
            "Each side is one process that stays; the first run of each case is not counted.\n\n"
            f"{date.today():%d %B %Y}, {options.threads} threads, {platform.machine()}."
            " " + "\n".join(sections)
        )


if __name__ == "__main__":
    main()

"""Where a feature worker holds the interpreter's lock, for each image.

    python -m benchmarks.lock

One worker on private Redis and S3 servers extracts small photos with the dummy extractor, whose
own part is left out: what remains is what a worker does in Python beside decoding and the network.
py-spy looks 200 times a second at who holds the lock. The processor time is the process's own, so
it does not depend on what else the machine does; the shares hardly do.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.sides import ROOT

#: pieces of a frame's path, and what it is for; the first that any frame of a stack has
PARTS = (
    ("extractors/dummy.py", None),
    ("extractors/images/", "decoding and cutting"),
    ("data_classes/features.py", "feature file"),
    ("botocore/", "S3's client"),
    ("urllib3/", "S3's client"),
    ("spacer_tasks/results.py", "answer"),
    ("spacer_tasks/messages/", "message"),
    ("execution/lock", "lock of the task"),
    ("spacer_tasks/execution/", "around the task"),
    ("celery/", "Celery and Kombu"),
    ("kombu/", "Celery and Kombu"),
    ("redis/", "Celery and Kombu"),
)
HZ = 200
BUCKET = "lock"
#: seconds for all tasks of a measurement
LIMIT_S = 600


def part_of(stack: str) -> str | None:
    """What a stack of py-spy's is for; None for the dummy extractor's own."""
    return next((part for piece, part in PARTS if piece in stack), "the rest")


def _send(count: int, points: int, repeat: int) -> None:
    from spacer_tasks.tasks import extract_features

    def location(key: str) -> dict[str, str]:
        return {"storage_type": "s3", "bucket_name": BUCKET, "key": key}

    results = [
        extract_features.delay(
            {
                "job_token": "1",
                "extractor": {"class_path": "dummy", "feature_dim": 1280},
                "rowcols": [[7 * i % 400, 13 * i % 600] for i in range(points)],
                "image_loc": location("a.jpg"),
                "feature_loc": location(f"{repeat}/{number}.featurevector"),
            }
        )
        for number in range(count)
    ]
    for each in results:
        each.get(timeout=LIMIT_S)


def _processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _watched(pid: int, folder: Path, work: Any) -> Counter[str]:
    """Looks in which each stack held the lock, while the work is done."""
    found = folder / "stacks"
    spy = subprocess.Popen(
        [
            *(str(Path(sys.executable).with_name("py-spy")), "record", "--gil", "--full-filenames"),
            *("--rate", str(HZ), "--format", "raw", "--output", str(found), "--pid", str(pid)),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        work()
    finally:
        spy.send_signal(signal.SIGINT)
        spy.wait()
    stacks: Counter[str] = Counter()
    for line in found.read_text().splitlines():
        stack, _, looks = line.rpartition(" ")
        stacks[stack] += int(looks)
    return stacks


def measure(images: int, repeats: int, points: int, concurrency: int, top: int) -> None:
    """Print the parts, by the medians of some repeats."""
    from benchmarks.inputs import photo
    from benchmarks.servers import s3_environment
    from spacer_tasks.demo.processes import process
    from spacer_tasks.demo.services import redis_server, s3_server

    with ExitStack() as stack:
        redis, s3 = stack.enter_context(redis_server()), stack.enter_context(s3_server())
        s3.create_bucket(BUCKET)
        os.environ |= {
            **s3_environment(s3),
            "SPACER_BROKER_URL": redis.url,
            "SPACER_RESULTS_PREFIX": f"s3://{BUCKET}/results",
            "SPACER_DEVICE": "cpu",
        }
        from spacer_tasks.app import app

        jpeg = BytesIO()
        photo().resize((800, 600)).save(jpeg, "JPEG", quality=92)
        s3.client().put_object(Bucket=BUCKET, Key="a.jpg", Body=jpeg.getvalue())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        worker = stack.enter_context(
            process(
                [
                    *(sys.executable, "-m", "workers.feature_worker", "--hostname=lock@bench"),
                    f"--concurrency={concurrency}",
                ],
                log_path=folder / "worker.log",
                cwd=ROOT,
                ready=lambda: bool(app.control.ping(["lock@bench"], timeout=0.5)),
                ready_timeout_s=180,
            )
        )
        _send(20, points, -1)
        shares: list[Counter[str]] = []
        inside: Counter[str] = Counter()
        processor_ms = []
        for repeat in range(repeats):
            before = _processor_s(worker.pid)
            stacks = _watched(
                worker.pid, folder, lambda repeat=repeat: _send(images, points, repeat)
            )
            processor_ms.append((_processor_s(worker.pid) - before) * 1000 / images)
            parts: Counter[str] = Counter()
            for each, looks in stacks.items():
                if (part := part_of(each)) is not None:
                    parts[part] += looks
                    for function in {frame.rpartition(":")[0] for frame in each.split(";")}:
                        inside[function] += looks
            shares.append(parts)
        print(
            f"{images} images of {points} points, {concurrency} at a time, medians of {repeats}:"
            f" {median(processor_ms):.1f} ms of processor time an image, the dummy's own included\n"
        )
        print("| part | share of the time in which the lock is held |\n|---|---|")
        names = {name for parts in shares for name in parts}
        medians = {
            name: median(parts[name] / sum(parts.values()) for parts in shares) for name in names
        }
        for name, share in sorted(medians.items(), key=lambda item: -item[1]):
            print(f"| {name} | {share:.0%} |")
        held = sum(sum(parts.values()) for parts in shares)
        for name, count in inside.most_common(top):
            print(f"{count / held:6.1%} {name})")


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lock", description=__doc__)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--points", type=int, default=25)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--top", type=int, default=0, help="functions to name, with what they call")
    measure(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()

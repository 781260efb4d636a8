"""Tasks that pile up: what each costs in Redis, and how fast a caller sends them."""

from __future__ import annotations

import time
from dataclasses import dataclass

from redis import Redis

from spacer_tasks.broker.queue_depths import queue_depths
from spacer_tasks.tasks import extract_features
from tests.support.photos import DUMMY

#: of Redis's memory for an extraction of ten points that waits; what docs/reliability.md states
BYTES_A_TASK = 4096
POINTS = [[row, col] for row in (10, 30) for col in range(10, 60, 10)]


@dataclass(frozen=True)
class BackPressure:
    """What so many waiting tasks cost.

    Attributes
    ----------
    last_share
        Tasks a second in the last tenth of all sends, by those in the first.
    depth_s
        Seconds that `queue_depths` took with all of them waiting.
    """

    tasks: int
    bytes_a_task: float
    sent_a_second: float
    last_share: float
    depth_seen: int
    depth_s: float


def measure_back_pressure(redis: Redis, tasks: int) -> BackPressure:
    """Send extractions that nobody takes; they are left in their queue."""

    def used() -> int:
        return int(redis.info("memory")["used_memory"])

    before = used()
    tenth = max(1, tasks // 10)
    marks = [time.monotonic()]
    for number in range(tasks):
        extract_features.delay(
            {
                "job_token": f"image-{number}",
                "extractor": DUMMY.model_dump(),
                "rowcols": POINTS,
                "image_loc": _at(f"images/2026/survey-17/transect-3/IMG_{number:06}.JPG"),
                "feature_loc": _at(f"features/2026/survey-17/transect-3/IMG_{number:06}.npz"),
            }
        )
        if (number + 1) % tenth == 0:
            marks.append(time.monotonic())
    seconds = time.monotonic() - marks[0]
    started = time.monotonic()
    depth = queue_depths()["features"].waiting
    return BackPressure(
        tasks,
        (used() - before) / tasks,
        tasks / seconds,
        (marks[1] - marks[0]) / (marks[-1] - marks[-2]),
        depth,
        time.monotonic() - started,
    )


def _at(key: str) -> dict[str, str]:
    return {"storage_type": "s3", "bucket_name": "reef-surveys", "key": key}

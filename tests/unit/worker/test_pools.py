"""How many tasks a feature worker with a GPU takes at once, unless the operator says otherwise."""

from __future__ import annotations

import pytest

from spacer_tasks.worker.pools import POOLS, for_gpu


@pytest.mark.parametrize(
    ("cores", "connections", "expected"),
    # three a core, bounded by memory and by connections to S3, never fewer than on a CPU
    [(1, 32, 3), (4, 32, 12), (16, 32, 32), (64, 100, 32), (8, 10, 10)],
)
def test_threads_follow_the_cores(cores: int, connections: int, expected: int) -> None:
    pool = for_gpu(POOLS["features"], cores, connections)
    assert pool.concurrency == expected
    assert pool.queues == POOLS["features"].queues
    assert pool.concurrency <= connections

"""What one worker of each pool is: its queues, its Celery pool, its time-outs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from spacer_tasks.broker.contract import (
    CLASSIFY,
    FEATURES,
    FEATURES_HIGH,
    PRIORITY_STEPS,
    TRAINING,
    TRAINING_HIGH,
)
from spacer_tasks.broker.whereabouts import Keys

PoolName = Literal["features", "training", "classify"]
HOUR = 3600
#: threads of a feature worker with a GPU, for each core: while some wait for S3 or the GPU, others
#: decode; with three, cores or GPU are 95 % busy (benchmarks/busy_device.py)
GPU_THREADS_A_CORE = 3
#: each holds a decoded photo
MAX_GPU_THREADS = 32
#: seconds for Redis to accept a connection
CONNECT_S = 4


@dataclass(frozen=True)
class Pool:
    """One kind of worker.

    Attributes
    ----------
    queues
        What it takes from, unless the operator says otherwise; the first gives the pool its name.
    implementation
        Celery's pool. Feature workers use threads: CUDA does not survive a fork, and one network
        serves all threads while the main thread still answers `inspect` and Flower.
    concurrency
        Tasks at once, unless the operator says otherwise.
    visibility_timeout
        Seconds after which Redis gives a taken task to another worker. It must be longer than the
        slowest task of the pool; the transport would apply one value to all queues, so each pool
        has its own set of unacknowledged tasks.
    """

    queues: tuple[str, ...]
    implementation: Literal["threads", "prefork"]
    concurrency: int
    visibility_timeout: int

    @property
    def queue(self) -> str:
        """The queue that the pool is named for."""
        return self.queues[0]


POOLS: dict[PoolName, Pool] = {
    # a feature task takes seconds; ten minutes leave room for a cold download of weights
    "features": Pool((FEATURES, FEATURES_HIGH), "threads", 2, 600),
    # a training takes hours
    "training": Pool((TRAINING, TRAINING_HIGH), "prefork", 1, 24 * HOUR),
    "classify": Pool((CLASSIFY,), "prefork", 2, 600),
}


def for_gpu(pool: Pool, cores: int, connections: int) -> Pool:
    """The pool of feature workers with a GPU: as many tasks at once as keep cores or GPU busy.

    Parameters
    ----------
    connections
        To S3, of one process: no more tasks than these.
    """
    threads = max(pool.concurrency, min(GPU_THREADS_A_CORE * cores, MAX_GPU_THREADS))
    return replace(pool, concurrency=min(threads, connections))


def transport_options(pool: Pool) -> dict[str, Any]:
    """Redis transport options that keep one pool's unacknowledged tasks apart, and let a worker
    wait where a caller must not.
    """
    keys = Keys.of(pool.queue)
    return {
        "socket_timeout": None,
        "socket_connect_timeout": CONNECT_S,
        # Kombu's own: a worker tries again, a caller does not
        "max_retries": None,
        "priority_steps": list(PRIORITY_STEPS),
        "visibility_timeout": pool.visibility_timeout,
        "unacked_key": keys.unacked,
        "unacked_index_key": keys.index,
        "unacked_mutex_key": f"unacked_mutex.{pool.queue}",
    }

"""What a site's own tests need: a queue in this process, and a worker that computes nothing.

    with eager_queue():  # each task is run when it is sent
    with eager_queue(FakeWorker()):  # each is answered by rules when it is sent
    with waiting_queue() as queue:  # each waits until queue.run(…)
    with memory_results():  # answers under a results prefix in memory

docs/testing.md says how, and what is not as with real servers.
"""

from __future__ import annotations

from spacer_tasks.testing.broker import SentTask
from spacer_tasks.testing.fake_worker import FakeWorker, NoRuleError
from spacer_tasks.testing.fixed_answers import fixed_accuracy, fixed_features, fixed_scores
from spacer_tasks.testing.in_process import InProcessWorker
from spacer_tasks.testing.memory_results import memory_results
from spacer_tasks.testing.queue import MemoryQueue, eager_queue, waiting_queue

__all__ = [
    "FakeWorker",
    "InProcessWorker",
    "MemoryQueue",
    "NoRuleError",
    "SentTask",
    "eager_queue",
    "fixed_accuracy",
    "fixed_features",
    "fixed_scores",
    "memory_results",
    "waiting_queue",
]

"""CoralNet's queue class for its own tests: in this process, with no server and no workers.

    SPACER_QUEUE_CHOICE = "spacer_tasks.testing.coralnet.InProcessQueue"
    INSTALLED_APPS = [..., "spacer_tasks.django"]

With the app, jobs are in the test's database and go when its transaction is rolled back.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from typing import Any

from spacer_tasks.coralnet import CeleryQueue
from spacer_tasks.data_classes.job_state import JobState
from spacer_tasks.jobs.outcomes import Outcome, outcomes
from spacer_tasks.jobs.records import JobRecord
from spacer_tasks.jobs.redis_records import RedisRecords
from spacer_tasks.jobs.states import Seen
from spacer_tasks.testing.in_process import InProcessWorker
from spacer_tasks.testing.memory_records import RECORDS
from spacer_tasks.testing.memory_results import kept_results
from spacer_tasks.testing.queue import MemoryQueue, in_place_of_redis, opened
from spacer_tasks.testing.reference_mocks import mocks_of_the_reference


class InProcessQueue(CeleryQueue):
    """Runs each job while it is submitted, so that its answer can be collected at once.

    What a test puts in place of a function of `spacer.tasks` (`mock.patch`) is called instead of
    ours. Jobs are kept where `CeleryQueue` keeps them if that is the site's database; otherwise in
    this process, where `RECORDS.clear()` forgets them between tests.
    """

    def __init__(self) -> None:
        super().__init__()
        if isinstance(self._records, RedisRecords):
            self._records = RECORDS

    def submit_job(self, job: Any, job_id: int, spec_level: Any) -> None:
        """As `CeleryQueue.submit_job`; returns when the job is answered.

        Inside an `eager_queue` its worker runs the job, a `FakeWorker` perhaps; inside a
        `waiting_queue` it waits there.
        """
        with ExitStack() as stack:
            if not opened():
                # kept: another instance collects it
                stack.enter_context(kept_results())
                stack.enter_context(in_place_of_redis(MemoryQueue(InProcessWorker())))
            stack.enter_context(mocks_of_the_reference())
            super().submit_job(job, job_id, spec_level)

    def collect_jobs(self, jobs: Sequence[JobRecord]) -> tuple[list[Any], list[str]]:
        """As `CeleryQueue.collect_jobs`."""
        with nullcontext() if opened() else kept_results():
            return super().collect_jobs(jobs)

    def _outcomes(self, jobs: Sequence[JobRecord]) -> list[Outcome]:
        return outcomes(self._records, jobs, _look)


def _look(records: Sequence[JobRecord], now: float) -> list[Seen]:
    """Every job was run, but for those that wait in a `waiting_queue`."""
    queue = opened()
    waiting = {task.task_id for task in queue.waiting} if queue else set()
    return [
        Seen(
            record,
            JobState.QUEUED if record.task_id in waiting else JobState.SUCCEEDED,
            # long enough ago that its answer is not waited for
            finished_at=time.time() - 86400,
        )
        for record in records
    ]

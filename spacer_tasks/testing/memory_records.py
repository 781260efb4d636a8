"""Records of CoralNet's jobs in this process's memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from spacer_tasks.jobs.records import JobRecord


class MemoryRecords:
    """Records of jobs in this process, each with its job; see `JobRecords`."""

    def __init__(self) -> None:
        self._waiting: dict[str, JobRecord] = {}
        self._collected: dict[str, JobRecord] = {}
        self._jobs: dict[str, bytes] = {}

    def save(self, record: JobRecord, job: bytes | None) -> None:
        """See `JobRecords`."""
        self._waiting[record.task_id] = record
        if job is not None:
            self._jobs[record.task_id] = job

    def remove(self, task_id: str) -> None:
        """See `JobRecords`."""
        self._waiting.pop(task_id, None)
        self._jobs.pop(task_id, None)

    def waiting(self) -> list[JobRecord]:
        """See `JobRecords`."""
        return sorted(self._waiting.values(), key=lambda record: record.submitted_at)

    def claim(self, task_ids: Sequence[str]) -> set[str]:
        """See `JobRecords`."""
        claimed = {task_id: self._waiting.pop(task_id, None) for task_id in task_ids}
        mine = {task_id: record for task_id, record in claimed.items() if record}
        self._collected.update(mine)
        return set(mine)

    def put_back(self, job_ids: Iterable[int]) -> list[JobRecord]:
        """See `JobRecords`."""
        wanted = set(job_ids)
        found = [record for record in self._collected.values() if record.job_id in wanted]
        for record in found:
            self._waiting[record.task_id] = self._collected.pop(record.task_id)
        return found

    def missing(self, task_ids: Sequence[str], seen: Sequence[str]) -> dict[str, float]:
        """See `JobRecords`. None is ever missing here."""
        return {}

    def jobs(self, task_ids: Sequence[str]) -> dict[str, bytes]:
        """See `JobRecords`."""
        return {task_id: self._jobs[task_id] for task_id in task_ids if task_id in self._jobs}

    def clear(self) -> None:
        """Forget all jobs, between tests."""
        for kept in (self._waiting, self._collected, self._jobs):
            kept.clear()


#: where the jobs of a site without `spacer_tasks.django` are
RECORDS = MemoryRecords()

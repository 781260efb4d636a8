"""Records of jobs in the site's database. docs/coralnet.md says when to keep them there."""

from __future__ import annotations

import logging
import time
import uuid
import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import Any

from django.conf import settings
from django.db import router, transaction

from spacer_tasks.django.models import SentJob, SentJobQuerySet
from spacer_tasks.jobs.records import KEEP_COLLECTED_S, JobRecord

logger = logging.getLogger(__name__)

#: records deleted at one claim, so that none takes long; more than a slice's, so that they keep up
FORGOTTEN_AT_ONCE = 500
#: the columns of a `JobRecord`
COLUMNS = ("task_id", "job_id", "task_name", "queue", "submitted_at")


class DjangoRecords:
    """Records in the site's database. Every method raises what Django's database raises.

    A record that is saved in a transaction is there for other processes when that is committed.
    """

    def save(self, record: JobRecord, job: bytes | None) -> None:
        """See `JobRecords`; two queries."""
        fields: dict[str, Any] = record.model_dump(exclude={"task_id"})
        fields["submitted_at"] = _moment(record.submitted_at)
        if job is not None:
            fields["job"] = zlib.compress(job, 1)
        # a large job's is saved before it is stored, and again after
        if not _jobs().filter(task_id=record.task_id).update(**fields):
            _jobs().create(task_id=record.task_id, **fields)

    def remove(self, task_id: str) -> None:
        """See `JobRecords`."""
        _jobs().filter(task_id=task_id).delete()

    def waiting(self) -> list[JobRecord]:
        """See `JobRecords`."""
        return _read(_jobs().waiting())

    def claim(self, task_ids: Sequence[str]) -> set[str]:
        """See `JobRecords`; four queries at most.

        The claim is one transaction: if it fails, nothing is claimed.
        """
        now, mark = time.time(), uuid.uuid4()
        _forget(now - KEEP_COLLECTED_S)
        wanted = _jobs().filter(task_id__in=task_ids)
        with transaction.atomic(using=wanted.db):
            # of two collectors, the database lets the second see what the first has done
            wanted.waiting().update(collected_at=_moment(now), claim=mark, missing_since=None)
            return set(wanted.filter(claim=mark).values_list("task_id", flat=True))

    def put_back(self, job_ids: Iterable[int]) -> list[JobRecord]:
        """See `JobRecords`; two queries."""
        wanted = _jobs().filter(job_id__in=set(job_ids))
        found = _read(wanted.collected())
        _jobs().filter(task_id__in=[record.task_id for record in found]).hand_out_again()
        return found

    def missing(self, task_ids: Sequence[str], seen: Sequence[str]) -> dict[str, float]:
        """See `JobRecords`; three queries."""
        _jobs().filter(task_id__in=seen).exclude(missing_since=None).update(missing_since=None)
        gone = _jobs().filter(task_id__in=task_ids)
        gone.filter(missing_since=None).update(missing_since=_moment(time.time()))
        since = gone.values_list("task_id", "missing_since")
        return {task_id: _seconds(moment) for task_id, moment in since}

    def jobs(self, task_ids: Sequence[str]) -> dict[str, bytes]:
        """See `JobRecords`; one query."""
        sent = _jobs().filter(task_id__in=task_ids).exclude(job=None)
        found = {}
        for task_id, data in sent.values_list("task_id", "job"):
            try:
                found[task_id] = zlib.decompress(data)
            except zlib.error as error:
                # one damaged job is not the others' trouble
                logger.error("the job of task %s in the database is none: %s", task_id, error)  # noqa: TRY400 -- the text says it all
        return found


def _jobs() -> SentJobQuerySet:
    # where a site reads from replicas: they may not know yet what was just written
    return SentJob.objects.using(router.db_for_write(SentJob))


def _read(jobs: SentJobQuerySet) -> list[JobRecord]:
    rows = jobs.order_by("submitted_at", "pk").values(*COLUMNS)
    return [JobRecord(**row | {"submitted_at": _seconds(row["submitted_at"])}) for row in rows]


def _forget(before: float) -> None:
    old = _jobs().filter(collected_at__lt=_moment(before))
    keys = list(old.values_list("pk", flat=True)[:FORGOTTEN_AT_ONCE])
    if keys:
        # still collected: one may have been put back in between
        old.filter(pk__in=keys).delete()


def _moment(seconds: float) -> datetime:
    """As the database takes it; a site without time zones gets UTC too, which has no summer."""
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment if settings.USE_TZ else moment.replace(tzinfo=None)


def _seconds(moment: datetime) -> float:
    known = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return known.timestamp()

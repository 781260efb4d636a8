"""What records promise, wherever they are kept: the same cases for Redis and for a database."""

from __future__ import annotations

import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from unittest import mock

from django.db import connections
from django.test import SimpleTestCase, TransactionTestCase, override_settings
from django.test.utils import CaptureQueriesContext

from spacer_tasks.broker.client import broker_client
from spacer_tasks.coralnet import job_records
from spacer_tasks.django.models import SentJob
from spacer_tasks.django.records import DjangoRecords
from spacer_tasks.jobs.records import KEEP_COLLECTED_S, JobRecord, JobRecords
from spacer_tasks.jobs.redis_records import JOBS, RedisRecords


def saved(records: JobRecords, *job_ids: int, job: bytes | None = b"{}") -> list[str]:
    """Records of jobs, each sent a second after the one before; their task ids."""
    for second, job_id in enumerate(job_ids):
        record = JobRecord(
            task_id=f"task-{job_id}",
            job_id=job_id,
            task_name="classify_features",
            queue="classify",
            submitted_at=time.time() - 100 + second,
        )
        records.save(record, job)
    return [f"task-{job_id}" for job_id in job_ids]


if TYPE_CHECKING:
    Cases = unittest.TestCase
else:
    # mixed into a TestCase below: as one itself it would be run, and has no records
    Cases = object


class RecordsCases(Cases):
    """One case each; `records` says which are meant."""

    records: JobRecords

    def damage(self, task_id: str) -> None:
        raise NotImplementedError

    def waiting(self) -> list[int]:
        return [record.job_id for record in self.records.waiting()]

    def test_waiting_ones_come_oldest_first(self) -> None:
        before = time.time()
        saved(self.records, 7, 3, 5)
        self.assertEqual(self.waiting(), [7, 3, 5])
        first = self.records.waiting()[0]
        self.assertTrue(before - 101 < first.submitted_at < time.time() - 99)
        self.assertEqual(str(first), "job 7 (classify_features, task task-7)")

    def test_one_that_could_not_be_sent_is_forgotten(self) -> None:
        saved(self.records, 1, 2)
        self.records.remove("task-1")
        self.assertEqual(self.waiting(), [2])
        self.assertEqual(self.records.jobs(["task-1"]), {})

    def test_a_claim_tells_what_it_took_and_nothing_else(self) -> None:
        saved(self.records, 1, 2, 3)
        self.assertEqual(self.records.claim(["task-1", "none"]), {"task-1"})
        self.assertEqual(self.records.claim(["task-1", "task-2"]), {"task-2"})
        self.assertEqual(self.records.claim([]), set())
        self.assertEqual(self.waiting(), [3])

    def test_of_many_collectors_at_once_each_job_goes_to_one(self) -> None:
        ids = saved(self.records, *range(40))

        def claim(_: int) -> set[str]:
            try:
                return type(self.records)().claim(ids)
            finally:
                connections.close_all()

        with ThreadPoolExecutor(8) as collectors:
            claimed = [name for each in collectors.map(claim, range(8)) for name in each]
        self.assertEqual(sorted(claimed), sorted(ids))

    def test_collected_ones_wait_again_in_their_old_place(self) -> None:
        ids = saved(self.records, 1, 2, 3)
        self.records.claim(ids[:2])
        found = self.records.put_back([1, 3, 9])
        self.assertEqual([record.job_id for record in found], [1])
        self.assertEqual(self.waiting(), [1, 3])
        self.assertEqual(self.records.claim(ids), {"task-1", "task-3"})

    def test_missing_since_is_the_first_look_until_it_is_seen(self) -> None:
        saved(self.records, 1, 2)
        first = self.records.missing(["task-1"], [])
        self.assertTrue(time.time() - 60 < first["task-1"] <= time.time())
        time.sleep(0.01)
        second = self.records.missing(["task-1", "task-2"], [])
        self.assertEqual(second["task-1"], first["task-1"])
        self.assertGreater(second["task-2"], first["task-1"])
        self.assertEqual(self.records.missing([], ["task-1"]), {})
        self.assertGreater(self.records.missing(["task-1"], [])["task-1"], first["task-1"])

    def test_one_that_was_missing_before_it_was_collected_is_not_any_more(self) -> None:
        saved(self.records, 1)
        first = self.records.missing(["task-1"], [])
        time.sleep(0.01)
        self.records.claim(["task-1"])
        self.records.put_back([1])
        self.assertGreater(self.records.missing(["task-1"], [])["task-1"], first["task-1"])

    def test_the_job_is_kept_as_it_was_sent_where_it_was_not_stored(self) -> None:
        saved(self.records, 1, job='{"a": "é"}'.encode())
        saved(self.records, 2, job=None)
        self.assertEqual(
            self.records.jobs(["task-1", "task-2", "none"]), {"task-1": '{"a": "é"}'.encode()}
        )
        self.assertEqual(self.records.jobs([]), {})

    def test_one_that_is_saved_again_is_still_one(self) -> None:
        saved(self.records, 1, 2, job=b"{}")
        # as a job that took minutes to store: its time is now a later one
        saved(self.records, 3, 1, job=b'{"now": 1}')
        saved(self.records, 3, 1, job=None)
        self.assertEqual(sorted(self.waiting()), [1, 2, 3])
        self.assertEqual(self.waiting()[-1], 1)
        self.assertEqual(
            self.records.jobs(["task-1", "task-2"]), {"task-1": b'{"now": 1}', "task-2": b"{}"}
        )

    def test_a_damaged_job_is_left_out_and_said(self) -> None:
        saved(self.records, 1, 2)
        self.damage("task-1")
        with self.assertLogs("spacer_tasks", "ERROR") as said:
            self.assertEqual(self.records.jobs(["task-1", "task-2"]), {"task-2": b"{}"})
        self.assertIn("task-1", said.output[0])

    def test_those_collected_long_ago_are_forgotten_a_part_at_a_time(self) -> None:
        ids = saved(self.records, 1, 2, 3)
        self.records.claim(ids[:2])
        now = time.time()
        with (
            mock.patch.object(time, "time", return_value=now + KEEP_COLLECTED_S + 60),
            mock.patch("spacer_tasks.django.records.FORGOTTEN_AT_ONCE", 1),
        ):
            self.records.claim(ids[2:])
            self.records.claim([])
        self.assertEqual([found.job_id for found in self.records.put_back([1, 2, 3])], [3])


class RedisRecordsTests(RecordsCases, SimpleTestCase):
    def setUp(self) -> None:
        self.records = RedisRecords()
        broker_client().flushdb()

    def damage(self, task_id: str) -> None:
        broker_client().hset(JOBS, task_id, b"no zlib")


class DjangoRecordsTests(RecordsCases, TransactionTestCase):
    def setUp(self) -> None:
        self.records = DjangoRecords()

    def damage(self, task_id: str) -> None:
        SentJob.objects.filter(task_id=task_id).update(job=b"no zlib")

    def test_they_are_what_the_queue_class_takes_where_the_app_is_installed(self) -> None:
        self.assertIsInstance(job_records(), DjangoRecords)
        with self.modify_settings(INSTALLED_APPS={"remove": "spacer_tasks.django"}):
            self.assertIsInstance(job_records(), RedisRecords)

    def test_a_slice_costs_as_many_queries_as_one_job(self) -> None:
        ids = saved(self.records, *range(202))
        one, another, hundred, others = ids[:1], ids[1:2], ids[2:102], ids[102:]

        def queries(name: str, *arguments: Any) -> int:
            with CaptureQueriesContext(connections["default"]) as captured:
                getattr(self.records, name)(*arguments)
            return len(captured)

        self.assertEqual(
            queries("missing", one, another), queries("missing", hundred, others), "missing"
        )
        self.assertEqual(queries("jobs", one), queries("jobs", hundred), "jobs")
        self.assertEqual(queries("claim", one), queries("claim", hundred), "claim")

    def test_a_claim_that_the_database_breaks_off_is_not_made(self) -> None:
        ids = saved(self.records, 1)
        connection = connections["default"]

        def breaks_off(execute: Any, sql: str, *rest: Any) -> Any:
            if sql.startswith("SELECT") and '"claim"' in sql:
                raise OSError("cut off")
            return execute(sql, *rest)

        with connection.execute_wrapper(breaks_off), self.assertRaisesMessage(OSError, "cut off"):
            self.records.claim(ids)
        self.assertEqual(self.waiting(), [1])

    @override_settings(USE_TZ=False)
    def test_a_site_without_time_zones_keeps_the_same_times(self) -> None:
        self.test_waiting_ones_come_oldest_first()
        self.assertIsNone(SentJob.objects.get(job_id=7).submitted_at.tzinfo)
        now = time.time()
        since = self.records.missing(["task-7"], [])["task-7"]
        self.assertTrue(now - 1e-3 <= since <= time.time())

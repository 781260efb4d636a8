"""CoralNet's queue class with its records in the database, when Redis loses all that it held."""

from __future__ import annotations

import json
import time
from typing import Any
from unittest import mock

from django.db import connection, connections
from django.test import TestCase, TransactionTestCase
from django.test.utils import CaptureQueriesContext

from spacer_tasks import storage
from spacer_tasks.broker.client import broker_client
from spacer_tasks.coralnet import CeleryQueue, job_records, stuck_jobs
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import StorageError
from spacer_tasks.jobs.records import JobRecord
from spacer_tasks.results import message_location, store_answer


def classification(token: str) -> dict[str, Any]:
    """A job of the reference."""
    location = {"storage_type": "filesystem", "key": "a", "bucket_name": None}
    task = {"job_token": token, "feature_loc": location, "classifier_loc": location}
    return {"task_name": "classify_features", "tasks": [task]}


def wire(answer: Any) -> dict[str, Any]:
    """The JSON of the reference's answer, or of ours where it is not installed."""
    data: dict[str, Any] = answer.to_wire() if hasattr(answer, "to_wire") else answer.serialize()
    return data


class WipedRedisTests(TestCase):
    """In a transaction, which other threads' connections would not see."""

    def setUp(self) -> None:
        broker_client().flushdb()

    def test_jobs_that_redis_lost_come_back_as_failed(self) -> None:
        queue = CeleryQueue()
        for job_id in (1, 2):
            queue.submit_job(classification(str(job_id)), job_id, "medium")
        broker_client().flushdb()
        # SPACER_LOST_AFTER_S
        time.sleep(0.4)
        jobs = queue.get_collectable_jobs()
        self.assertEqual([job.job_id for job in jobs], [1, 2])
        self.assertEqual(queue.collect_jobs(jobs), ([], ["MISSING", "MISSING"]))
        time.sleep(0.1)
        returned, statuses = queue.collect_jobs(jobs)
        self.assertEqual(statuses, ["LOST", "LOST"])
        for job_id, answer in zip((1, 2), map(wire, returned), strict=True):
            self.assertFalse(answer["ok"])
            self.assertEqual(answer["original_job"], classification(str(job_id)))
            self.assertIn(f"JobLostError: job {job_id} (task ", answer["error_message"])
        self.assertEqual(queue.get_collectable_jobs(), [])

    def test_a_large_job_is_sent_by_location_and_known_when_it_is_lost(self) -> None:
        queue = CeleryQueue()
        job = classification("x" * 100_000)
        queue.submit_job(job, 1, "medium")
        (record,) = queue.get_collectable_jobs()
        (message,) = broker_client().lrange(record.queue, 0, -1)
        self.assertLess(len(message), 10_000)
        self.assertEqual(json.loads(storage.load(message_location(record.task_id))), job)
        broker_client().flushdb()
        time.sleep(0.4)
        self.assertEqual(queue.collect_jobs([record]), ([], ["MISSING"]))
        time.sleep(0.1)
        ((answer,), statuses) = queue.collect_jobs([record])
        self.assertEqual(statuses, ["LOST"])
        self.assertEqual(wire(answer)["original_job"], job)

    def test_a_job_that_cannot_be_sent_leaves_no_record(self) -> None:
        with self.assertRaisesMessage(Exception, "'extract'"):
            CeleryQueue().submit_job({"task_name": "extract", "tasks": []}, 1, "medium")
        self.assertEqual(CeleryQueue().get_collectable_jobs(), [])


class CollectionTests(TestCase):
    """What a collection costs the database, and which jobs are told to be stuck."""

    def setUp(self) -> None:
        broker_client().flushdb()

    def test_fifty_finished_jobs_take_fewer_than_thirty_queries(self) -> None:
        for job_id in range(50):
            CeleryQueue().submit_job(classification(str(job_id)), job_id, "medium")
        for record in CeleryQueue().get_collectable_jobs():
            answer = {
                "original_job": classification(str(record.job_id)),
                "ok": False,
                "results": None,
                "error_message": "ValueError: x",
            }
            store_answer(record.task_id, "spacer_tasks.process_job", None, answer=answer)
        # as workers leave it: taken from its queue, its state said
        for record in CeleryQueue().get_collectable_jobs():
            state = {"status": "SUCCESS", "result": {}, "task_id": record.task_id}
            broker_client().set(f"celery-task-meta-{record.task_id}", json.dumps(state))
        broker_client().delete("classify")
        with CaptureQueriesContext(connection) as queries:
            queue = CeleryQueue()
            returned, statuses = queue.collect_jobs(queue.get_collectable_jobs())
        self.assertEqual(statuses, ["SUCCEEDED"] * 50)
        self.assertEqual(len(returned), 50)
        self.assertLess(len(queries), 30)

    def test_jobs_that_wait_for_long_are_stuck_by_their_level_s_hours(self) -> None:
        def sent(job_id: int, hours_ago: float, queue: str = "training") -> None:
            moment = time.time() - hours_ago * 3600
            job_records().save(
                JobRecord(
                    task_id=f"task-{job_id}",
                    job_id=job_id,
                    task_name="train_classifier",
                    queue=queue,
                    submitted_at=moment,
                ),
                b"{}",
            )

        def stuck(**options: float) -> list[int]:
            return [record.job_id for record in stuck_jobs(**options)]

        sent(1, 71)
        sent(2, 73)
        sent(3, 100)
        sent(4, 191, "training.high")
        sent(5, 193, "training.high")
        self.assertEqual(stuck(), [5, 3, 2])
        # what yesterday's report told is not told again
        self.assertEqual(stuck(report_every_h=24), [5, 2])
        self.assertEqual(stuck(hours=80, high_hours=190), [5, 4, 3])
        job_records().claim(["task-3", "task-5"])
        self.assertEqual(stuck(), [2])


class BrokenDatabaseTests(TransactionTestCase):
    """Outside a transaction, which an error of the database would break."""

    def test_why_a_job_was_not_sent_is_told_where_its_record_cannot_be_forgotten(self) -> None:
        def breaks_off(execute: Any, sql: str, *rest: Any) -> Any:
            if sql.startswith("DELETE"):
                raise OSError("cut off")
            return execute(sql, *rest)

        job, nowhere = classification("x" * 100_000), DataLocation.parse(f"{__file__}/a")
        with (
            mock.patch("spacer_tasks.coralnet.message_location", return_value=nowhere),
            connections["default"].execute_wrapper(breaks_off),
            self.assertRaisesMessage(StorageError, str(nowhere)),
        ):
            CeleryQueue().submit_job(job, 1, "medium")
        self.assertEqual(CeleryQueue().get_collectable_jobs(), [])

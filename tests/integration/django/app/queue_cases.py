"""CoralNet's queue class with its records in the database, when Redis loses all that it held."""

from __future__ import annotations

import json
import time
from typing import Any
from unittest import mock

from django.db import connections
from django.test import TestCase, TransactionTestCase

from spacer_tasks import storage
from spacer_tasks.broker.client import broker_client
from spacer_tasks.coralnet import CeleryQueue
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import StorageError
from spacer_tasks.results import message_location


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

"""CoralNet's queue class for tests, with its jobs in the database; no server is asked anything."""

from __future__ import annotations

import socket
from typing import Any
from unittest import mock

from celery import Celery
from django.test import TestCase, override_settings
from queue_cases import classification, wire

from spacer_tasks import classify_features, find_answer, load_answer
from spacer_tasks.config.settings import get_settings
from spacer_tasks.django.models import SentJob
from spacer_tasks.django.records import DjangoRecords
from spacer_tasks.exceptions import FeatureFileError, StorageUnavailableError
from spacer_tasks.testing import FakeWorker, eager_queue, fixed_scores, waiting_queue
from spacer_tasks.testing.coralnet import InProcessQueue


class InProcessTests(TestCase):
    def setUp(self) -> None:
        refused = mock.patch.object(socket.socket, "connect", side_effect=AssertionError)
        refused.start()
        self.addCleanup(refused.stop)
        self.worker = FakeWorker()
        self.worker.answers(classify_features, fixed_scores(["a"], [1.0], points=[(1, 2)]))
        opened = eager_queue(self.worker)
        self.queue = opened.__enter__()
        self.addCleanup(opened.__exit__, None, None, None)

    def collected(self) -> tuple[list[Any], list[str]]:
        queue = InProcessQueue()
        return queue.collect_jobs(queue.get_collectable_jobs())

    def test_a_job_is_in_the_database_until_it_is_collected(self) -> None:
        InProcessQueue().submit_job(classification("1"), 7, "medium")
        self.assertEqual(SentJob.objects.get().job_id, 7)
        self.assertEqual([record.job_id for record in DjangoRecords().waiting()], [7])
        ((answer,), statuses) = self.collected()
        self.assertEqual(statuses, ["SUCCEEDED"])
        # the reference's answer has tuples
        self.assertEqual(list(map(tuple, wire(answer)["results"][0]["scores"])), [(1, 2, [1.0])])
        self.assertEqual(self.collected(), ([], []))

    def test_a_job_that_is_left_goes_with_the_test_s_transaction(self) -> None:
        self.assertFalse(SentJob.objects.exists())
        InProcessQueue().submit_job(classification("1"), 1, "medium")

    def test_a_job_that_is_left_goes_with_the_test_s_transaction_too(self) -> None:
        self.test_a_job_that_is_left_goes_with_the_test_s_transaction()

    def test_a_job_that_fails(self) -> None:
        self.worker.answers(classify_features, FeatureFileError("a: damaged"))
        InProcessQueue().submit_job(classification("1"), 1, "medium")
        ((answer,), statuses) = self.collected()
        self.assertEqual(statuses, ["SUCCEEDED"])
        self.assertTrue(wire(answer)["error_message"].endswith("FeatureFileError: a: damaged"))

    def test_a_storage_that_stays_away(self) -> None:
        self.worker.answers(classify_features, StorageUnavailableError("503"))
        InProcessQueue().submit_job(classification("1"), 1, "medium")
        ((answer,), statuses) = self.collected()
        self.assertEqual(statuses, ["SUCCEEDED"])
        self.assertEqual(wire(answer)["original_job"], classification("1"))
        # it was tried again, under the same id
        self.assertGreater(len(self.queue.sent), 1)
        self.assertEqual(len({task.task_id for task in self.queue.sent}), 1)

    def test_a_callback_of_the_site_s(self) -> None:
        called: list[Any] = []
        site = Celery("site", set_as_current=False)
        site.conf.task_default_queue = "site"

        @site.task(name="site.scored", shared=False)
        def scored(result: Any, image: int) -> None:
            called.append((load_answer(result)["classes"], image))

        @site.task(name="site.failed", shared=False)
        def failed(task_id: str, image: int) -> None:
            found = find_answer(task_id)
            called.append((found and found.error and found.error.kind, image))

        for _ in range(2):
            classify_features.apply_async(
                classification("1")["tasks"], link=scored.s(5), link_error=failed.s(6)
            )
            self.worker.answers(classify_features, FeatureFileError("a: damaged"))
        self.assertEqual(called, [(["a"], 5), ("input", 6)])

    def test_settings_of_a_test_are_read(self) -> None:
        with override_settings(SPACER={"MAX_POINTS_PER_IMAGE": 5}):
            self.assertEqual(get_settings().max_points_per_image, 5)
        self.assertNotEqual(get_settings().max_points_per_image, 5)


class WaitingTests(TestCase):
    def test_jobs_wait(self) -> None:
        worker = FakeWorker()
        worker.answers(classify_features, fixed_scores(["a"], [1.0], points=[(1, 2)]))
        with waiting_queue() as sent:
            queue = InProcessQueue()
            queue.submit_job(classification("1"), 1, "medium")
            self.assertEqual(queue.collect_jobs(queue.get_collectable_jobs()), ([], ["QUEUED"]))
            sent.run(worker)
            self.assertEqual(queue.collect_jobs(queue.get_collectable_jobs())[1], ["SUCCEEDED"])

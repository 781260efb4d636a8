"""The site's own tests: its views and callbacks, with no Redis, no S3 and nothing that computes."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.test import TestCase

from reef.models import Photo
from spacer_tasks import classify_image, extract_features, process_job
from spacer_tasks.exceptions import ImageError
from spacer_tasks.testing import FakeWorker, MemoryQueue, eager_queue, fixed_features, waiting_queue


def extraction() -> dict[str, Any]:
    place = {"storage_type": "s3", "bucket_name": "reef"}
    return {
        "job_token": "1",
        "extractor": {
            "class_path": "efficientnet",
            "data_locations": {"weights": place | {"key": "w"}},
        },
        "rowcols": [[3, 4], [5, 6]],
        "image_loc": place | {"key": "a.jpg"},
        "feature_loc": place | {"key": "a.features"},
    }


class PhotoTests(TestCase):
    def setUp(self) -> None:
        self.worker = FakeWorker()
        self.worker.answers(extract_features, fixed_features())
        queue = eager_queue(self.worker)
        self.queue: MemoryQueue = queue.__enter__()
        self.addCleanup(queue.__exit__, None, None, None)

    def post(self, path: str, data: Any) -> Any:
        return self.client.post(path, json.dumps(data), content_type="application/json")

    def photo(self, path: str = "/photos/", data: Any = None) -> Photo:
        sent = self.post(path, data or extraction()).json()
        return Photo.objects.get(pk=sent["photo"])

    def test_a_photo_is_sent_and_its_answer_kept(self) -> None:
        photo = self.photo()
        self.assertEqual(photo.state, "done")
        self.assertEqual(photo.answer, {"extractor_loaded_remotely": False, "runtime": 0.0})
        first, callback = self.queue.sent
        self.assertEqual(first.message["rowcols"], [[3, 4], [5, 6]])
        self.assertEqual(first.task_id, photo.task_id)
        # where the site's worker finds it
        self.assertEqual((callback.name, callback.queue), ("reef.tasks.image_done", "site"))

    def test_a_photo_that_fails_says_why(self) -> None:
        self.worker.answers(extract_features, ImageError("a.jpg: not an image"))
        photo = self.photo()
        self.assertEqual((photo.state, photo.reason), ("failed", "input: a.jpg: not an image"))

    def test_a_large_job(self) -> None:
        job = {"task_name": "extract_features", "tasks": [extraction()] * 300}
        photo = self.photo("/jobs/", job)
        self.assertEqual(len(photo.answer["results"]), 300)
        self.assertEqual(photo.answer["original_job"], job)
        self.assertEqual(self.queue.sent[0].name, process_job.name)

    def test_a_wrong_message_is_refused_in_the_view(self) -> None:
        answer = self.post("/questions/", extraction())
        self.assertEqual(answer.status_code, 400)
        self.assertIn("classifier_loc", answer.json()["error"])
        self.assertEqual(self.queue.sent, [])

    def test_nothing_that_computes_is_there(self) -> None:
        self.photo()
        self.assertFalse({"torch", "numpy", "sklearn", "PIL", "boto3"} & set(sys.modules))


class WaitingTests(TestCase):
    def test_a_photo_waits_for_a_worker(self) -> None:
        with waiting_queue() as queue:
            self.client.post("/photos/", json.dumps(extraction()), content_type="application/json")
            self.assertEqual(Photo.objects.get().state, "sent")
            worker = FakeWorker()
            worker.answers(extract_features, fixed_features())
            self.assertEqual(queue.run(worker), 2)
        self.assertEqual(Photo.objects.get().state, "done")
        self.assertEqual(queue.sent[0].name, extract_features.name)

    def test_a_question_waits_too(self) -> None:
        message = extraction()
        message["classifier_loc"] = message.pop("feature_loc")
        with waiting_queue() as queue:
            answer = self.client.post(
                "/questions/", json.dumps(message), content_type="application/json"
            )
            self.assertEqual([task.task_id for task in queue.waiting], [answer.json()["task_id"]])
            self.assertEqual(queue.waiting[0].name, classify_image.name)

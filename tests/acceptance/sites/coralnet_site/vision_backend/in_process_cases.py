"""The site's own tests of its contract, as CoralNet writes them: its test queue, and mocks of
functions of the reference.
"""

from __future__ import annotations

import json
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest import mock

from config.constants import SpacerJobSpec
from django.test import TestCase, override_settings
from jobs.models import Job
from PIL import Image, UnidentifiedImageError
from spacer.data_classes import DataLocation, ImageFeatures, ValResults
from spacer.exceptions import RowColumnMismatchError, URLDownloadError
from spacer.messages import ClassifyReturnMsg, ExtractFeaturesMsg

from spacer_tasks.exceptions import HashMismatchError
from spacer_tasks.tasks import extract_features
from spacer_tasks.testing import FakeWorker, eager_queue

from . import tasks
from .queues import BaseQueue, get_queue_class

NOTHING = "Jobs checked/collected: 0"
ONE = "Jobs checked/collected: 1 SUCCEEDED"


class SiteTest(TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.media = Path(folder.name)

    def at(self, name: str) -> dict[str, Any]:
        return {"storage_type": "filesystem", "key": str(self.media / name)}

    def extraction(self, name: str = "a", size: int = 64, grey: int = 0) -> dict[str, Any]:
        Image.new("RGB", (size, size), (grey, 100, 200)).save(self.media / f"{name}.png")
        return {
            "extractor": {
                "class_path": "spacer.extractors.base.DummyExtractor",
                "feature_dim": 16,
                "data_locations": {},
                "data_hashes": {},
            },
            "rowcols": [[10, 20], [30, 40]],
            "image_loc": self.at(f"{name}.png"),
            "feature_loc": self.at(f"{name}.npz"),
        }

    def training(self, sets: dict[str, Any]) -> dict[str, Any]:
        return {
            # as pyspacer 0.13 has it, which CoralNet pins, and 0.14 takes
            "trainer_name": "minibatch",
            "nbr_epochs": 1,
            "clf_type": "LR",
            "labels": sets,
            "previous_model_locs": [],
            "model_loc": self.at("robot.model"),
            "valresult_loc": self.at("robot.valresult"),
            "feature_cache_dir": "auto",
        }

    def trained(self) -> dict[str, Any]:
        """Where a classifier is, made by jobs of the site."""
        images = [self.extraction(name, grey=grey) for name, grey in (("x", 0), ("y", 250))]
        for image in images:
            tasks.submit("extract_features", image)
        labels = {json.dumps(each["feature_loc"]): [[10, 20, 1], [30, 40, 2]] for each in images}
        message = self.training(dict.fromkeys(("train", "ref", "val"), labels))
        job_id = tasks.submit("train_classifier", message, "high")
        self.assertEqual(tasks.collect(), "Jobs checked/collected: 3 SUCCEEDED")
        self.assertEqual(self.result_of(job_id), ("success", "TrainClassifierReturnMsg"))
        return self.at("robot.model")

    def result_of(self, job_id: int) -> tuple[str, str]:
        job = Job.objects.get(pk=job_id)
        self.assertLessEqual(job.handled, 1)
        return job.status, job.result_message


class QueueTest(SiteTest):
    def test_the_queue_class_is_one_of_the_site_s(self) -> None:
        self.assertTrue(issubclass(get_queue_class(), BaseQueue))

    def test_no_jobs(self) -> None:
        self.assertEqual(tasks.collect(), NOTHING)

    def test_a_job_is_collected_once(self) -> None:
        job_id = tasks.submit("extract_features", self.extraction())
        self.assertTrue((self.media / "a.npz").exists())
        self.assertEqual(tasks.collect(), ONE)
        self.assertEqual(self.result_of(job_id), ("success", "ExtractFeaturesReturnMsg"))
        self.assertEqual(tasks.collect(), NOTHING)

    def test_all_four_kinds_of_jobs(self) -> None:
        model = self.trained()
        features = {"feature_loc": self.at("x.npz"), "classifier_loc": model}
        image = {**self.extraction(), "classifier_loc": model}
        del image["feature_loc"]
        sent = [
            tasks.submit("classify_features", features),
            tasks.submit("classify_image", image),
        ]
        self.assertEqual(tasks.collect(), "Jobs checked/collected: 2 SUCCEEDED")
        for job_id in sent:
            self.assertEqual(self.result_of(job_id), ("success", "ClassifyReturnMsg"))

    def test_a_job_that_is_left_is_not_in_the_next_test(self) -> None:
        """With `test_no_jobs` and its twin below, in whatever order they are run."""
        job_id = tasks.submit("extract_features", self.extraction())
        # only what was sent here is there to be collected
        self.assertEqual([job.pk for job in Job.objects.all()], [job_id])

    def test_a_job_that_is_left_is_not_in_the_next_test_either(self) -> None:
        tasks.submit("extract_features", self.extraction())
        self.assertEqual(tasks.collect(), ONE)

    def test_points_that_are_there_twice_come_back_twice(self) -> None:
        points = [(40, 60), (50, 50), (50, 50)]
        labelled = [[row, col, 1 + index % 2] for index, (row, col) in enumerate(points)]
        for name in ("train", "ref", "val"):
            image = self.extraction(name)
            tasks.submit("extract_features", {**image, "rowcols": [list(each) for each in points]})
            features = ImageFeatures.load(DataLocation("filesystem", image["feature_loc"]["key"]))
            self.assertEqual([(each.row, each.col) for each in features.point_features], points)
        self.assertEqual(tasks.collect(), "Jobs checked/collected: 3 SUCCEEDED")
        message = self.training(
            {
                name: {json.dumps(self.at(f"{name}.npz")): labelled}
                for name in ("train", "ref", "val")
            }
        )
        tasks.submit("train_classifier", message)
        queue = get_queue_class()()
        ((result,), _) = queue.collect_jobs(queue.get_collectable_jobs())
        (task,) = result.original_job.tasks
        for name in ("train", "ref", "val"):
            (annotations,) = [task.labels[name][loc] for loc in task.labels[name].keys()]  # noqa: SIM118 -- the reference's class has no __iter__
            self.assertEqual([tuple(each[:2]) for each in annotations], points)
        self.assertEqual(len(ValResults.load(task.valresult_loc).gt), len(points))

    def test_the_level_of_a_job_is_what_the_queue_is_given(self) -> None:
        with mock.patch.object(get_queue_class(), "submit_job") as submitted:
            tasks.submit("extract_features", self.extraction(), "high")
        self.assertEqual(submitted.call_args_list[0].args[2], SpacerJobSpec.HIGH)
        self.assertEqual(tasks.collect(), NOTHING)

    def test_settings_of_a_test_apply_to_its_jobs(self) -> None:
        with override_settings(SPACER={"MAX_IMAGE_PIXELS": 100}):
            small = tasks.submit("extract_features", self.extraction(size=10))
            large = tasks.submit("extract_features", self.extraction(size=11))
        tasks.collect()
        self.assertIn("RowColumnInvalidError", self.result_of(small)[1])
        self.assertIn("spacer.exceptions.DataLimitError", self.result_of(large)[1])
        again = tasks.submit("extract_features", self.extraction())
        self.assertEqual(tasks.collect(), ONE)
        self.assertEqual(self.result_of(again)[0], "success")


class MockTest(SiteTest):
    def spacer_error(self, error: Exception) -> tuple[str, str]:
        def raise_error(*args: Any) -> None:
            raise error

        with mock.patch("spacer.tasks.extract_features", raise_error):
            job_id = tasks.submit("extract_features", self.extraction())
        tasks.collect()
        return self.result_of(job_id)

    def test_an_error_of_the_reference_s(self) -> None:
        status, message = self.spacer_error(RowColumnMismatchError("they don't match"))
        self.assertEqual(status, "failure")
        self.assertEqual(message, "spacer.exceptions.RowColumnMismatchError: they don't match")

    def test_errors_have_the_names_and_texts_that_they_were_raised_with(self) -> None:
        for error, expected in (
            (ValueError("A spacer error"), "ValueError: A spacer error"),
            (AssertionError(), "AssertionError"),
            (
                UnidentifiedImageError("cannot identify image file <image>"),
                "PIL.UnidentifiedImageError: cannot identify image file <image>",
            ),
            (
                URLDownloadError("Couldn't access URL", ValueError("Original error")),
                "spacer.exceptions.URLDownloadError: Couldn't access URL"
                " / Details - ValueError: Original error",
            ),
        ):
            with self.subTest(expected):
                self.assertEqual(self.spacer_error(error), ("failure", expected))

    def test_an_error_of_a_training(self) -> None:
        def raise_error(*args: Any) -> None:
            raise ValueError("A spacer error")

        labels = {json.dumps(self.at("x.npz")): [[10, 20, 1], [30, 40, 2]]}
        message = self.training(dict.fromkeys(("train", "ref", "val"), labels))
        with mock.patch("spacer.tasks.train_classifier", raise_error):
            job_id = tasks.submit("train_classifier", message)
        self.assertEqual(tasks.collect(), ONE)
        self.assertEqual(self.result_of(job_id), ("failure", "ValueError: A spacer error"))

    def test_a_mocked_function_is_given_the_reference_s_message(self) -> None:
        with mock.patch("spacer.tasks.extract_features") as mocked:
            mocked.side_effect = ZeroDivisionError("mocked")
            tasks.submit("extract_features", self.extraction())
        (given,) = mocked.call_args.args
        self.assertIsInstance(given, ExtractFeaturesMsg)
        self.assertEqual(given.rowcols, [(10, 20), (30, 40)])

    def test_a_mocked_answer(self) -> None:
        answer = ClassifyReturnMsg(1.0, [(10, 20, [0.25, 0.75])], [5, 6], True)
        task = {"feature_loc": self.at("none"), "classifier_loc": self.at("none")}
        with mock.patch("spacer.tasks.classify_features", return_value=answer):
            job_id = tasks.submit("classify_features", task)
        self.assertEqual(tasks.collect(), ONE)
        self.assertEqual(self.result_of(job_id), ("success", "ClassifyReturnMsg"))

    def test_an_image_behind_a_url_that_is_not_one(self) -> None:
        """By either of the functions that CoralNet's tests have replaced, earlier and now."""
        image = {**self.extraction(), "classifier_loc": self.trained()}
        del image["feature_loc"]
        image["image_loc"] = {"storage_type": "url", "key": "URL 1"}
        given = Image.new("RGB", (50, 50))

        def stream(*_: Any) -> BytesIO:
            written = BytesIO()
            given.save(written, "PNG")
            return written

        for replaced in (
            mock.patch("spacer.tasks.load_image", return_value=given),
            mock.patch("spacer.storage.URLStorage.load", stream),
        ):
            with self.subTest(replaced.attribute):
                with replaced:
                    job_id = tasks.submit("classify_image", image)
                self.assertEqual(tasks.collect(), ONE)
                self.assertEqual(self.result_of(job_id), ("success", "ClassifyReturnMsg"))

    def test_answers_whose_making_is_replaced_while_they_are_collected(self) -> None:
        def training(self: Any, acc: float, pc_accs: Any, ref_accs: Any, runtime: float) -> None:
            self.acc, self.pc_accs, self.ref_accs, self.runtime = 0.52, [], [0.39], 90

        def scores(
            self: Any, runtime: float, scores: Any, classes: Any, valid_rowcol: bool
        ) -> None:
            self.runtime, self.classes, self.valid_rowcol = runtime, classes, valid_rowcol
            self.scores = [(row, column, [0.8, 0.2]) for row, column, _ in scores]

        model = self.trained()
        labels = {json.dumps(self.at(name)): [[10, 20, 1], [30, 40, 2]] for name in ("x.npz",)}
        queue = get_queue_class()()
        tasks.submit(
            "train_classifier", self.training(dict.fromkeys(("train", "ref", "val"), labels))
        )
        with mock.patch("spacer.messages.TrainClassifierReturnMsg.__init__", training):
            ((result,), _) = queue.collect_jobs(queue.get_collectable_jobs())
        self.assertEqual((result.results[0].acc, result.results[0].runtime), (0.52, 90))
        classification = {"feature_loc": self.at("x.npz"), "classifier_loc": model}
        with mock.patch("spacer.messages.ClassifyReturnMsg.__init__", scores):
            tasks.submit("classify_features", classification)
            ((result,), _) = queue.collect_jobs(queue.get_collectable_jobs())
        self.assertEqual(result.results[0][(10, 20)], [0.8, 0.2])

    def test_a_fake_worker(self) -> None:
        worker = FakeWorker()
        worker.answers(extract_features, HashMismatchError("weights: other"))
        with eager_queue(worker):
            job_id = tasks.submit("extract_features", self.extraction())
            tasks.collect()
        status, message = self.result_of(job_id)
        self.assertEqual(status, "failure")
        self.assertEqual(message, "spacer.exceptions.HashMismatchError: weights: other")

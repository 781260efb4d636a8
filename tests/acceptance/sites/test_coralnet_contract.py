"""CoralNet's contract with its queue class, line by line.

A small Django project with CoralNet's pins and the reference drives `CeleryQueue`; the workers are
processes of their own, with the newest Celery and redis-py. The project is in `coralnet_site/`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from spacer_tasks import results, storage
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.processes import Process
from tests.support.checkout import CHECKOUT
from tests.support.environments.installed import coralnet_python, run, site_environment
from tests.support.photos import photo
from tests.support.redis.durable import DurableRedis, durable_redis
from tests.support.waiting import wait_until
from tests.support.workers import StartWorker

SITE = Path(__file__).parent / "coralnet_site"
DIM = 16


class Site:
    """A process of the site; a new one goes on where another ended."""

    def __init__(self, python: Path, env: dict[str, str], log: Path, features: Process) -> None:
        self._python, self._env, self._log, self._features = python, env, log, features
        self._process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self._python, "drive.py"],
            env=self._env,
            cwd=SITE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log.open("a"),
            text=True,
        )

    def __call__(self, name: str, *arguments: Any) -> Any:
        """What a function of drive.py answers."""
        answer = self.says(name, *arguments)
        assert answer, f"the site's process ended:\n{self.log()[-3000:]}"
        return json.loads(answer)

    def says(self, name: str, *arguments: Any) -> str:
        """The same as text; empty if the process ended, and a new one is started."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps([name, arguments]) + "\n")
        stdin.flush()
        answer = stdout.readline()
        if not answer:
            self.close()
            self._process = self._start()
        return answer

    def noticed(self) -> int:
        """How often the feature worker has said that it lost Redis."""
        return self._features.log_path.read_text().count("Connection to broker lost")

    def log(self) -> str:
        """What its processes wrote."""
        return self._log.read_text()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def finished(self, job_ids: list[int]) -> list[tuple[str, str]]:
        """Collect until each job is finished: status and message of each."""

        def done() -> bool:
            self("collect")
            jobs = self("jobs")
            return all(jobs[str(job_id)][0] in ("success", "failure") for job_id in job_ids)

        wait_until(done, 90, f"some of the jobs {job_ids} did not finish")
        jobs = self("jobs")
        assert all(jobs[str(job_id)][2] == 1 for job_id in job_ids), "handled more than once"
        return [tuple(jobs[str(job_id)][:2]) for job_id in job_ids]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DurableRedis]:
    with durable_redis(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="module")
def redis_url(redis: DurableRedis) -> str:
    """In place of the session's: this one is stopped."""
    return redis.url


@pytest.fixture(scope="module")
def site(
    settings_env: dict[str, str],
    start_worker: StartWorker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    python = coralnet_python()
    folder = tmp_path_factory.mktemp("site")
    env = {**site_environment(settings_env, folder), "REEF_CACHE": str(folder)}
    run([python, "manage.py", "migrate", "--run-syncdb", "-v0"], env=env, cwd=SITE)
    features = start_worker("feature", "--concurrency=2")
    start_worker("trainer")
    start_worker("classify")
    running = Site(python, env, folder / "site.log", features)
    yield running
    running.close()


def on_s3(bucket: str, key: str) -> dict[str, Any]:
    return {"storage_type": "s3", "bucket_name": bucket, "key": key}


@pytest.fixture(scope="module")
def stored(bucket: str, site: Site) -> Callable[[str, bytes], dict[str, Any]]:
    """Puts something where workers and site find it."""

    def put(key: str, data: bytes) -> dict[str, Any]:
        location = on_s3(bucket, key)
        storage.store(DataLocation(**location), data)
        return location

    return put


@pytest.fixture(scope="module")
def extraction(
    bucket: str, stored: Callable[[str, bytes], dict[str, Any]]
) -> Callable[..., dict[str, Any]]:
    """The reference's message for an image that is stored."""

    def message(name: str, label: str = "sand", **changed: Any) -> dict[str, Any]:
        return {
            "extractor": {
                "class_path": "spacer.extractors.base.DummyExtractor",
                "feature_dim": DIM,
                "data_locations": {},
                "data_hashes": {},
            },
            "rowcols": [[10, 20], [30, 40]],
            "image_loc": stored(f"{name}.png", photo(label, 1)),
            "feature_loc": on_s3(bucket, f"{name}.npz"),
            **changed,
        }

    return message


def training(
    bucket: str, features: list[dict[str, Any]], name: str, point: int = 10, other: int = 2
) -> dict[str, Any]:
    """The reference's message; the same images teach, calibrate and evaluate."""
    labels = {json.dumps(loc): [[point, 20, 1], [30, 40, other]] for loc in features}
    return {
        "trainer": {"class_path": "spacer.train_classifier.MiniBatchTrainer"},
        "nbr_epochs": 1,
        "clf_type": "LR",
        "labels": dict.fromkeys(("train", "ref", "val"), labels),
        "previous_model_locs": [],
        "model_loc": on_s3(bucket, f"{name}.model"),
        "valresult_loc": on_s3(bucket, f"{name}.valresult"),
        "feature_cache_dir": "auto",
    }


@pytest.fixture(scope="module")
def trained(
    site: Site, bucket: str, extraction: Callable[..., dict[str, Any]]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Where two images' features and a classifier are, all made by jobs of the site."""
    images = [extraction(f"image-{label}", label) for label in ("sand", "coral")]
    sent = site("submit", [["extract_features", image] for image in images])
    assert site.finished(sent) == [("success", "ExtractFeaturesReturnMsg")] * 2
    features = [image["feature_loc"] for image in images]
    message = training(bucket, features, "robot")
    sent = site("submit", [["train_classifier", message, "high"]])
    assert site.finished(sent) == [("success", "TrainClassifierReturnMsg")]
    return features, message["model_loc"]


def test_the_queue_class_is_one_of_the_site_s(site: Site) -> None:
    assert site("is_base")


def test_all_four_kinds_of_jobs_come_back_and_the_reference_reads_what_they_made(
    site: Site,
    trained: tuple[list[dict[str, Any]], dict[str, Any]],
    extraction: Callable[..., dict[str, Any]],
) -> None:
    features, model = trained
    image = extraction("new", "sand")
    del image["feature_loc"]
    classify = {"feature_loc": features[0], "classifier_loc": model}
    sent = site(
        "submit",
        [
            ["classify_features", classify],
            ["classify_image", {**image, "classifier_loc": model}, "high"],
        ],
    )
    assert site.finished(sent) == [("success", "ClassifyReturnMsg")] * 2
    assert site("read_by_the_reference", features[0], model) == [2, DIM, ["1", "2"]]


def test_the_job_is_echoed_as_it_was_sent(
    site: Site, bucket: str, extraction: Callable[..., dict[str, Any]]
) -> None:
    message = extraction("echo")
    (job_id,) = site("submit", [["extract_features", message]])
    (task_id,) = site("look")
    wait_until(lambda: results.find_answer(task_id) is not None, 120, "no answer")
    assert results.load_answer(task_id)["original_job"] == {
        "task_name": "extract_features",
        "tasks": [{**message, "job_token": str(job_id)}],
    }
    assert site.finished([job_id])[0][0] == "success"


def test_errors_have_the_names_that_the_site_knows(
    site: Site,
    bucket: str,
    settings_env: dict[str, str],
    stored: Callable[[str, bytes], dict[str, Any]],
    extraction: Callable[..., dict[str, Any]],
    trained: tuple[list[dict[str, Any]], dict[str, Any]],
) -> None:
    features, _ = trained
    weights = {
        "class_path": "spacer.extractors.efficientnet.EfficientNetExtractor",
        "data_locations": {"weights": stored("weights.pt", b"other weights")},
        "data_hashes": {"weights": "0" * 64},
    }
    # without credentials the S3 server refuses
    page = {"storage_type": "url", "key": f"{settings_env['SPACER_S3_ENDPOINT_URL']}/{bucket}/a"}
    expected = {
        "spacer.exceptions.RowColumnInvalidError": extraction("e1", rowcols=[[10, 20], [64, 1]]),
        "spacer.exceptions.DataLimitError": extraction("e2", rowcols=[[1, 1]] * 1001),
        "spacer.exceptions.URLDownloadError": extraction("e3", image_loc=page),
        "spacer.exceptions.HashMismatchError": extraction("e4", extractor=weights),
        "PIL.UnidentifiedImageError": extraction("e5", image_loc=stored("e5.jpg", b"no image")),
        "spacer.exceptions.RowColumnMismatchError": training(bucket, features, "e6", point=11),
        "spacer.exceptions.TrainingLabelsError": training(bucket, features, "e7", other=1),
    }
    names = {False: "extract_features", True: "train_classifier"}
    sent = site("submit", [[names["labels" in m], m] for m in expected.values()])
    finished = site.finished(sent)
    assert [status for status, _ in finished] == ["failure"] * len(expected)
    assert [message.partition(":")[0] for _, message in finished] == list(expected)


def test_many_jobs_are_collected_in_slices_each_once(
    site: Site, extraction: Callable[..., dict[str, Any]]
) -> None:
    message = extraction("many")
    sent = site("submit", [["extract_features", message]] * 230)
    # two slices and a rest; each job of each slice gets a word
    said = site("collect")
    words = said.removeprefix("Jobs checked/collected: ").split(", ")
    assert sum(int(word.split()[0]) for word in words) == 230
    assert site.finished(sent) == [("success", "ExtractFeaturesReturnMsg")] * 230
    assert site("collect") == "Jobs checked/collected: 0"


def test_a_job_that_the_site_deleted_meanwhile_is_collected_like_any(
    site: Site, extraction: Callable[..., dict[str, Any]]
) -> None:
    deleted, kept = site("submit", [["extract_features", extraction("deleted")]] * 2)
    site("delete", deleted)
    assert site.finished([kept])[0][0] == "success"
    wait_until(lambda: site("collect") == "Jobs checked/collected: 0", 120, "one is left")


def test_a_process_that_ends_before_the_send_leaves_a_job_that_is_reported_lost(
    site: Site, extraction: Callable[..., dict[str, Any]]
) -> None:
    site("crash_at", "send")
    assert not site.says("submit", [["extract_features", extraction("unsent")]])
    job_id = max(map(int, site("jobs")))
    # the second, if the new process took longer to start than a job is given
    words = [f"Jobs checked/collected: 1 {word}" for word in ("QUEUED", "MISSING")]
    assert site("collect") in words
    ((status, message),) = site.finished([job_id])
    assert status == "failure"
    assert message.startswith(f"spacer_tasks.exceptions.JobLostError: job {job_id} ")


def test_answers_of_a_process_that_ended_before_it_took_them_in_are_handed_out_again(
    site: Site, extraction: Callable[..., dict[str, Any]]
) -> None:
    (job_id,) = site("submit", [["extract_features", extraction("again")]])
    site("crash_at", "handle")
    wait_until(lambda: not site.says("collect"), 120, "the process did not end")
    assert site("collect") == "Jobs checked/collected: 0"
    assert site("jobs")[str(job_id)][0] == "in_progress"
    command = [sys.executable, "-m", "spacer_tasks.cli", "jobs", "again", str(job_id)]
    run(command, env=os.environ, cwd=CHECKOUT)
    assert site.finished([job_id])[0][0] == "success"


def test_with_redis_away_nothing_hangs_and_nothing_is_lost(
    site: Site, redis: DurableRedis, extraction: Callable[..., dict[str, Any]]
) -> None:
    message = extraction("away")
    sent = site("submit", [["extract_features", message]] * 3)
    assert len(site("look")) == 3
    said, noticed = site.log().count("Redis does not answer"), site.noticed()
    redis.stop()
    try:
        # between the two steps of a collection, before both, and at a submission
        assert site("collect_looked") == [0, []]
        assert site("collect") == "Jobs checked/collected: 0"
        (refused,) = site("submit", [["extract_features", message]])
        # with tasks in hand
        wait_until(lambda: site.noticed() > noticed, 120, "the worker did not notice")
    finally:
        redis.start()
    status, reason, _ = site("jobs")[str(refused)]
    assert status == "failure"
    assert reason.startswith("BrokerUnavailableError: Redis cannot be reached")
    assert site.log().count("Redis does not answer") == said + 2
    # the workers come back too, and let go of what they had in hand
    assert site.finished(sent) == [("success", "ExtractFeaturesReturnMsg")] * 3
    taken = Redis.from_url(redis.url)
    wait_until(lambda: not taken.hlen("unacked.features"), 120, "a finished job is still taken")
    assert site.finished(site("submit", [["extract_features", message]]))[0][0] == "success"


def test_with_redis_hanging_nothing_hangs(
    site: Site, redis: DurableRedis, extraction: Callable[..., dict[str, Any]]
) -> None:
    message = extraction("hanging")
    sent = site("submit", [["extract_features", message]])
    site("look")
    redis.pause()
    try:
        assert site("collect_looked") == [0, []]
        (refused,) = site("submit", [["extract_features", message]])
    finally:
        redis.go_on()
    assert site("jobs")[str(refused)][0] == "failure"
    assert site.finished(sent)[0][0] == "success"
    # what was refused does not come back as lost, though Redis read its record when it went on
    assert site("look") == []

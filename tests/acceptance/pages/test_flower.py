"""Flower sees the workers, the tasks with names and states, and how far a training is."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from spacer_tasks import storage
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.processes import process
from spacer_tasks.demo.services import free_ports
from spacer_tasks.tasks import extract_features, train_classifier
from tests.support.checkout import CHECKOUT
from tests.support.photos import DUMMY, photo
from tests.support.waiting import wait_until
from tests.support.workers import START_S, StartWorker

#: a proxy of the environment cannot reach servers of this machine
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
#: enough for a training to be seen while it runs
EPOCHS = 600
FIXTURES = CHECKOUT / "tests" / "fixtures" / "pyspacer"


@dataclass(frozen=True)
class Flower:
    """Flower as its users reach it."""

    url: str

    def get(self, path: str) -> Any:
        """The JSON of a page of its API."""
        with DIRECT.open(f"{self.url}/{path}", timeout=30) as answer:
            return json.load(answer)

    def finished(self, task_id: str) -> dict[str, Any]:
        """What it tells of a task that ended."""
        wait_until(
            lambda: self.get("api/tasks").get(task_id, {}).get("state") in ("SUCCESS", "FAILURE"),
            120,
            f"Flower did not hear that task {task_id} ended",
        )
        told: dict[str, Any] = self.get("api/tasks")[task_id]
        return told


@pytest.fixture(scope="module")
def flower(start_worker: StartWorker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flower]:
    folder = tmp_path_factory.mktemp("flower")
    (port,) = free_ports(1)
    seen = Flower(f"http://127.0.0.1:{port}")
    with process(
        [
            *(sys.executable, "-m", "celery", "-A", "spacer_tasks.app"),
            *("flower", f"--port={port}", "--address=127.0.0.1"),
        ],
        env={**os.environ, "FLOWER_UNAUTHENTICATED_API": "true"},
        cwd=folder,
        log_path=folder / "flower.log",
        ready=lambda: seen.get("api/workers") is not None,
        ready_timeout_s=START_S,
        name="flower",
    ):
        # after Flower, so that it hears all that they say
        start_worker("feature", "--concurrency=2")
        start_worker("trainer", "--concurrency=1")
        yield seen


def extraction(bucket: str, name: str, data: bytes) -> dict[str, Any]:
    location = DataLocation.parse(f"s3://{bucket}/{name}.png")
    storage.store(location, data)
    return {
        "job_token": name,
        "extractor": DUMMY.model_dump(mode="json"),
        "rowcols": [[3, 4]],
        "image_loc": location.model_dump(),
        "feature_loc": DataLocation.parse(f"s3://{bucket}/{name}.npz").model_dump(),
    }


def training(bucket: str) -> dict[str, Any]:
    text = (FIXTURES / "int_lr.train_msg.json").read_text()
    message: dict[str, Any] = json.loads(text.replace("features_int/", f"{FIXTURES}/features_int/"))
    return {
        **message,
        "nbr_epochs": EPOCHS,
        "model_loc": DataLocation.parse(f"s3://{bucket}/model").model_dump(),
        "valresult_loc": DataLocation.parse(f"s3://{bucket}/val.json").model_dump(),
    }


def test_the_api_lists_the_workers_and_their_queues(flower: Flower) -> None:
    wait_until(
        lambda: {"feature@test", "trainer@test"} <= set(flower.get("api/workers?refresh=1")),
        30,
        "Flower does not list both workers",
    )
    workers = flower.get("api/workers")
    queues = {
        name: [queue["name"] for queue in workers[name]["active_queues"]]
        for name in ("feature@test", "trainer@test")
    }
    assert queues == {
        "feature@test": ["features", "features.high"],
        "trainer@test": ["training", "training.high"],
    }


def test_the_api_lists_the_tasks_with_names_and_states(flower: Flower, bucket: str) -> None:
    good = extract_features.delay(extraction(bucket, "good", photo("sand", 1)))
    bad = extract_features.delay(extraction(bucket, "bad", b"no image"))
    done, failed = flower.finished(good.id), flower.finished(bad.id)
    assert (done["name"], done["state"]) == ("spacer_tasks.extract_features", "SUCCESS")
    assert done["worker"] == "feature@test"
    # what went in and what came out can be read there
    assert "good.png" in done["args"]
    assert f"{good.id}.json" in done["result"]
    assert (failed["name"], failed["state"]) == ("spacer_tasks.extract_features", "FAILURE")
    assert "bad.png" in failed["exception"]


def test_a_training_s_epochs_and_accuracy_show_while_it_runs(flower: Flower, bucket: str) -> None:
    sent = train_classifier.delay(training(bucket))
    seen: list[str] = []

    def progress() -> bool:
        task = flower.get("api/tasks").get(sent.id, {})
        if task.get("state") == "PROGRESS":
            seen.append(task["result"])
        return any("epoch " in shown for shown in seen)

    wait_until(progress, 120, "Flower was not told of any epoch")
    assert re.search(rf"epoch \d+, epochs {EPOCHS}, ref_acc [01]\.\d+", seen[-1])
    assert flower.finished(sent.id)["name"] == "spacer_tasks.train_classifier"


def test_its_page_shows_the_workers_in_a_browser(flower: Flower, tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no chromium on this machine")
    page = subprocess.run(
        [
            *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
            *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
            *("--disable-sync", "--no-proxy-server", f"--user-data-dir={tmp_path}"),
            *("--virtual-time-budget=10000", "--dump-dom", f"{flower.url}/workers"),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    ).stdout
    assert "Flower</title>" in page
    assert "feature@test" in page
    assert "trainer@test" in page

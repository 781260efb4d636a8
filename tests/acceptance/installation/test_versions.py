"""Workers with the oldest and the newest versions of Celery, Kombu and redis-py that are admitted.

Older ones are on the path of the worker's process alone, before those of this environment.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import celery
import kombu
import pytest
import redis

from spacer_tasks import storage
from spacer_tasks.app import app
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.processes import Process, process
from spacer_tasks.tasks import extract_features
from spacer_tasks.worker.delivery.versions import TRIED
from spacer_tasks.workflows import train_from_images
from tests.support.checkout import CHECKOUT
from tests.support.environments.installed import CACHE
from tests.support.photos import DUMMY, LABELS, photo
from tests.support.waiting import until
from tests.support.workers import START_S

ANSWER_S = 120
#: the first of each that is admitted, and one before them
OLDEST = ("celery==5.6.0", "kombu==5.6.0", "redis==5.2.0")
TOO_OLD = ("celery==5.5.3", "kombu==5.5.4", "redis==5.2.1")
PROGRAM = "import sys; from spacer_tasks.worker.start import main; main('features', sys.argv[1:])"


@cache
def installed(versions: tuple[str, ...]) -> Path:
    """A folder with these, for the path of a process; kept between runs."""
    folder = CACHE / "-".join(each.replace("==", "-") for each in versions)
    if folder.exists():
        return folder
    made = folder.with_suffix(".part")
    shutil.rmtree(made, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-compile"]
    # what else these need is in this environment, but for one package
    command = [*pip, "--no-deps", "--target", str(made), *versions, "exceptiongroup==1.3.0"]
    subprocess.run(command, check=True, timeout=600)
    made.rename(folder)
    return folder


@pytest.fixture(scope="module", params=["oldest", "newest"])
def path(request: pytest.FixtureRequest) -> dict[str, str]:
    """The environment in which a worker has these versions."""
    if request.param == "newest":
        return {}
    return {"PYTHONPATH": f"{installed(OLDEST)}:{CHECKOUT}"}


def test_what_is_tried_here_is_what_is_admitted() -> None:
    ours: dict[str, Any] = {"celery": celery, "kombu": kombu, "redis": redis}
    text = (CHECKOUT / "pyproject.toml").read_text()
    for name, (oldest, too_new) in TRIED.items():
        low, high = (".".join(map(str, version)) for version in (oldest, too_new))
        assert re.search(rf'"{name}(\[redis\])?>={low},<{high}"', text), name
        (first,) = [each for each in OLDEST if each.startswith(f"{name}==")]
        assert first == f"{name}=={low}.0"
        # the newest of all, when the pins are brought up to date
        newest = tuple(map(int, str(ours[name].__version__).split(".")[: len(too_new)]))
        assert newest[:-1] == too_new[:-1]
        assert newest[-1] == too_new[-1] - 1


def a_worker(
    stack: ExitStack, name: str, logs: Path, path: dict[str, str], kind: str = "feature"
) -> Process:
    log = logs / f"{name}.log"
    arguments = ["--concurrency=2", f"--hostname={name}@versions"]
    return stack.enter_context(
        process(
            [sys.executable, "-m", f"workers.{kind}_worker", *arguments],
            env={**os.environ, "SPACER_WORKER_SILENT_S": "2", **path},
            cwd=CHECKOUT,
            log_path=log,
            ready=lambda: " ready." in log.read_text(),
            ready_timeout_s=START_S,
            name=name,
        )
    )


@pytest.fixture
def extraction(bucket: str) -> Callable[[str], dict[str, Any]]:
    image = DataLocation.parse(f"s3://{bucket}/image.png")
    storage.store(image, photo("sand", 1))

    def message(name: str) -> dict[str, Any]:
        return {
            "job_token": name,
            "extractor": DUMMY.model_dump(mode="json"),
            "rowcols": [[3, 4]],
            "image_loc": image.model_dump(),
            "feature_loc": DataLocation.parse(f"s3://{bucket}/{name}.npz").model_dump(),
        }

    return message


def held(broker: redis.Redis, task_id: str) -> list[bytes]:
    """The delivery tags of a task's messages that a worker has taken."""
    taken: dict[bytes, bytes] = broker.hgetall("unacked.features")  # type: ignore[assignment]
    return [tag for tag, message in taken.items() if task_id.encode() in message]


def batch(bucket: str) -> dict[str, Any]:
    entries = []
    points = [[row, col] for row in (10, 30, 50) for col in (10, 30, 50)]
    for number in range(8):
        label = sorted(LABELS)[number % 3]
        image = DataLocation.parse(f"s3://{bucket}/batch/{number}.png")
        storage.store(image, photo(label, number))
        features = DataLocation.parse(f"s3://{bucket}/batch/{number}.npz")
        entries.append(
            {
                "image_loc": image.model_dump(),
                "feature_loc": features.model_dump(),
                "annotations": [[row, col, label] for row, col in points],
            }
        )
    return {
        "job_token": "batch",
        "extractor": DUMMY.model_dump(mode="json"),
        "images": entries,
        "nbr_epochs": 1,
        "split_mode": "points_stratified",
        "model_loc": DataLocation.parse(f"s3://{bucket}/model").model_dump(),
        "valresult_loc": DataLocation.parse(f"s3://{bucket}/val.json").model_dump(),
    }


def test_a_worker_works_and_what_it_held_when_it_was_killed_goes_to_another(
    queue: None,
    bucket: str,
    extraction: Callable[[str], dict[str, Any]],
    path: dict[str, str],
    tmp_path: Path,
) -> None:
    broker = redis.Redis.from_url(str(app.conf.broker_url))
    with ExitStack() as stack:
        for kind in ("classify", "trainer"):
            a_worker(stack, kind, tmp_path, path, kind)
        first = a_worker(stack, "first", tmp_path, path)
        assert extract_features.delay(extraction("one")).get(timeout=ANSWER_S)
        answer = train_from_images.delay(batch(bucket)).get(timeout=ANSWER_S)
        assert answer["summary"]["images"] == 8
        # it takes this one, and keeps it until its time
        later = extract_features.apply_async((extraction("two"),), countdown=6)
        until(lambda: len(held(broker, later.id)) == 1, "nobody took it")
        assert broker.hexists("unacked.features.holders", *held(broker, later.id))
        first.popen.kill()
        a_worker(stack, "second", tmp_path, path)
        assert later.get(timeout=ANSWER_S)


def test_a_worker_with_older_versions_refuses_and_names_those_that_it_knows(
    queue: None, settings_env: dict[str, str]
) -> None:
    env = {**os.environ, "PYTHONPATH": f"{installed(TOO_OLD)}:{CHECKOUT}"}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=env, cwd=CHECKOUT, capture_output=True, text=True, timeout=START_S, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert "Celery 5.5.3 is installed" in ended.stderr
    assert "Celery 5.6 or later, before 5.8" in ended.stderr
    assert "Traceback" not in ended.stderr

"""What an operator sees of a worker: it warms up, answers while it works, ends when told to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from spacer_tasks import storage
from spacer_tasks.app import app
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.tasks import extract_features
from tests.support.checkout import CHECKOUT
from tests.support.waiting import wait_until
from tests.support.workers import START_S, StartWorker, run_worker

FIXTURE = CHECKOUT / "tests" / "fixtures" / "efficientnet"


@pytest.fixture(scope="module")
def extractor(bucket: str, settings_env: dict[str, str], tmp_path_factory: Any) -> dict[str, Any]:
    """The network of the fixtures, on S3."""
    weights = tmp_path_factory.mktemp("weights") / "weights.pt"
    subprocess.run([sys.executable, FIXTURE / "make_weights.py", weights], check=True)
    location = DataLocation.parse(f"s3://{bucket}/weights.pt")
    storage.store(location, weights.read_bytes())
    return {"class_path": "efficientnet", "data_locations": {"weights": location.model_dump()}}


def test_a_feature_worker_warms_up_answers_while_it_computes_and_finishes_its_task_on_sigterm(
    start_worker: StartWorker, extractor: dict[str, Any], bucket: str, tmp_path: Path
) -> None:
    worker = start_worker(
        "feature",
        "--concurrency=1",
        SPACER_WARM_EXTRACTOR=json.dumps(extractor),
        SPACER_EXTRACTORS_CACHE_DIR=str(tmp_path),
        SPACER_LOG_LEVEL="INFO",
    )
    log = worker.log_path.read_text()
    assert log.index("network ready") < log.index("ready.", log.index("network ready"))

    image = DataLocation.parse(f"s3://{bucket}/image.jpg")
    storage.store(image, (FIXTURE / "image.jpg").read_bytes())
    rowcols = [[row, col] for row in range(0, 100, 10) for col in range(0, 200, 10)]
    sent = extract_features.delay(
        {
            "job_token": "1",
            "extractor": extractor,
            "rowcols": rowcols,
            "image_loc": image.model_dump(),
            "feature_loc": DataLocation.parse(f"s3://{bucket}/f.npz").model_dump(),
        }
    )
    wait_until(lambda: sent.state == "STARTED", 120, "the task did not start")
    active = app.control.inspect(destination=["feature@test"], timeout=60).active()
    assert active is not None
    assert [task["id"] for task in active["feature@test"]] == [sent.id]

    worker.popen.terminate()
    summary = sent.get(timeout=120)["summary"]
    # the network was there: the task did not have to fetch it
    assert summary["extractor_loaded_remotely"] is False
    assert worker.popen.wait(30) == 0


def test_a_worker_whose_network_cannot_be_loaded_does_not_start(
    extractor: dict[str, Any], settings_env: dict[str, str], tmp_path: Path
) -> None:
    wrong = {**extractor, "data_hashes": {"weights": "0" * 64}}
    env = {
        "SPACER_WARM_EXTRACTOR": json.dumps(wrong),
        "SPACER_EXTRACTORS_CACHE_DIR": str(tmp_path),
    }
    done = run_worker("workers.feature_worker", env)
    assert done.returncode == 1
    said, wrong_weights = done.stderr.splitlines()
    assert said == "networks run on cpu"
    assert wrong_weights.startswith("HashMismatchError: ")


def test_a_worker_without_a_place_for_answers_says_what_to_set(
    settings_env: dict[str, str],
) -> None:
    done = run_worker("workers.trainer_worker", {"SPACER_RESULTS_PREFIX": ""})
    assert done.returncode == 1
    assert "SPACER_RESULTS_PREFIX is not set" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_operator_s_file_cannot_change_the_contract(
    settings_env: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "celeryconfig.py").write_text("task_serializer = 'pickle'\n")
    done = run_worker("workers.trainer_worker", {"PYTHONPATH": str(CHECKOUT)}, cwd=tmp_path)
    assert done.returncode == 1
    assert "task_serializer cannot be set here" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--concurency=4"], "No such option"),
        (["--concurrency=0"], "--concurrency 0: expected a whole number"),
        (["--queues=features"], "does not serve features"),
    ],
)
def test_an_argument_that_cannot_take_effect_ends_a_worker_with_one_line(
    settings_env: dict[str, str], arguments: list[str], said: str
) -> None:
    done = run_worker("workers.trainer_worker", {}, *arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_second_worker_of_one_name_is_refused(start_worker: StartWorker) -> None:
    start_worker("classify", "--concurrency=1", name="twin")
    done = run_worker("workers.classify_worker", {}, "--hostname=twin@test")
    assert done.returncode == 1
    assert "a worker of the name twin@test runs already" in done.stderr
    assert done.stderr.count("\n") == 1


def test_of_two_workers_of_one_name_that_start_together_one_ends(
    settings_env: dict[str, str], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "workers.classify_worker", "-c1", "--hostname=both@test"]
    with ExitStack() as stack:
        logs = [tmp_path / "0.log", tmp_path / "1.log"]
        twins = []
        for path in logs:
            log = stack.enter_context(path.open("wb"))
            twin = subprocess.Popen(
                command, env=dict(os.environ), cwd=CHECKOUT, stdout=log, stderr=log
            )
            stack.callback(twin.wait)
            stack.callback(twin.kill)
            twins.append(twin)
        wait_until(
            lambda: any(twin.poll() is not None for twin in twins), 2 * START_S, "both of them run"
        )
        codes = [twin.poll() for twin in twins]
        assert sorted(codes, key=str) == [1, None]
        ended = logs[codes.index(1)].read_text()
        assert "a worker of the name both@test runs already" in ended
        assert ended.count("\n") == 1
        # the other is ready: it was not ended by the same
        assert app.control.ping(destination=["both@test"], timeout=5)


def test_more_threads_than_connections_to_s3_are_refused(settings_env: dict[str, str]) -> None:
    env = {"SPACER_S3_MAX_CONNECTIONS": "4"}
    done = run_worker("workers.feature_worker", env, "--concurrency", "5")
    assert done.returncode == 1
    assert "SPACER_S3_MAX_CONNECTIONS is 4" in done.stderr

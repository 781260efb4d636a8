"""One job from the environment, as AWS Batch starts it: with S3, and nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spacer_tasks import retries, storage
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import ConfigError, MessageError, ObjectNotFoundError
from spacer_tasks.mailman.aws_batch import env_job
from spacer_tasks.retries import Schedule
from tests.support.checkout import CHECKOUT
from tests.support.gate import Gate
from tests.support.photos import photo
from tests.support.sqs.site import job_of

#: of the reference's job definition
COMMAND = ["spacer/mailman.py", "env_job"]


@pytest.fixture
def folder(tmp_path: Path) -> DataLocation:
    return DataLocation.parse(str(tmp_path))


def environment(folder: DataLocation, job: Any) -> dict[str, str]:
    """A job in a folder, and what says where it is and where its answer goes to."""
    storage.store(
        folder.joined("job.json"), job if isinstance(job, bytes) else json.dumps(job).encode()
    )
    return {
        name: json.dumps(folder.joined(file).model_dump())
        for name, file in (("JOB_MSG_LOC", "job.json"), ("RES_MSG_LOC", "answer.json"))
    }


def answer_in(folder: DataLocation) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(storage.load(folder.joined("answer.json")))
    return answer


@pytest.mark.parametrize("dockerfile", ["Dockerfile.cpu", "Dockerfile.gpu"])
def test_the_reference_s_command_runs_a_job_in_our_images(dockerfile: str, tmp_path: Path) -> None:
    """The file is where the image has it, and finds the installed package."""
    text = (CHECKOUT / dockerfile).read_text()
    (source,) = re.findall(r"^COPY (deploy/\S+) spacer/mailman.py$", text, re.MULTILINE)
    (tmp_path / "spacer").mkdir()
    shutil.copy(CHECKOUT / source, tmp_path / COMMAND[0])
    done = subprocess.run(
        [sys.executable, *COMMAND], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "error: JOB_MSG_LOC is not set: expected the JSON of a location\n"


def test_a_job_runs_with_s3_alone(
    bucket: str, settings_env: dict[str, str], tmp_path: Path
) -> None:
    folder = DataLocation.parse(f"s3://{bucket}/jobs/7")
    storage.store(DataLocation.parse(f"s3://{bucket}/a.png"), photo("sand", 1))
    job = job_of(bucket)
    (tmp_path / "spacer").mkdir()
    shutil.copy(CHECKOUT / "deploy" / "mailman.py", tmp_path / COMMAND[0])
    nowhere = {"SPACER_BROKER_URL": "redis://127.0.0.1:1/0", "SPACER_RESULTS_PREFIX": ""}
    # what the images allow messages to name
    dockerfile = (CHECKOUT / "Dockerfile.cpu").read_text()
    allowed = dict(re.findall(r"(SPACER_ALLOWED_\w+)=(\S+)", dockerfile))
    assert sorted(allowed.values()) == ["none", "none", "results"]
    subprocess.run(
        [sys.executable, *COMMAND],
        cwd=tmp_path,
        env={**os.environ, **nowhere, **allowed, **environment(folder, job)},
        check=True,
    )
    answer = answer_in(folder)
    assert answer["ok"]
    assert answer["original_job"] == job
    assert len(answer["results"]) == 1
    assert storage.exists(DataLocation.parse(f"s3://{bucket}/a.npz"))


def test_a_job_that_fails_has_an_answer(folder: DataLocation) -> None:
    job = {"task_name": "train_classifier", "tasks": [{}]}
    env_job(environment(folder, job))
    answer = answer_in(folder)
    assert not answer["ok"]
    assert answer["original_job"] == job
    assert "labels: Field required" in answer["error_message"]


@pytest.mark.parametrize(("refusals", "ok"), [(3, True), (4, False)])
def test_what_passes_is_tried_again_and_then_reported(
    folder: DataLocation,
    monkeypatch: pytest.MonkeyPatch,
    settings_changed: Callable[[], None],
    refusals: int,
    ok: bool,
) -> None:
    monkeypatch.setenv("SPACER_ALLOWED_URLS", "127.0.0.1")
    settings_changed()
    monkeypatch.setattr(retries, "ENV_JOB", Schedule((0.0, 0.0, 0.0)))
    gate = Gate(refusals)
    gate.open()
    features = {"feature_loc": folder.joined("a.npz").model_dump()}
    env_job(environment(folder, job_of("bucket", gate.url, **features)))
    gate.close()
    answer = answer_in(folder)
    assert answer["ok"] is ok
    assert gate.refusals == 0
    if not ok:
        last_line = answer["error_message"].splitlines()[-1]
        assert last_line.startswith(f"spacer.exceptions.URLDownloadError: {gate.url}")


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"JOB_MSG_LOC": ""}, ConfigError, "JOB_MSG_LOC is not set"),
        ({"RES_MSG_LOC": ""}, ConfigError, "RES_MSG_LOC is not set"),
        ({"RES_MSG_LOC": "s3://a/b"}, ConfigError, "RES_MSG_LOC: DataLocation: .*Invalid JSON"),
        (
            {"RES_MSG_LOC": '{"storage_type": "url", "key": "http://a"}'},
            ConfigError,
            "RES_MSG_LOC: nothing can be written to http://a",
        ),
        (
            {"JOB_MSG_LOC": '{"storage_type": "filesystem", "key": "/no/such"}'},
            ObjectNotFoundError,
            "no file /no/such",
        ),
    ],
)
def test_a_job_that_cannot_be_read_or_answered_is_an_error(
    folder: DataLocation, changes: dict[str, str], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        env_job({**environment(folder, job_of("bucket")), **changes})


@pytest.mark.parametrize(
    ("job", "text"),
    [
        (b"{", r"job\.json is not JSON"),
        (
            b'{"tasks": ' + b"[" * 900 + b"]" * 900 + b"}",
            r"job\.json is nested deeper than 100 lists and objects",
        ),
    ],
)
def test_a_job_that_is_no_object_is_an_error(folder: DataLocation, job: bytes, text: str) -> None:
    with pytest.raises(MessageError, match=text):
        env_job(environment(folder, job))

"""Steps 5 and 6 of the page for CoralNet, by its own lines: the module of callbacks is the page's,
and so is the command of its worker.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from spacer_tasks import storage
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.processes import Process, process
from tests.support.checkout import CHECKOUT, FIXTURES_FOLDER
from tests.support.environments.installed import coralnet_python, run, site_environment
from tests.support.photos import photo
from tests.support.workers import START_S, StartWorker

SITE = Path(__file__).parent / "coralnet_site"
FIXTURES = FIXTURES_FOLDER / "pyspacer"
PAGE = (CHECKOUT / "docs" / "coralnet.md").read_text(encoding="utf-8")
#: what the page leaves to CoralNet, in their order, and where its functions are in this site
LEFT_OUT = [
    "handle_spacer_results([ClassifyReturnMsg.deserialize(answer)], image_id)",
    "finish_job(Job(pk=image_id), success=False, result_message=stored.error.type)",
]
OF_THE_SITE = """
from jobs.models import Job
from spacer.messages import JobReturnMsg
from spacer_tasks.messages.reference_errors import error_line
from vision_backend.tasks import finish, handle


def handle_spacer_results(results, image_id=None):
    for result in results:
        if image_id is None:
            handle(result)
        else:
            finish(image_id, "success", f"{len(result.scores)} points")


def finish_job(job, success, result_message):
    finish(job.pk, "success" if success else "failure", result_message)
"""


def callbacks() -> str:
    """The page's module, with the lines that are CoralNet's own filled in."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (module,) = [block for block in blocks if "def start_classification" in block]
    (more,) = [block for block in blocks if "def job_done" in block]
    for line in LEFT_OUT:
        module, filled = re.subn(r"\.\.\.  #.*", line, module, count=1)
        assert filled == 1
    return f"{module}\n{OF_THE_SITE}\n\n{more}"


def worker_command() -> list[str]:
    (line,) = re.findall(r"^celery -A vision_backend\.callbacks .*$", PAGE, re.MULTILINE)
    return shlex.split(line)


@pytest.fixture(scope="module")
def site(
    settings_env: dict[str, str], bucket: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, str]]:
    """The folder of a site that followed the page, and its environment."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(SITE, folder / "project")
    (folder / "project" / "vision_backend" / "callbacks.py").write_text(callbacks())
    env = {
        **site_environment(settings_env, folder),
        "REEF_CACHE": str(folder),
        "REEF_BUCKET": bucket,
        "DJANGO_SETTINGS_MODULE": "config.with_callbacks",
        # the reference imports its network beside its messages, and nothing here runs it
        "PYTHONPATH": str(SITE / "stand_ins"),
    }
    migrate: list[str | Path] = [
        coralnet_python(),
        "-m",
        "django",
        "migrate",
        "--run-syncdb",
        "-v0",
    ]
    run(migrate, env=env, cwd=folder / "project")
    return folder / "project", env


@pytest.fixture(scope="module")
def callback_worker(
    site: tuple[Path, dict[str, str]], start_worker: StartWorker
) -> Iterator[Process]:
    """The worker of the page, beside those that do the work."""
    start_worker("feature")
    start_worker("classify")
    project, env = site
    program, *arguments = worker_command()
    log = project / "callbacks.log"
    with process(
        [coralnet_python().parent / program, *arguments, "--loglevel=info"],
        env=env,
        cwd=project,
        log_path=log,
        ready=lambda: " ready." in log.read_text(),
        ready_timeout_s=START_S,
    ) as running:
        yield running


def test_callbacks_of_the_page_take_in_scores_jobs_and_errors(
    site: tuple[Path, dict[str, str]], callback_worker: Process, bucket: str
) -> None:
    def stored(key: str, data: bytes) -> dict[str, Any]:
        location = DataLocation(storage_type="s3", bucket_name=bucket, key=f"media/{key}")
        storage.store(location, data)
        return location.model_dump()

    features = sorted((FIXTURES / "features_int").iterdir())[0]
    stored("classifiers/1.model", (FIXTURES / "int_lr.pkl").read_bytes())
    photo_loc = stored("a.png", photo("sand", 1))
    extraction = {
        "extractor": {
            "class_path": "spacer.extractors.base.DummyExtractor",
            "data_locations": {},
            "data_hashes": {},
            "feature_dim": 8,
        },
        "rowcols": [[1, 2]],
        "image_loc": photo_loc,
        "feature_loc": {"storage_type": "s3", "bucket_name": bucket, "key": "media/a.feats"},
    }
    missing = {**photo_loc, "key": "media/none.png"}
    asked = {
        "features": stored("b.featurevector", features.read_bytes()),
        "jobs": [
            ["extract_features", extraction],
            ["extract_features", {**extraction, "image_loc": missing}],
        ],
    }
    project, env = site
    done = subprocess.run(
        [coralnet_python(), "send_with_callbacks.py"],
        input=json.dumps(asked),
        env=env,
        cwd=project,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    classified, not_classified, extracted, not_extracted = json.loads(done.stdout)
    assert classified[0] == "success"
    assert re.fullmatch(r"[1-9]\d* points", classified[1])
    assert not_classified[:2] == ["failure", "spacer_tasks.exceptions.S3ObjectNotFoundError"]
    assert extracted[:2] == ["success", "ExtractFeaturesReturnMsg"]
    assert not_extracted[0] == "failure"
    assert not_extracted[1].startswith("botocore.exceptions.ClientError: ")
    assert [job[2] for job in (classified, not_classified, extracted, not_extracted)] == [1] * 4


def test_django_s_time_zone_makes_no_worker_warn_of_clocks(
    callback_worker: Process, settings_env: dict[str, str]
) -> None:
    zones = []
    caller = Celery(broker=settings_env["SPACER_BROKER_URL"])
    with caller.connection_for_read() as connection:
        handlers = {"worker-heartbeat": lambda event: zones.append(event["utcoffset"])}
        # each worker's comes every two seconds
        caller.events.Receiver(connection, handlers=handlers).capture(limit=8, timeout=60)
    assert len(set(zones)) == 2, "the workers are in two time zones"
    assert "Substantial drift" not in callback_worker.log_path.read_text()

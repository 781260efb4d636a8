"""The base package beside what CoralNet pins, on its Pythons, with the reference or without.

Each case is a process of a Django site that sends a job by the queue class and a task from a view,
and collects. The worker is in the test's own process, with the newest Celery and redis-py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery.contrib.testing.worker import start_worker

from spacer_tasks import results
from spacer_tasks.app import app
from spacer_tasks.broker.client import broker_client
from spacer_tasks.jobs.redis_records import KEYS
from tests.support.checkout import CHECKOUT
from tests.support.environments.installed import (
    CACHE,
    CORALNET,
    NUMPY,
    clean_environment,
    coralnet_python,
    coralnet_python_of,
    coralnet_server_with_wheel,
    run,
)
from tests.support.environments.interpreters import interpreter_of
from tests.support.environments.pins import IN_PINS
from tests.support.messages.extraction import extraction
from tests.support.photos import photo
from tests.support.waiting import wait_until

SITE = Path(__file__).parent / "django_site"
FIXTURES = CHECKOUT / "tests" / "fixtures" / "pyspacer"
#: what CoralNet used before 0.14; `coralnet_python` has that one
OLDER_REFERENCE = "pyspacer==0.13.0"
#: prints what the site saw, as JSON
IN_SITE = """
import importlib.metadata, json, sys, time
import django
django.setup()
from django.core.management import call_command
from django.test import Client
from spacer_tasks.coralnet import CeleryQueue

def version_of(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None

call_command("migrate", run_syncdb=True, verbosity=0)
job, message = map(json.loads, sys.argv[1:])
if version_of("pyspacer"):
    from spacer.messages import JobMsg
    CeleryQueue().submit_job(JobMsg.deserialize(job), 1, "medium")
else:
    CeleryQueue().submit_job(job, 1, "medium")
sent = Client(SERVER_NAME="127.0.0.1").post("/photos/", message, "application/json")
end = time.monotonic() + 60
answers = []
while not answers and time.monotonic() < end:
    taken = CeleryQueue()
    answers, statuses = taken.collect_jobs(taken.get_collectable_jobs())
    time.sleep(0.05)
(answer,) = answers
print(json.dumps({
    "python": "%d.%d" % sys.version_info[:2],
    "versions": {name: version_of(name)
                 for name in ("celery", "redis", "Django", "boto3", "huey", "numpy", "pyspacer")},
    "answer_class": type(answer).__module__,
    "answer": answer.serialize() if hasattr(answer, "serialize") else answer.to_wire(),
    "statuses": statuses,
    "sent": sent.json(),
}))
"""


def on_another(version: str) -> Path:
    interpreter = interpreter_of(version)
    if interpreter is None:
        pytest.skip(f"there is no Python {version} on this machine")
    return coralnet_python_of(interpreter)


def older_reference() -> str:
    """A folder with nothing but that, for PYTHONPATH."""
    folder = CACHE / OLDER_REFERENCE
    if not folder.exists():
        install = ["-m", "pip", "install", "-q", "--no-deps", "--no-compile"]
        made = folder.with_suffix(".part")
        run([coralnet_python(), *install, "--target", made, OLDER_REFERENCE])
        made.rename(folder)
    return str(folder)


@pytest.fixture(scope="module")
def worker(queue: None) -> Iterator[None]:
    broker_client().delete(*KEYS)
    with start_worker(app, pool="threads", concurrency=2, perform_ping_check=False):
        yield
    # with callbacks, which another site of the tests would take for its own
    broker_client().delete(*KEYS, "site")


@pytest.mark.parametrize(
    ("python", "reference", "older"),
    [
        pytest.param(lambda: on_another("3.10"), None, None, id="3.10"),
        pytest.param(lambda: on_another("3.12"), None, None, id="3.12", marks=IN_PINS),
        pytest.param(coralnet_python, "0.14.0", None, id="pyspacer 0.14"),
        pytest.param(coralnet_python, "0.13.0", older_reference, id="pyspacer 0.13"),
        # without the reference's own requirements it cannot be imported: without it then
        pytest.param(coralnet_server_with_wheel, None, None, id="what pip chooses"),
    ],
)
@pytest.mark.usefixtures("worker")
def test_a_site_with_coralnet_s_pins_submits_collects_and_sends(
    python: Callable[[], Path],
    reference: str | None,
    older: Callable[[], str] | None,
    settings_env: dict[str, str],
    bucket: str,
    tmp_path: Path,
) -> None:
    env = {
        **clean_environment(),
        "DJANGO_SETTINGS_MODULE": "reef.settings",
        "REEF_DATABASE": str(tmp_path / "db.sqlite3"),
        "REEF_REDIS_URL": settings_env["SPACER_BROKER_URL"],
        "REEF_RESULTS_PREFIX": settings_env["SPACER_RESULTS_PREFIX"],
        "REEF_S3_ENDPOINT_URL": settings_env["SPACER_S3_ENDPOINT_URL"],
        "REEF_AWS_ACCESS_KEY_ID": settings_env["SPACER_AWS_ACCESS_KEY_ID"],
        "REEF_AWS_SECRET_ACCESS_KEY": settings_env["SPACER_AWS_SECRET_ACCESS_KEY"],
        **({"PYTHONPATH": older()} if older else {}),
    }
    text = (FIXTURES / "int_lr.expected.json").read_text()
    expected = json.loads(text.replace('"key": "', f'"key": "{FIXTURES}/'))
    job = {"task_name": "classify_features", "tasks": [expected["msg"]]}
    message = extraction(bucket, tmp_path.name, photo("sand", 1))

    command: list[str | Path] = [python(), "-c", IN_SITE, json.dumps(job), json.dumps(message)]
    said: dict[str, Any] = json.loads(run(command, env=env, cwd=SITE).splitlines()[-1])
    pinned = dict(pin.split("==") for pin in (*CORALNET, NUMPY))
    if python().parents[1].name.startswith("beside"):
        # the newest of their range, which Celery's extra [redis] does not take
        assert said["versions"]["redis"].startswith("4.5.")
    else:
        assert said["versions"] == {**pinned, "pyspacer": reference}
    assert said["statuses"] == ["SUCCEEDED"]
    answer = said["answer"]
    assert answer["ok"]
    assert answer["original_job"] == job
    assert answer["results"][0]["classes"] == expected["return"]["classes"]
    assert said["answer_class"] == (
        "spacer.messages" if reference else "spacer_tasks.messages.tasks"
    )
    # in the view, which had a database connection, Celery's Django fixup installed
    assert said["sent"]["connection_kept"]
    task_id = said["sent"]["task_id"]
    wait_until(lambda: results.find_answer(task_id) is not None, 120, "the task was not answered")
    assert results.load_answer(task_id)["runtime"] > 0

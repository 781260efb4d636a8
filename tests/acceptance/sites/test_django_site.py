"""A Django site that installed the base package alone: its web process and its Celery worker.

The site's folder is `django_site/`. Nothing tells it where the servers are but its own settings.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from spacer_tasks import storage
from spacer_tasks.demo.processes import process
from spacer_tasks.demo.services import free_ports
from spacer_tasks.results import load_answer, message_location
from tests.support.environments.installed import base_python, run, site_environment
from tests.support.messages.extraction import extraction, on_s3
from tests.support.photos import photo
from tests.support.waiting import wait_until
from tests.support.workers import START_S, StartWorker

SITE = Path(__file__).parent / "django_site"


@dataclass(frozen=True)
class Site:
    """The site as a browser sees it."""

    url: str

    def get(self, path: str) -> Any:
        """The JSON of a page."""
        return self._answer(urllib.request.Request(self.url + path))

    def post(self, path: str, data: Any) -> Any:
        """The JSON that a page answers to posted JSON, also where it refuses it."""
        return self._answer(
            urllib.request.Request(self.url + path, json.dumps(data).encode(), method="POST")
        )

    def finished(self, photo_id: int) -> Any:
        """What a callback left of a photo."""
        wait_until(
            lambda: self.get(f"photos/{photo_id}/")["state"] != "sent",
            60,
            f"the site's callback did not run for photo {photo_id}",
        )
        return self.get(f"photos/{photo_id}/")

    def _answer(self, request: urllib.request.Request) -> Any:
        try:
            with _DIRECT.open(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != 400:
                raise
            return json.load(error)


#: a proxy of the environment cannot reach servers of this machine
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


#: says that it was imported, and fails
TRAP = """
from pathlib import Path
Path({found!r}).write_text(__name__)
raise RuntimeError("imported by a worker")
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that is there once the worker imported what gives it the settings of a site."""
    return tmp_path_factory.mktemp("trap") / "found"


@pytest.fixture(scope="module")
def site(
    settings_env: dict[str, str],
    start_worker: StartWorker,
    found: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    python = base_python()
    folder = tmp_path_factory.mktemp("site")
    env = site_environment(settings_env, folder)
    run([python, "manage.py", "migrate", "--run-syncdb", "-v0"], env=env, cwd=SITE)
    # a Django of which Kombu, which looks for its strings, finds nothing
    (found.parent / "django").mkdir()
    (found.parent / "django" / "__init__.py").touch()
    for name in ("django/conf.py", "site_settings.py"):
        (found.parent / name).write_text(TRAP.format(found=str(found)))
    # as an operator who starts it in the site's environment
    in_site = {"DJANGO_SETTINGS_MODULE": "site_settings", "PYTHONPATH": str(found.parent)}
    start_worker("feature", "--concurrency=2", **in_site)
    (port,) = free_ports(1)
    reached = Site(f"http://127.0.0.1:{port}/")
    web: list[str | Path] = [python, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"]
    worker: list[str | Path] = [
        python,
        "-m",
        "celery",
        "-A",
        "reef",
        "worker",
        "--pool=solo",
        "-l",
        "INFO",
    ]
    with ExitStack() as stack:
        for name, command, ready in (
            ("web", web, lambda: bool(reached.get("process/"))),
            ("site", worker, lambda: " ready." in (folder / "site.log").read_text()),
        ):
            stack.enter_context(
                process(
                    command,
                    env=env,
                    cwd=SITE,
                    log_path=folder / f"{name}.log",
                    ready=ready,
                    ready_timeout_s=START_S,
                    name=name,
                )
            )
        yield reached


def test_the_callback_in_the_site_s_own_worker_stores_the_answer(site: Site, bucket: str) -> None:
    sent = site.post("photos/", extraction(bucket, "good", photo("sand", 1)))
    stored = site.finished(sent["photo"])
    assert stored["state"] == "done"
    assert stored["task_id"] == sent["task_id"]
    assert stored["answer"] == load_answer(sent["task_id"])
    assert stored["answer"]["runtime"] > 0
    assert storage.exists(on_s3(bucket, "good.npz"))


def test_a_photo_that_fails_ends_in_the_error_callback_with_its_reason(
    site: Site, bucket: str
) -> None:
    sent = site.post("photos/", extraction(bucket, "broken", b"no image"))
    stored = site.finished(sent["photo"])
    assert stored["state"] == "failed"
    assert stored["reason"].startswith("input: ")
    assert "broken.png" in stored["reason"]


def test_a_message_over_64_kib_goes_by_location_and_the_site_sees_no_difference(
    site: Site, bucket: str
) -> None:
    message = extraction(bucket, "large", photo("coral", 2))
    message["job_token"] = "a long story" * 6000
    job = {"task_name": "extract_features", "tasks": [message]}
    assert len(json.dumps(job)) > 64 * 1024
    sent = site.post("jobs/", job)
    stored = site.finished(sent["photo"])
    assert stored["state"] == "done"
    assert stored["answer"]["ok"]
    assert stored["answer"]["original_job"] == job
    assert json.loads(storage.load(message_location(sent["task_id"]))) == job


def test_a_wrong_message_is_refused_in_the_view(site: Site, bucket: str) -> None:
    message = {**extraction(bucket, "typo", photo("sand", 3)), "rowcol": [[1, 2]]}
    assert "rowcol" in site.post("questions/", message)["error"]


def test_sending_leaves_the_site_s_process_as_it_was(site: Site, bucket: str) -> None:
    sent = site.post("photos/", extraction(bucket, "other", photo("algae", 4)))
    assert sent["connection_kept"]
    assert site.finished(sent["photo"])["state"] == "done"
    process_now = site.get("process/")
    assert process_now["current_app"] == "reef"
    assert process_now["tasks"] == ["reef.tasks.image_done", "reef.tasks.image_failed"]
    assert not {"torch", "numpy", "sklearn", "PIL"} & set(process_now["computing"])


def test_the_worker_did_not_look_at_the_site_s_settings(
    site: Site, bucket: str, found: Path
) -> None:
    sent = site.post("photos/", extraction(bucket, "alone", photo("sand", 5)))
    assert site.finished(sent["photo"])["state"] == "done"
    assert not found.exists()

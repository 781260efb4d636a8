"""The page for CoralNet, followed in a project with CoralNet's layout and CoralNet's packages.

What the page says to write is taken from the page; what CoralNet has before is in
`coralnet_layout/`.
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkout import CHECKOUT
from tests.support.environments.installed import (
    clean_environment,
    coralnet_server_with_wheel,
    run,
)

LAYOUT = Path(__file__).parent / "coralnet_layout"
PAGE = (CHECKOUT / "docs" / "coralnet.md").read_text(encoding="utf-8")
TESTING_PAGE = (CHECKOUT / "docs" / "testing.md").read_text(encoding="utf-8")
CELERY = "spacer_tasks.coralnet.CeleryQueue"
LOCAL = "vision_backend.queues.LocalQueue"
#: what the site's settings and this package's come to
FOUND = """
import json, django
django.setup()
from django.conf import settings
from spacer_tasks.config.settings import get_settings
from vision_backend.queues import BaseQueue, get_queue_class
ours = get_settings()
try:
    queue = get_queue_class()
    found = [queue.__module__ + "." + queue.__name__, issubclass(queue, BaseQueue)]
except ImportError as error:
    found = [settings.SPACER_QUEUE_CHOICE, str(error)]
print(json.dumps({
    "queue": found,
    "broker": ours.broker_url and ours.broker_url.get_secret_value(),
    "results": ours.results_prefix,
    "points": ours.max_points_per_image,
}))
"""


def block(page: str, holds: str) -> str:
    """The block of code on a page that holds a text, as it is to be typed."""
    blocks = re.findall(r"^ *```python\n(.*?)^ *```$", page, re.DOTALL | re.MULTILINE)
    (found,) = [textwrap.dedent(each) for each in blocks if holds in each]
    return found


class Project:
    """A checkout of the site: `.env` and `project/`, and beside it what it writes."""

    def __init__(self, folder: Path) -> None:
        self.repository = folder / "coralnet"
        shutil.copytree(LAYOUT, self.repository)
        (folder / "log").mkdir()
        self.log = folder / "log" / "coralnet.log"
        self.database = folder / "db.sqlite3"
        self.settings = self.repository / "project" / "config" / "settings.py"
        self.environment: dict[str, str] = {}

    def dotenv(self, **variables: str) -> None:
        lines = [f"{name}={value}" for name, value in variables.items()]
        (self.repository / ".env").write_text("\n".join([*lines, ""]))

    def edit(self, before: str, after: str) -> None:
        """In settings.py, which has the text once."""
        text = self.settings.read_text()
        assert text.count(before) == 1, before
        self.settings.write_text(text.replace(before, after))

    def python(self, *arguments: str) -> str:
        env = {
            **clean_environment(),
            "DJANGO_SETTINGS_MODULE": "config.settings",
            **self.environment,
        }
        command: list[str | Path] = [coralnet_server_with_wheel(), *arguments]
        return run(command, env=env, cwd=self.repository / "project")

    def found(self) -> Any:
        return json.loads(self.python("-c", FOUND).splitlines()[-1])


def set_spacer(project: Project) -> None:
    """The step that adds two keys to the dict that the reference reads too."""
    added = re.findall(r'^    "(?:BROKER_URL|RESULTS_PREFIX)": .*$', PAGE, re.MULTILINE)
    assert len(added) == 2
    project.edit("SPACER: dict[str, Any] = {", "\n".join(["SPACER: dict[str, Any] = {", *added]))


def choose(project: Project) -> None:
    """The step that sets the constant of production and staging."""
    line = block(PAGE, "SPACER_QUEUE_CHOICE").strip()
    assert line == f'SPACER_QUEUE_CHOICE = "{CELERY}"'
    project.edit('SPACER_QUEUE_CHOICE = "aws.queues.BatchQueue"', line)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    made.dotenv(SETTINGS_BASE="production")
    return made


@pytest.mark.parametrize("base", ["production", "staging"])
def test_the_keys_of_the_page_reach_the_package_beside_the_reference_s(
    base: str, project: Project
) -> None:
    project.dotenv(SETTINGS_BASE=base)
    set_spacer(project)
    choose(project)
    assert project.found() == {
        "queue": [CELERY, True],
        "broker": "redis://redis:6379/0",
        "results": "s3://coralnet-media/spacer",
        "points": 1000,
    }


def test_in_production_neither_env_nor_the_environment_chooses_the_queue(project: Project) -> None:
    project.dotenv(SETTINGS_BASE="production", SPACER_QUEUE_CHOICE=CELERY)
    project.environment = {"CORALNET_SPACER_QUEUE_CHOICE": CELERY}
    assert project.found()["queue"][0] == "aws.queues.BatchQueue"


def in_dotenv(project: Project) -> None:
    project.dotenv(SETTINGS_BASE="dev-local", SPACER_QUEUE_CHOICE=CELERY)


def in_environment(project: Project) -> None:
    project.dotenv(SETTINGS_BASE="dev-local")
    project.environment = {"CORALNET_SPACER_QUEUE_CHOICE": CELERY}


@pytest.mark.parametrize("chosen", [in_dotenv, in_environment])
def test_in_development_both_do(chosen: Callable[[Project], None], project: Project) -> None:
    project.dotenv(SETTINGS_BASE="dev-local")
    assert project.found()["queue"] == [LOCAL, True]
    chosen(project)
    assert project.found()["queue"] == [CELERY, True]


def test_a_variable_of_dotenv_is_known_once_the_site_reads_it(project: Project) -> None:
    project.dotenv(SETTINGS_BASE="dev-local", SPACER_BROKER_URL="redis://other:6379/1")
    # the default: nothing reads the variable yet
    assert project.found()["broker"] == "redis://localhost:6379/0"
    project.edit(
        "SPACER: dict[str, Any] = {",
        'SPACER: dict[str, Any] = {\n    "BROKER_URL": env("SPACER_BROKER_URL"),',
    )
    assert project.found()["broker"] == "redis://other:6379/1"
    project.environment = {"CORALNET_SPACER_BROKER_URL": "redis://third:6379/2"}
    assert project.found()["broker"] == "redis://third:6379/2"


def test_the_site_s_log_says_that_redis_is_away(project: Project) -> None:
    set_spacer(project)
    choose(project)
    project.edit("redis://redis:6379/0", "redis://127.0.0.1:1/0")
    collect = "import django; django.setup(); from vision_backend.queues import get_queue_class;"
    collect += " assert get_queue_class()().get_collectable_jobs() == []"
    project.python("-c", collect)
    assert "Redis does not answer" not in project.log.read_text()
    (before,) = re.findall(r"for CORALNET_APP_DIR in .*", project.settings.read_text())
    project.edit(before, block(PAGE, "CORALNET_APP_DIR").strip())
    project.python("-c", collect)
    assert "Redis does not answer" in project.log.read_text()


def test_the_app_stands_where_it_is_no_app_of_coralnet_s_and_needs_no_migration_of_its_own(
    project: Project,
) -> None:
    set_spacer(project)
    (app,) = re.findall(r'INSTALLED_APPS = \[\.\.\., "(.*)"\]', PAGE)
    project.edit('    "storages",', f'    "storages",\n    "{app}",')
    told = "import django; django.setup(); from django.conf import settings;"
    told += " print(settings.CORALNET_APP_DIRS)"
    assert "spacer" not in project.python("-c", told)
    # the site's kind of keys is another than the app's
    project.python("manage.py", "makemigrations", "--check", "--dry-run", "spacer_tasks_django")
    project.python("manage.py", "migrate", "-v0")
    with sqlite3.connect(project.database) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    assert any(name.startswith("spacer_tasks_django_") for name in tables)


STUCK = """
import json, sys, time, django
django.setup()
from datetime import datetime, timedelta
from django.utils import timezone
from jobs.models import Job
from spacer_tasks.coralnet import job_records
from spacer_tasks.jobs.records import JobRecord

for pk, status, modified_h, sent_h, level in json.loads(sys.argv[1]):
    moment = timezone.now() - timedelta(hours=modified_h)
    Job.objects.create(pk=pk, job_name="job", status=status, modify_date=moment)
    if sent_h is not None:
        record = JobRecord(
            task_id=f"task-{pk}", job_id=pk, task_name="train_classifier",
            queue="training.high" if level == "high" else "training",
            submitted_at=time.time() - sent_h * 3600)
        job_records().save(record, b"{}")
"""


def test_the_report_of_stuck_jobs_tells_those_of_the_page_oldest_first(project: Project) -> None:
    set_spacer(project)
    (app,) = re.findall(r'INSTALLED_APPS = \[\.\.\., "(.*)"\]', PAGE)
    # the records are in the database, so that no Redis is needed
    project.edit('    "storages",', f'    "storages",\n    "{app}",')
    project.python("manage.py", "migrate", "--run-syncdb", "-v0")
    # number, status, hours since it was changed, hours since it was sent, level
    jobs = [
        (1, "in_progress", 80, 80, "medium"),
        (2, "in_progress", 80, 80, "high"),
        (3, "in_progress", 195, 195, "high"),
        # told the day before
        (4, "in_progress", 100, 100, "medium"),
        (5, "in_progress", 71, 71, "medium"),
        # a job of the site's own, which no worker has
        (6, "in_progress", 85, None, ""),
        (7, "in_progress", 60, None, ""),
        (8, "success", 85, None, ""),
    ]
    report = f"{STUCK}\n{block(PAGE, 'stuck_jobs_to_report')}\n"
    report += "print(json.dumps([job.pk for job in stuck_jobs_to_report]))"
    told = json.loads(project.python("-c", report, json.dumps(jobs)).splitlines()[-1])
    assert told == [3, 6, 1]


def test_tests_of_the_site_take_the_queue_that_the_page_on_testing_names(project: Project) -> None:
    branch = block(TESTING_PAGE, "_TESTING").strip()
    under_test = FOUND.replace(
        "import json, django", "import sys; sys.argv.append('test')\nimport json, django"
    )
    assert json.loads(project.python("-c", under_test))["queue"] == [LOCAL, True]
    project.edit(f'if _TESTING:\n    SPACER_QUEUE_CHOICE = "{LOCAL}"', branch)
    chosen = json.loads(project.python("-c", under_test))["queue"]
    assert chosen == ["spacer_tasks.testing.coralnet.InProcessQueue", True]


SHARED = """
import json, sys, django
django.setup()
from huey import RedisHuey
from spacer_tasks.broker.client import broker_client
from spacer_tasks.coralnet import CeleryQueue

huey = RedisHuey("background_tasks", url=sys.argv[1], results=False)
huey.task(name="of_the_site")(lambda: None)()
where = {"storage_type": "filesystem", "key": "a", "bucket_name": None}
task = {"job_token": "1", "feature_loc": where, "classifier_loc": where}
job = {"task_name": "classify_features", "tasks": [task]}
CeleryQueue().submit_job(job, 1, "medium")
keys = sorted(key.decode() if isinstance(key, bytes) else key for key in broker_client().keys())
print(json.dumps({
    "keys": keys,
    "huey": [task.name for task in huey.pending()],
    "ours": [record.job_id for record in CeleryQueue().get_collectable_jobs()],
}))
"""


def test_huey_and_the_queue_do_not_meet_even_in_one_database(
    project: Project, settings_env: dict[str, str]
) -> None:
    set_spacer(project)
    # one that no other test looks into
    url = re.sub(r"/\d+$", "/7", settings_env["SPACER_BROKER_URL"])
    project.edit("redis://redis:6379/0", url)
    found = json.loads(project.python("-c", SHARED, url).splitlines()[-1])
    assert found["huey"] == ["of_the_site"]
    assert found["ours"] == [1]
    assert url.endswith("/7")
    of_huey = [key for key in found["keys"] if key.startswith("huey")]
    ours = [key for key in found["keys"] if key == "classify" or key.startswith("spacer-coralnet:")]
    assert of_huey
    assert ours

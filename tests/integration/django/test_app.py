"""The Django app's own tests, by Django's test runner: app/ is a site that has it.

They run in a process of their own, since Django is set up once for a whole process; with the
newest Django here, and with Django 4.2 where CoralNet's pins are installed.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spacer_tasks.demo.services import RedisServer
from tests.support.environments.installed import clean_environment, coralnet_python

SITE = Path(__file__).parent / "app"


@pytest.mark.parametrize(
    "python",
    [
        pytest.param(lambda: Path(sys.executable), id="newest"),
        pytest.param(coralnet_python, id="coralnet"),
    ],
)
def test_the_app_s_own_tests_pass(
    python: Callable[[], Path], redis_process: RedisServer, tmp_path: Path
) -> None:
    env = {
        **clean_environment(),
        "DJANGO_SETTINGS_MODULE": "settings",
        "REEF_DATABASE": str(tmp_path / "db.sqlite3"),
        # a database of its own: it is wiped
        "SPACER_BROKER_URL": redis_process.url.removesuffix("/0") + "/9",
        "SPACER_RESULTS_PREFIX": str(tmp_path / "results"),
        "SPACER_LOST_AFTER_S": "0.3",
        "PYTHONPATH": str(SITE),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    options = ["--noinput", "--pattern", "*_cases.py", str(SITE)]
    command: list[str | Path] = [python(), "-m", "django", "test", *options]
    done = subprocess.run(
        command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    # it also ends well where it finds none
    ran = re.search(r"^Ran (\d+) tests", done.stderr, re.MULTILINE)
    assert ran is not None
    assert int(ran.group(1)) > 20

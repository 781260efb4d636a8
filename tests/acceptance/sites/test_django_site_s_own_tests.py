"""A site that installed the base package alone runs its own tests with `spacer_tasks.testing`."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.support.environments.installed import NOWHERE, base_python, site_environment

SITE = Path(__file__).parent / "django_site"


def test_they_pass_without_servers_and_without_what_computes(tmp_path: Path) -> None:
    env = {
        **site_environment(NOWHERE, tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [base_python(), "manage.py", "test"],
        env=env,
        cwd=SITE,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    ran = re.search(r"^Ran (\d+) tests", done.stderr, re.MULTILINE)
    assert ran is not None
    assert int(ran.group(1)) == 7

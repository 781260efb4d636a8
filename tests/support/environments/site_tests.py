"""The own tests of the site that copies CoralNet's contract, by Django's test runner."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.checkout import CHECKOUT
from tests.support.environments.installed import NOWHERE, site_environment

CORALNET_SITE = CHECKOUT / "tests" / "acceptance" / "sites" / "coralnet_site"


def run_site_s_tests(python: str | Path, site: Path, packages: Sequence[Path], folder: Path) -> int:
    """Run them without servers; how many there were.

    Parameters
    ----------
    python
        Of an environment with Django, and with what jobs compute with.
    packages
        Folders in which more modules are found.
    folder
        Where the site keeps its database.
    """
    env = {
        **site_environment(NOWHERE, folder),
        "REEF_CACHE": str(folder),
        "DJANGO_SETTINGS_MODULE": "config.in_process",
        "PYTHONPATH": ":".join(map(str, (site, *packages))),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [python, "-m", "django", "test", "--pattern", "*_cases.py", "vision_backend"]
    done = subprocess.run(
        command, env=env, cwd=site, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    # it also ends well where it finds none
    ran = re.search(r"^Ran (\d+) tests", done.stderr, re.MULTILINE)
    assert ran is not None
    return int(ran.group(1))

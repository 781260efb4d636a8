"""A copy of CoralNet's contract, tested as CoralNet tests it: by Django's test runner, with the
test queue of `spacer_tasks.testing`, the reference installed and no server to be reached.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.support.checkout import CHECKOUT
from tests.support.environments.installed import NOWHERE, site_environment
from tests.support.environments.reference import reference_packages

SITE = Path(__file__).parent / "coralnet_site"


def test_the_site_s_own_tests_pass(tmp_path: Path) -> None:
    # the reference alone, beside what computes here; its torchvision is the site's stand-in
    for name, folder in (
        ("spacer", reference_packages()),
        ("torchvision", SITE / "stand_ins"),
    ):
        (tmp_path / name).symlink_to(folder / name)
    env = {
        **site_environment(NOWHERE, tmp_path),
        "REEF_CACHE": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "config.in_process",
        "PYTHONPATH": f"{SITE}:{tmp_path}:{CHECKOUT}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "django", "test", "--pattern", "*_cases.py", "vision_backend"]
    done = subprocess.run(
        command, env=env, cwd=SITE, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    # it also ends well where it finds none
    ran = re.search(r"^Ran (\d+) tests", done.stderr, re.MULTILINE)
    assert ran is not None
    assert int(ran.group(1)) == 16

"""A copy of CoralNet's contract, tested as CoralNet tests it: by Django's test runner, with the
test queue of `spacer_tasks.testing`, the reference installed and no server to be reached.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.checkout import CHECKOUT
from tests.support.environments.reference import Version, reference_packages
from tests.support.environments.site_tests import CORALNET_SITE, run_site_s_tests

VERSIONS: list[Version] = ["0.13.0", "0.14.0"]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_site_s_own_tests_pass(version: Version, tmp_path: Path) -> None:
    # the reference alone, beside what computes here; its torchvision is the site's stand-in
    for name, folder in (
        ("spacer", reference_packages(version)),
        ("torchvision", CORALNET_SITE / "stand_ins"),
    ):
        (tmp_path / name).symlink_to(folder / name)
    assert run_site_s_tests(sys.executable, CORALNET_SITE, [tmp_path, CHECKOUT], tmp_path) == 17

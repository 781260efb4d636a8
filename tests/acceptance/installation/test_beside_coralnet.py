"""`pip install` of the wheel, with its extra for CoralNet, into what CoralNet's servers
have, by the pip of each of its Pythons.
"""

from __future__ import annotations

import importlib
import json
import shutil
import sys
import time
from pathlib import Path

import pytest

from tests.support.environments.installed import coralnet_server, run, wheel
from tests.support.environments.interpreters import interpreter_of
from tests.support.environments.pins import ALL
from tests.support.environments.site_tests import CORALNET_SITE, run_site_s_tests

#: sends a job with Redis away, which needs all that a web process imports
SENDS = """
from spacer_tasks.coralnet import CeleryQueue
from spacer_tasks.exceptions import BrokerUnavailableError
job = {"task_name": "classify_features", "tasks": []}
where = {"storage_type": "filesystem", "key": "a", "bucket_name": None}
job["tasks"] = [{"job_token": "1", "feature_loc": where, "classifier_loc": where}]
try:
    CeleryQueue().submit_job(job, 1, "medium")
except BrokerUnavailableError:
    print("refused")
"""
#: of Kombu and Celery that were out before the oldest that we take
OLDEST = {"celery": (5, 5), "kombu": (5, 5)}
#: as both versions of pyspacer pin it
SCIKIT_LEARN = "scikit-learn==1.5.2"
TORCH = ("torch", "torchgen", "functorch", "filelock", "sympy", "mpmath", "networkx", "fsspec",
         "jinja2", "markupsafe")  # fmt: skip
#: what CI tries; the other Pythons and the older reference are for `make pins`
IN_CI = ("3.11", "pyspacer==0.14.0")


def installed(python: Path) -> dict[str, str]:
    listed = run([python, "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"])
    return {each["name"]: each["version"] for each in json.loads(listed)}


@pytest.mark.parametrize("reference", ["pyspacer==0.13.0", "pyspacer==0.14.0"])
@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12"])
@pytest.mark.parametrize("held", [None, "redis<4.6"])
def test_nothing_of_coralnet_s_is_changed(
    version: str, reference: str, held: str | None, tmp_path: Path
) -> None:
    if (version, reference) != IN_CI and not ALL:
        pytest.skip("each takes minutes to make a server: `make pins` runs all")
    if held and reference != "pyspacer==0.14.0":
        pytest.skip("the reference needs no redis-py: once is enough")
    interpreter = interpreter_of(version)
    if interpreter is None:
        pytest.skip(f"there is no Python {version} on this machine")
    server = tmp_path / "server"
    shutil.copytree(coralnet_server(interpreter, reference), server, symlinks=True)
    python = server / "bin" / "python"
    before = installed(python)
    start = time.monotonic()
    pip: list[str | Path] = [python, "-m", "pip", "install", "-q", "--no-compile"]
    install = [*pip, f"{wheel()}[coralnet]"]
    run([*install, held] if held else install)
    took = time.monotonic() - start
    after = installed(python)
    print(f"pip {before['pip']} of Python {version}, {reference}, {held}: {took:.1f} s")
    assert {name: after.get(name) for name in before} == before
    for name, oldest in OLDEST.items():
        assert tuple(map(int, after[name].split(".")[:2])) >= oldest
    # what pyspacer, installed without what it needs, lacks is not ours to mend
    complaints = run(["sh", "-c", f"'{python}' -m pip check || true"]).splitlines()
    assert [each for each in complaints if not each.startswith("pyspacer ")] in (
        [],
        ["No broken requirements found."],
    )
    env = {"SPACER_BROKER_URL": "redis://127.0.0.1:1/0", "SPACER_RESULTS_PREFIX": str(tmp_path)}
    assert run([python, "-c", SENDS], env=env).split() == ["refused"]


def test_a_site_s_own_tests_run_in_coralnet_s_environment(tmp_path: Path) -> None:
    """With the extras for tests and for the command line, and what pyspacer 0.13 asks for."""
    if not ALL:
        pytest.skip("takes minutes to make a server: `make pins` runs it")
    server = tmp_path / "server"
    shutil.copytree(coralnet_server(sys.executable, "pyspacer==0.13.0"), server, symlinks=True)
    python = server / "bin" / "python"
    pip: list[str | Path] = [python, "-m", "pip", "install", "-q", "--no-compile"]
    run([*pip, SCIKIT_LEARN])
    before = installed(python)
    run([*pip, f"{wheel()}[coralnet,cli,testing]"])
    after = installed(python)
    assert {name: after.get(name) for name in before} == before
    assert "CoralNet's jobs" in run([python.with_name("spacer-tasks"), "jobs", "--help"])
    # of torch, which takes minutes, this process's, with what it needs
    packages = Path(importlib.import_module("torch").__file__ or "").parents[1]
    for name in TORCH:
        if (packages / name).exists():
            (tmp_path / name).symlink_to(packages / name)
    (tmp_path / "torchvision").symlink_to(CORALNET_SITE / "stand_ins" / "torchvision")
    ran = run_site_s_tests(python, CORALNET_SITE, [tmp_path], tmp_path)
    assert ran > 10

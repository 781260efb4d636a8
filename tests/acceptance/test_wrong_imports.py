"""`make lint` holds the floors: one wrong import, anywhere, is told by its name."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import CHECKOUT
from tests.support.environments.installed import clean_environment

LINT_S = 120

#: what is added to which file, and the arrow that lint-imports should name
WRONG = {
    "to the floor above": (
        "spacer_tasks/storage/base.py",
        "from spacer_tasks.results import find_answer",
        "spacer_tasks.storage.base -> spacer_tasks.results",
    ),
    "to a room beside": (
        "spacer_tasks/config/settings.py",
        "import spacer_tasks.data_classes.labels",
        "spacer_tasks.config.settings -> spacer_tasks.data_classes.labels",
    ),
    "inside a function": (
        "spacer_tasks/broker/client.py",
        "def later():\n    from spacer_tasks.worker import watchdog",
        "spacer_tasks.broker.client -> spacer_tasks.worker.watchdog",
    ),
    "for a type checker": (
        "spacer_tasks/jobs/states.py",
        "import typing\nif typing.TYPE_CHECKING:\n    from spacer_tasks import coralnet",
        "spacer_tasks.jobs.states -> spacer_tasks.coralnet",
    ),
    "relative": (
        "spacer_tasks/messages/parsing.py",
        "from ..cli import program",
        "spacer_tasks.messages.parsing -> spacer_tasks.cli.program",
    ),
    "through the public face": (
        "spacer_tasks/storage/s3.py",
        "from spacer_tasks import extract_features",
        "spacer_tasks.storage.s3 -> spacer_tasks",
    ),
    "in a circle, inside a room": (
        "spacer_tasks/execution/lock_renewal.py",
        "from spacer_tasks.execution import lock",
        "lock_renewal",
    ),
    "of what computes, in a web process": (
        "spacer_tasks/tasks.py",
        "import numpy",
        "spacer_tasks.tasks -> numpy",
    ),
    "of what computes, by way of another module": (
        "spacer_tasks/broker/contract.py",
        "def later():\n    import torch.nn",
        "spacer_tasks.broker.contract -> torch",
    ),
    "of boto3": (
        "spacer_tasks/results.py",
        "import boto3",
        "spacer_tasks.results -> boto3",
    ),
    "of tests, by the package": (
        "spacer_tasks/operations.py",
        "import tests.support.photos",
        "spacer_tasks.operations -> tests.support.photos",
    ),
    "of a command, by a worker's file": (
        "workers/feature_worker.py",
        "import spacer_tasks.cli.program",
        "workers.feature_worker -> spacer_tasks.cli.program",
    ),
    "of a benchmark, by a deployment's script": (
        "deploy/smoke.py",
        "import benchmarks.goals",
        "deploy.smoke -> benchmarks.goals",
    ),
    "of acceptance tests, by integration tests": (
        "tests/integration/__init__.py",
        "import tests.acceptance.conftest",
        "tests.integration -> tests.acceptance.conftest",
    ),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of all that is linted."""
    folder = tmp_path_factory.mktemp("tree")
    ignored = shutil.ignore_patterns("__pycache__", "fixtures")
    for name in ("spacer_tasks", "workers", "benchmarks", "deploy", "tests"):
        shutil.copytree(CHECKOUT / name, folder / name, ignore=ignored)
    shutil.copyfile(CHECKOUT / "pyproject.toml", folder / "pyproject.toml")
    return folder


def lint_imports(tree: Path) -> tuple[int, str]:
    """How `make lint` would end there, and what it would say, without its line breaks."""
    (command,) = re.findall(
        r"^\t\$\(BIN\)/(lint-imports.*)$", (CHECKOUT / "Makefile").read_text(), re.MULTILINE
    )
    program, *options = command.split()
    done = subprocess.run(
        [Path(sys.executable).with_name(program), *options],
        cwd=tree,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=LINT_S,
        check=False,
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_the_tree_as_it_is_keeps_every_contract(tree: Path) -> None:
    code, said = lint_imports(tree)
    assert code == 0, said
    assert "0 broken" in said


@pytest.mark.parametrize("kind", WRONG)
def test_one_wrong_import_is_named(tree: Path, kind: str) -> None:
    file, added, arrow = WRONG[kind]
    path = tree / file
    before = path.read_text(encoding="utf-8")
    path.write_text(f"{before}\n{added}\n", encoding="utf-8")
    try:
        code, said = lint_imports(tree)
    finally:
        path.write_text(before, encoding="utf-8")
    assert code == 1, said
    assert arrow in said

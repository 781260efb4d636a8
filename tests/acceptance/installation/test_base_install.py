"""What a web process installs: `pip install spacer-tasks`, and nothing that computes."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.checkout import CHECKOUT
from tests.support.environments.installed import base_python, other_python, run, wheel
from tests.support.environments.interpreters import interpreter_of
from tests.support.environments.pins import IN_PINS

#: what computes, by the names that are imported
COMPUTING = ["torch", "numpy", "scipy", "sklearn", "PIL", "safetensors", "boto3"]

LOADED = """
import sys, time
start = time.perf_counter()
import spacer_tasks.tasks
seconds = time.perf_counter() - start
print([name for name in {names} if name in sys.modules], round(seconds, 2))
"""

ROUND_TRIP = """
import json, sys
import spacer_tasks.tasks, spacer_tasks.workflows
from spacer_tasks.messages import ExtractFeaturesMsg
from spacer_tasks.messages.parsing import parse
print(json.dumps(parse(ExtractFeaturesMsg, sys.argv[1]).to_wire()))
"""

WITHOUT = """
import sys
for name in {names}:
    sys.modules[name] = None
import spacer_tasks.app, spacer_tasks.messages, spacer_tasks.tasks, spacer_tasks.workflows
import spacer_tasks.results, spacer_tasks.data_classes, spacer_tasks.coralnet
print(sorted(name for name in spacer_tasks.app.app.tasks if name.startswith("spacer_tasks.")))
"""

MESSAGE = {
    "job_token": "1",
    "extractor": {
        "class_path": "dummy",
        "feature_dim": 8,
        "data_hashes": {},
        "data_locations": {},
    },
    "rowcols": [[1, 2], [3, 4]],
    "image_loc": {"storage_type": "s3", "key": "a.png", "bucket_name": "b"},
    "feature_loc": {"storage_type": "s3", "key": "a.npz", "bucket_name": "b"},
}


@pytest.fixture(scope="module")
def python() -> Path:
    return base_python()


def test_importing_the_tasks_loads_nothing_that_computes(python: Path) -> None:
    loaded, seconds = run([python, "-c", LOADED.format(names=COMPUTING)]).rsplit(maxsplit=1)
    # shown by `pytest -rP`; how long it may take depends on the machine, so nothing is asserted
    print(f"importing spacer_tasks.tasks took {seconds} s")
    assert loaded == "[]"


def test_importing_the_tasks_does_not_load_the_redis_client(python: Path) -> None:
    assert run([python, "-c", LOADED.format(names=["redis"])]).startswith("[] ")


def test_nothing_that_computes_is_installed(python: Path) -> None:
    listed = json.loads(run([python, "-m", "pip", "list", "--format", "json"]))
    names = {package["name"].lower() for package in listed}
    assert "spacer-tasks" in names
    assert not names & {"torch", "numpy", "scipy", "scikit-learn", "pillow", "safetensors"}


def test_the_wheel_holds_one_package() -> None:
    with zipfile.ZipFile(wheel()) as archive:
        names = archive.namelist()
    top = {name.partition("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"spacer_tasks"}
    assert "spacer_tasks/py.typed" in names


def test_the_base_modules_need_nothing_that_computes() -> None:
    without = WITHOUT.format(names=COMPUTING)
    names = run([sys.executable, "-c", without], cwd=CHECKOUT)
    assert "spacer_tasks.extract_features" in names
    assert "spacer_tasks.train_many" in names


@pytest.mark.parametrize("version", ["3.10", pytest.param("3.12", marks=IN_PINS)])
def test_other_pythons_read_and_write_messages(version: str) -> None:
    interpreter = interpreter_of(version)
    if interpreter is None:
        pytest.skip(f"there is no Python {version} on this machine")
    python = other_python(interpreter)
    assert json.loads(run([python, "-c", ROUND_TRIP, json.dumps(MESSAGE)])) == MESSAGE

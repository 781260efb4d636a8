"""Someone who installed the wheel, and has no checkout, starts each kind of worker."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from email.parser import Parser
from functools import partial
from pathlib import Path

import pytest

from spacer_tasks import storage
from spacer_tasks.app import app
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.processes import process
from spacer_tasks.tasks import extract_features
from tests.support.environments.installed import clean_environment, run, wheel, worker_environment
from tests.support.photos import DUMMY, photo
from tests.support.workers import START_S

KINDS = ("features", "training", "classify")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder outside the checkout."""
    return tmp_path_factory.mktemp("elsewhere")


def answers(worker: str) -> bool:
    return bool(app.control.ping(destination=[worker], timeout=0.5))


@pytest.fixture(scope="module")
def workers(queue: None, settings_env: dict[str, str], elsewhere: Path) -> Iterator[None]:
    """One worker of each kind, by the installed program."""
    program = worker_environment() / "bin" / "spacer-tasks"
    logs = elsewhere.with_name("logs")
    with ExitStack() as stack:
        for kind in KINDS:
            stack.enter_context(
                process(
                    [program, "worker", kind, "--concurrency=1", f"--hostname={kind}@pip"],
                    env={**clean_environment(), **settings_env},
                    cwd=elsewhere,
                    log_path=logs / f"{kind}.log",
                    ready=partial(answers, f"{kind}@pip"),
                    ready_timeout_s=START_S,
                    name=kind,
                )
            )
        yield


def test_the_checkout_cannot_be_imported_there(elsewhere: Path) -> None:
    python = worker_environment() / "bin" / "python"
    code = "from importlib.util import find_spec as f; print([f(n) for n in {}], f('spacer_tasks'))"
    names = ["workers", "celeryconfig", "tests"]
    printed = run([python, "-c", code.format(names)], cwd=elsewhere)
    assert printed.startswith("[None, None, None]")
    assert str(worker_environment()) in printed


def test_the_extra_worker_brings_the_command_line() -> None:
    with zipfile.ZipFile(wheel()) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    needed = [
        re.split(r"\W", line)[0]
        for line in metadata.get_all("Requires-Dist", [])
        if "extra == 'worker'" in line
    ]
    assert {"torch", "typer", "rich"} <= set(needed)


@pytest.mark.usefixtures("workers")
def test_each_kind_of_worker_consumes_its_queues() -> None:
    found = app.control.inspect(timeout=60, destination=[f"{kind}@pip" for kind in KINDS])
    queues = {
        name.partition("@")[0]: [queue["name"] for queue in consumed]
        for name, consumed in (found.active_queues() or {}).items()
    }
    assert queues == {
        "features": ["features", "features.high"],
        "training": ["training", "training.high"],
        "classify": ["classify"],
    }


@pytest.mark.usefixtures("workers")
def test_a_feature_worker_finds_its_extractors(bucket: str) -> None:
    image = DataLocation.parse(f"s3://{bucket}/a.png")
    storage.store(image, photo("sand", 1))
    features = DataLocation.parse(f"s3://{bucket}/a.npz")
    extract_features.delay(
        {
            "job_token": "1",
            "extractor": DUMMY.model_dump(mode="json"),
            "rowcols": [[3, 4]],
            "image_loc": image.model_dump(),
            "feature_loc": features.model_dump(),
        }
    ).get(timeout=120)
    assert storage.exists(features)

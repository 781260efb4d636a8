"""The conftest of the reference's tests: `spacer` is the reference, or `spacer_tasks.compat`.

It runs in environments of both, and imports nothing of this checkout by itself. It writes how each
test ended to the file that `SUITE_RESULTS` names.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
OUTCOMES: dict[str, str] = {}


def declare_torchvision_s_operators() -> None:
    """Let torchvision be imported beside a torch for CPUs, where its own operators do not load.

    The tests use its transforms, which need none of them; it asks for these all the same.
    """
    torch = importlib.import_module("torch")
    for name in ("nms", "qnms"):
        schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        torch.library.define(f"torchvision::{name}", schema)
    importlib.import_module("torchvision")


def stand_in() -> None:
    """Give each module of `spacer_tasks.compat` the reference's name too."""
    compat = importlib.import_module("spacer_tasks.compat")
    sys.modules["spacer"] = compat
    for module in pkgutil.walk_packages(compat.__path__, "spacer_tasks.compat."):
        theirs = "spacer." + module.name.removeprefix("spacer_tasks.compat.")
        sys.modules[theirs] = importlib.import_module(module.name)


declare_torchvision_s_operators()
if os.environ["SUITE_SIDE"] == "compat":
    stand_in()
# its tests import one another as `spacer.tests`
importlib.import_module("spacer").__path__.append(str(HERE / "theirs"))


def pytest_runtest_logreport(report: Any) -> None:
    """Note how a test ended; what failed in any part of it failed."""
    name = report.nodeid.partition("theirs/tests/")[2]
    worst = ["passed", "skipped", "failed"]
    before = OUTCOMES.get(name, "passed")
    OUTCOMES[name] = max(before, report.outcome, key=worst.index)


def pytest_collectreport(report: Any) -> None:
    """Note a file that cannot be imported."""
    if report.failed:
        OUTCOMES[report.nodeid.partition("theirs/tests/")[2]] = "failed"


def pytest_sessionfinish() -> None:
    """Write what was noted."""
    Path(os.environ["SUITE_RESULTS"]).write_text(json.dumps(OUTCOMES), encoding="utf-8")

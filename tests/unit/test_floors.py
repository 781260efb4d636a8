"""The rooms of the package: each stands on a floor, none is too full, and prose names what is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tomllib

from tests.support.checkout import CHECKOUT

MAX_MODULES = 12
#: in a folder's `__init__.py`, where it holds more
REASON = re.compile(rf"^# more than {MAX_MODULES} modules: \w+", re.MULTILINE)

#: files of others that prose names, and whose they are
ELSEWHERE = {
    "spacer/mailman.py": "the images'",
    "mysite/spacer_callbacks.py": "a site's",
    "python/caffe/proto/__init__.py": "Caffe's",
    "vision_backend/callbacks.py": "CoralNet's",
    "jobs/tasks.py": "CoralNet's",
    "efficientnet/lite/efficientnet_lite_builder.py": "the authors' of EfficientNet-Lite",
}


def floors() -> list[list[str]]:
    """The floors that import-linter checks, the uppermost first."""
    settings = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (
        contract
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["id"] == "floors"
    )
    return [re.split(r" [|:] ", layer) for layer in contract["layers"]]


def rooms() -> set[str]:
    """What there is: the modules of the package, and what stands beside it."""
    package = CHECKOUT / "spacer_tasks"
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    folders = {path.name for path in package.iterdir() if any(path.glob("*.py"))}
    beside = {"workers", "deploy", "benchmarks"}
    return {f"spacer_tasks.{name}" for name in modules | folders} | beside


def test_every_room_stands_on_one_floor() -> None:
    listed = [room for floor in floors() for room in floor]
    assert sorted(listed) == sorted(rooms())


def too_full(package: Path) -> list[str]:
    """Folders that hold more modules than `MAX_MODULES`, and do not say why."""
    found = []
    for init in sorted(package.rglob("__init__.py")):
        modules = [path for path in init.parent.glob("*.py") if path != init]
        if len(modules) > MAX_MODULES and not REASON.search(init.read_text(encoding="utf-8")):
            found.append(f"{init.parent.relative_to(package.parent)}: {len(modules)} modules")
    return found


def test_no_folder_is_too_full_without_a_reason() -> None:
    assert too_full(CHECKOUT / "spacer_tasks") == []


@pytest.mark.parametrize(
    ("init", "expected"),
    [
        ("", ["reef/crowded: 13 modules"]),
        ("# more than 12 modules:\n", ["reef/crowded: 13 modules"]),
        ("# more than 12 modules: each is a layer of the same net\n", []),
    ],
)
def test_a_folder_that_is_too_full_is_found(tmp_path: Path, init: str, expected: list[str]) -> None:
    crowded = tmp_path / "reef" / "crowded"
    crowded.mkdir(parents=True)
    (tmp_path / "reef" / "__init__.py").touch()
    (crowded / "__init__.py").write_text(init)
    for number in range(MAX_MODULES + 1):
        (crowded / f"layer_{number}.py").touch()
    assert too_full(tmp_path / "reef") == expected


def test_files_that_prose_names_are_there() -> None:
    folders = ["spacer_tasks", "workers", "deploy", "benchmarks", "tests", "docs", ".ci"]
    files = [path for folder in folders for path in (CHECKOUT / folder).rglob("*.py")]
    files += CHECKOUT.glob("*.py")
    names = {path.relative_to(CHECKOUT).as_posix() for path in files}
    prose = [CHECKOUT / "README.md", *(CHECKOUT / "docs").glob("*.md")]
    prose += [CHECKOUT / "Makefile", CHECKOUT / "pyproject.toml"]
    prose += [path for path in files if not path.is_relative_to(CHECKOUT / "tests")]
    missing = []
    for path in prose:
        for name in re.findall(r"(?<![\w/.*-])[\w./-]*\w\.py\b", path.read_text(encoding="utf-8")):
            shown = name.removeprefix("../")
            known = shown in ELSEWHERE or any(f"/{file}".endswith(f"/{shown}") for file in names)
            if not known:
                missing.append(f"{path.relative_to(CHECKOUT)}: {name}")
    assert missing == []

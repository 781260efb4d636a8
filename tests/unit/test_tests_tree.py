"""The tests stand where what they test does, and share only what is in `tests/support`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.checkout import CHECKOUT

TESTS = CHECKOUT / "tests"
#: of what no folder of the package is the subject: the benchmarks, and the reference beside us
OTHER_ROOMS = {"unit": {"benchmarks"}, "integration": {"reference"}}
#: a folder with more is asked whether it is two
MODULES = 12


def imported(path: Path) -> Iterator[str]:
    """What a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{each.name}" for each in node.names)


def imports_of_tests(folder: Path) -> list[str]:
    """Which files take something from a module of tests."""
    return [
        f"{path.relative_to(folder)} imports {name}"
        for path in sorted(folder.rglob("*.py"))
        for name in imported(path)
        if name.startswith("tests.") and any(part.startswith("test_") for part in name.split("."))
    ]


def test_no_test_takes_anything_from_another() -> None:
    """That kinds of tests do not either is a contract of import-linter's, in pyproject.toml."""
    assert imports_of_tests(TESTS) == []


@pytest.mark.parametrize(
    "line",
    [
        "from tests.unit.storage.test_policy import messages",
        "from tests.unit.storage import test_policy as policy",
        "def test() -> None:\n    import tests.fuzz.test_files",
    ],
)
def test_such_an_import_is_found(line: str, tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text(line)
    assert len(imports_of_tests(tmp_path)) == 1


@pytest.mark.parametrize("kind", ["unit", "integration"])
def test_each_folder_of_tests_has_the_name_of_a_folder_of_the_package(kind: str) -> None:
    folders = {
        str(path.parent.relative_to(TESTS / kind)) for path in (TESTS / kind).rglob("test_*.py")
    }
    rooms = {
        str(path.parent.relative_to(CHECKOUT / "spacer_tasks"))
        for path in (CHECKOUT / "spacer_tasks").rglob("*.py")
    }
    assert folders - OTHER_ROOMS[kind] <= rooms


def test_no_folder_of_tests_holds_more_modules_than_one_sees_at_once() -> None:
    counts = {}
    for folder in (path.parent for path in TESTS.rglob("__init__.py")):
        modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        counts[str(folder.relative_to(TESTS))] = len(modules)
    assert {name: count for name, count in counts.items() if count > MODULES} == {}

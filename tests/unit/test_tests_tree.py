"""The tests stand where what they test does, and share only what is in `tests/support`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.checkout import CHECKOUT

TESTS = CHECKOUT / "tests"
KINDS = ("unit", "integration", "acceptance", "fuzz", "soak")
#: of what no folder of the package is the subject: the benchmarks, and the reference beside us
OTHER_ROOMS = {"unit": {"benchmarks"}, "integration": {"reference"}}
#: a folder with more is asked whether it is two
MODULES = 12


def imported(path: Path) -> Iterator[str]:
    """The modules of the tests that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{each.name}" for each in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "tests")


def wrong_imports(folder: Path, kind: str) -> list[str]:
    """What tests of a kind, or what they share, take from where they should not."""
    found = []
    for path in sorted((folder / kind).rglob("*.py")):
        for name in imported(path):
            parts = name.split(".")
            of_others = parts[1] in KINDS and parts[1] != kind
            of_a_test = any(part.startswith("test_") for part in parts)
            if of_others or of_a_test:
                found.append(f"{path.relative_to(folder)} imports {name}")
    return found


@pytest.mark.parametrize("kind", [*KINDS, "support"])
def test_no_kind_of_tests_imports_another_and_no_test_imports_a_test(kind: str) -> None:
    assert wrong_imports(TESTS, kind) == []


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("unit", "from tests.integration.mailman import site"),
        ("integration", "def test() -> None:\n    from tests.acceptance.conftest import bucket"),
        ("integration", "import tests.soak.work"),
        ("support", "from tests.unit import storage"),
        ("unit", "from tests.unit.storage.test_policy import messages"),
        ("unit", "from tests.unit.storage import test_policy as policy"),
    ],
)
def test_such_an_import_is_found(kind: str, line: str, tmp_path: Path) -> None:
    (tmp_path / kind).mkdir()
    (tmp_path / kind / "test_one.py").write_text(line)
    assert len(wrong_imports(tmp_path, kind)) == 1


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

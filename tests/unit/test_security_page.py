"""docs/security.md and the guards that stand behind it."""

from __future__ import annotations

import ast
import re
from functools import lru_cache

import pytest

from tests.guards.listed import GUARDS, Guard
from tests.support.checkout import CHECKOUT

PAGE = CHECKOUT / "docs" / "security.md"


@lru_cache(maxsize=1)
def known_tests() -> set[str]:
    """The names of all tests."""
    names = set()
    for path in (CHECKOUT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                names.add(node.name)
    return names


def test_the_tests_that_the_page_names_are_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text(encoding="utf-8")))
    assert len(named) > 40
    assert sorted(named - known_tests()) == []


def test_the_files_that_the_page_names_are_there() -> None:
    named = set(re.findall(r"`((?:tests|deploy|spacer)/[\w./-]+)`", PAGE.read_text()))
    # where the images have it
    missing = [name for name in named - {"spacer/mailman.py"} if not (CHECKOUT / name).exists()]
    assert sorted(missing) == []


def test_each_promise_names_a_test() -> None:
    # a promise is an entry of a list under these headings
    text = PAGE.read_text(encoding="utf-8")
    promises = []
    for heading in (
        "No code from data",
        "Users",
        "Results",
        "Signed messages",
        "Workers that hang",
    ):
        section = re.split(r"^#+ ", text.partition(f"# {heading}\n")[2], flags=re.MULTILINE)[0]
        assert section, heading
        promises += re.findall(r"^- (.+?)(?=^- |^\S|\Z)", section, re.MULTILINE | re.DOTALL)
    assert len(promises) > 12
    assert [each for each in promises if "`test_" not in each] == []


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_a_guard_is_where_its_removal_looks_for_it(guard: Guard) -> None:
    # whether a test fails without it: `make guards`
    assert guard.text in (CHECKOUT / guard.file).read_text(encoding="utf-8")
    assert guard.text != guard.instead
    for path in guard.tests:
        if path.startswith("tests/"):
            assert (CHECKOUT / path).exists()


def test_no_two_guards_have_one_name() -> None:
    assert len({guard.name for guard in GUARDS}) == len(GUARDS)

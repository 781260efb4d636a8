"""Each public name of the reference's is on the page for its users, and is where it says."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.support.checkout import CHECKOUT
from tests.support.environments.reference import Version, reference_packages

PAGE = (CHECKOUT / "docs" / "from-pyspacer.md").read_text(encoding="utf-8")
VERSIONS: list[Version] = ["0.13.0", "0.14.0"]


def rows() -> list[tuple[list[str], str]]:
    """Of all tables: the names of the reference's in a row, and what the row says is here."""
    found = []
    for theirs, ours in re.findall(r"^\| ([^|]*`[^|]*) \| ([^|]*) \|$", PAGE, re.MULTILINE):
        names = [re.split(r"[(\s]", name)[0] for name in re.findall(r"`([^`]+)`", theirs)]
        found.append((names, ours))
    return found


def here_instead(module: str, name: str) -> str | None:
    """What the page says of a name."""
    for names, ours in rows():
        for each in names:
            # a whole module, a pattern, or the name: some are known by a module above their own
            whole = each == module or fnmatch(f"{module}.{name}", each)
            if whole or each.rpartition(".")[2] == name:
                return ours
    # of settings, the page has one line: `spacer.config.NAME`
    if module == "spacer.config" and name.isupper():
        return here_instead("spacer.config", "NAME")
    return None


def defined(version: Version) -> Iterator[tuple[str, str]]:
    """The functions, classes and variables of its modules, without those that are private."""
    packages = reference_packages(version)
    for path in sorted((packages / "spacer").rglob("*.py")):
        parts = path.relative_to(packages).with_suffix("").parts
        module = ".".join(part for part in parts if part != "__init__")
        for name in names_in(path):
            if not name.startswith("_") and name != "logger":
                yield module, name


def names_in(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (each.id for each in node.targets if isinstance(each, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


@pytest.mark.parametrize("version", VERSIONS)
def test_each_public_name_of_the_reference_s_is_on_the_page(version: Version) -> None:
    found = list(defined(version))
    assert len(found) > 100
    assert [
        f"{module}.{name}" for module, name in found if here_instead(module, name) is None
    ] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_each_is_importable_from_compat_but_for_those_that_the_page_says_are_not(
    version: Version,
) -> None:
    missing = set()
    for module, name in defined(version):
        compat = module.replace("spacer", "spacer_tasks.compat", 1)
        try:
            there = hasattr(importlib.import_module(compat), name)
        except ModuleNotFoundError:
            there = False
        said = here_instead(module, name) or ""
        if not there and not said.startswith("none") and module != "spacer.mailman":
            missing.add(f"{module}.{name}: {said}")
    assert missing == set()


def test_what_the_page_names_here_is_here() -> None:
    named = set(re.findall(r"`(spacer_tasks(?:\.\w+)+)", "\n".join(ours for _, ours in rows())))
    assert len(named) > 20
    for dotted in sorted(named):
        module, _, name = dotted.rpartition(".")
        try:
            found: object = importlib.import_module(dotted)
        except ModuleNotFoundError:
            found = getattr(importlib.import_module(module), name)
        assert found is not None, dotted

"""`from spacer_tasks import …`: the public names, each imported at its first use."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import spacer_tasks
from tests.support.checkout import CHECKOUT

#: what `import spacer_tasks` may not load: a process that only reads its version waits for none
HEAVY = ["celery", "kombu", "redis", "pydantic", "boto3", "numpy", "sklearn", "torch", "PIL"]

LOADED = f"""
import sys
before = set(sys.modules)
import spacer_tasks
dir(spacer_tasks)
print(sorted(name for name in set(sys.modules) - before if name.startswith("spacer_tasks.")))
print([name for name in {HEAVY} if name in sys.modules])
"""

#: what a caller of ours writes, and what a type checker should make of it
TYPED = """
from spacer_tasks import DataLocation, ExtractFeaturesMsg, Priority, cancel, extract_features
from spacer_tasks import load_answer
sent = extract_features.apply_async([{}], priority=Priority.BULK)
reveal_type(cancel(sent.id))
reveal_type(load_answer(sent))
reveal_type(DataLocation.parse("a").uri)
reveal_type(ExtractFeaturesMsg.model_validate({}))
reveal_type(extract_features)
"""


def python(*arguments: str) -> str:
    """What a process of its own prints."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert not done.stderr, done.stderr
    return done.stdout


def test_importing_the_package_loads_its_version_and_nothing_else() -> None:
    assert python("-c", LOADED).splitlines() == ["['spacer_tasks.version']", "[]"]


@pytest.mark.parametrize("name", spacer_tasks.__all__)
def test_every_public_name_is_there_and_listed(name: str) -> None:
    assert getattr(spacer_tasks, name) is not None
    assert name in dir(spacer_tasks)


def test_the_tasks_are_what_the_face_gives_and_the_functions_stay_in_operations() -> None:
    from spacer_tasks import extract_features, operations, tasks

    assert extract_features is tasks.extract_features
    function: object = operations.extract_features
    assert function is not extract_features


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'extract_feature'"):
        _ = spacer_tasks.extract_feature
    with pytest.raises(ImportError, match="cannot import name 'extract_feature'"):
        exec("from spacer_tasks import extract_feature")


def test_type_checkers_and_the_interpreter_are_told_the_same() -> None:
    tree = ast.parse(Path(spacer_tasks.__file__).read_text())
    (guarded,) = (node for node in tree.body if isinstance(node, ast.If))
    told = {
        alias.name: str(node.module)
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    homes = {name: f"spacer_tasks.{home}" for name, home in spacer_tasks._HOMES.items()}
    assert told == homes
    assert sorted(homes) == sorted(set(spacer_tasks.__all__) - {"__version__"})


def test_a_type_checker_sees_the_names(tmp_path: Path) -> None:
    snippet = tmp_path / "caller.py"
    snippet.write_text(TYPED)
    shown = python("-m", "mypy", "--strict", str(snippet))
    revealed = [line.split('"')[1] for line in shown.splitlines() if "Revealed type" in line]
    assert revealed[:3] == ["bool", "dict[str, Any]", "str"], shown
    assert "ExtractFeaturesMsg" in revealed[3]
    # a task of Celery's stubs, not `Any`
    assert "Task" in revealed[4]
    assert shown.splitlines()[-1] == "Success: no issues found in 1 source file"


def test_what_computes_says_what_to_install_where_that_is_missing() -> None:
    shown = python(
        "-c",
        "import sys; sys.modules['numpy'] = None\n"
        "import spacer_tasks\n"
        "try: spacer_tasks.features_are_current\n"
        "except ModuleNotFoundError as error: print(error)",
    )
    assert shown.startswith("spacer_tasks.features_are_current computes, which needs 'numpy'")
    assert "[worker]" in shown

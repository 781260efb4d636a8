"""The page on installing: its commands are run as they stand there, and no other page has any."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.support.checkout import CHECKOUT
from tests.support.environments.installed import (
    activated,
    install_commands,
    run,
    worker_environment,
)

PAGE = CHECKOUT / "docs" / "install.md"


def test_the_command_for_a_checkout_installs_the_program() -> None:
    assert install_commands()[0] == "pip install '.[worker,cli]'"
    folder = worker_environment()
    shown = run([folder / "bin" / "spacer-tasks", "--help"])
    for command in ("extract", "train", "classify", "worker"):
        assert re.search(rf"^\W*{command} ", shown, re.MULTILINE), shown
    found = run([folder / "bin" / "python", "-c", "import spacer_tasks; print(spacer_tasks)"])
    assert str(folder) in found


@pytest.mark.skipif(
    shutil.which("git") is None or not (CHECKOUT / ".git").exists(),
    reason="the repository itself is installed from: needs git, and its folder .git",
)
def test_the_command_for_an_address_installs_the_package(tmp_path: Path) -> None:
    address = "https://git.example.org/spacer-tasks.git"
    line = install_commands()[1].replace("<address>", address)
    # what the package needs is shown to install by the test above
    line = line.replace("pip install", "pip install --no-deps")
    folder = tmp_path / "environment"
    run([sys.executable, "-m", "venv", folder])
    env = {
        **activated(folder),
        # git finds this repository at the address
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{CHECKOUT}.insteadOf",
        "GIT_CONFIG_VALUE_0": address,
    }
    run(["sh", "-c", line], env=env, cwd=tmp_path)
    listed = run([folder / "bin" / "python", "-m", "pip", "freeze"])
    assert f"spacer-tasks @ git+{address}@" in listed
    assert (folder / "bin" / "spacer-tasks").exists()


def test_an_extra_is_added_by_its_name_where_the_package_is_installed(tmp_path: Path) -> None:
    command = "pip install 'spacer-tasks[demo]'"
    assert f"`{command}`" in PAGE.read_text(encoding="utf-8")
    folder = worker_environment()
    # no index, and the package is found; what the extra brings is not there and cannot be got
    line = command.replace("demo", "worker,cli")
    env = {**activated(folder), "PIP_NO_INDEX": "1"}
    assert "Requirement already satisfied: spacer-tasks" in run(["sh", "-c", line], env=env)


def test_no_other_page_says_how_to_install() -> None:
    pages = [CHECKOUT / "README.md", *(CHECKOUT / "docs").glob("*.md")]
    told = re.compile(r"pip install[^`\n]*spacer-tasks|pip install[^`\n]* '?\.(\W|$)")
    assert {page.name for page in pages if told.search(page.read_text(encoding="utf-8"))} == {
        PAGE.name
    }
    for page in pages:
        if "extra `" in page.read_text(encoding="utf-8") and page != PAGE:
            assert "install.md" in page.read_text(encoding="utf-8"), page

"""The archives that `python -m build` makes hold the package, whatever else lies beside it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.support.checkout import CHECKOUT

#: beside the package, in the source archive; the last two are the builder's
BESIDE = {
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "pyproject.toml",
    ".gitignore",
    "PKG-INFO",
}
#: what a checkout collects: by people, editors, other tools
STRAYS = [
    ".env",
    "secrets.json",
    "notes.txt",
    "scratch.py",
    "wheels/torch-2.13.0-cp311-none-any.whl",
    "photos/a.jpg",
    "weights.pt",
    "tests/core.1234",
    "docs/draft.md",
    "venv/lib/site-packages/numpy/__init__.py",
    "spacer_tasks/weights.pt",
    "spacer_tasks/.secrets.json.swp",
    "spacer_tasks/report/templates/report.html.j2.orig",
    "spacer_tasks/extractors/caffe/vgg16.caffemodel",
    "spacer_tasks/wheels/a.whl",
    "spacer_tasks_old/__init__.py",
]


@pytest.fixture(scope="module")
def package_files() -> set[str]:
    """The files of the package in this checkout."""
    found = (CHECKOUT / "spacer_tasks").rglob("*")
    return {
        path.relative_to(CHECKOUT).as_posix()
        for path in found
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def archives(package_files: set[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a source archive and of the wheel made from it, of a checkout with strays."""
    checkout = tmp_path_factory.mktemp("checkout")
    tracked = [*package_files, *(BESIDE - {"PKG-INFO"}), "Makefile", "tests/conftest.py"]
    for name in tracked:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CHECKOUT / name, checkout / name)
    for name in STRAYS:
        path = checkout / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("not a part of the package")
    output = tmp_path_factory.mktemp("archives")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(output)]
    done = subprocess.run(
        command, cwd=checkout, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return output


def test_the_source_archive_holds_what_the_wheel_is_built_from(
    archives: Path, package_files: set[str]
) -> None:
    (path,) = archives.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    assert names == package_files | BESIDE


def test_the_wheel_holds_the_package(archives: Path, package_files: set[str]) -> None:
    (path,) = archives.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == package_files

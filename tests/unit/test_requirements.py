"""requirements.txt agrees with pyproject.toml: it is made by `make requirements`."""

from __future__ import annotations

import re
import sys
from importlib.metadata import distribution
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.checkout import CHECKOUT

if sys.version_info >= (3, 11):
    import tomllib
else:
    pytest.skip("tomllib came with Python 3.11", allow_module_level=True)

#: what the images install
EXTRAS = ("worker", "cli", "flower", "metrics")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}$")


def pins() -> dict[str, tuple[str, list[str]]]:
    """By name: the version, and the hashes of its files."""
    text = (CHECKOUT / "requirements.txt").read_text().replace("\\\n", " ")
    found: dict[str, tuple[str, list[str]]] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            pin, *hashes = line.split()
            name, _, version = pin.partition("==")
            found[canonicalize_name(name)] = (version, hashes)
    return found


def asked() -> list[Requirement]:
    """What pyproject.toml asks for, of the base and these extras."""
    project: dict[str, Any] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    texts = list(project["dependencies"])
    for extra in EXTRAS:
        texts += project["optional-dependencies"][extra]
    found = [Requirement(text) for text in texts]
    return [each for each in found if each.name != "spacer-tasks"]


def test_each_dependency_has_a_version_that_pyproject_admits() -> None:
    known = pins()
    for each in asked():
        version, _ = known[canonicalize_name(each.name)]
        assert each.specifier.contains(version), each


def test_each_version_has_the_hashes_of_its_files() -> None:
    for name, (version, hashes) in pins().items():
        assert version, name
        assert hashes, name
        assert all(HASH.match(each) for each in hashes), name


def test_what_these_need_is_there_too() -> None:
    known = pins()
    for name, (version, _) in known.items():
        try:
            found = distribution(name)
        except ModuleNotFoundError:
            # for another Python than this one
            continue
        if found.version.partition("+")[0] != version:
            # of other versions than these, such as the lowest
            continue
        needs = found.requires or []
        for text in needs:
            need = Requirement(text)
            if _applies(need.marker) and not _of_cuda(need.name):
                assert canonicalize_name(need.name) in known, f"{name} needs {need}"


def test_what_only_a_build_for_a_gpu_needs_is_not() -> None:
    assert [name for name in pins() if _of_cuda(name)] == []


def _applies(marker: Marker | None) -> bool:
    environment = {"extra": "", "python_full_version": "3.11.9", "python_version": "3.11"}
    return marker is None or marker.evaluate(environment)


def _of_cuda(name: str) -> bool:
    # bindings in Python, which ask the driver: of no build
    if name == "nvidia-ml-py":
        return False
    return name.startswith(("nvidia-", "cuda-")) or name == "triton"


def test_what_site_s_tests_compute_with_is_what_workers_do_but_for_one_bound() -> None:
    extras = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    # pyspacer asks for an older one
    assert set(extras["testing"]) - set(extras["worker"]) == {"scikit-learn>=1.5.2"}

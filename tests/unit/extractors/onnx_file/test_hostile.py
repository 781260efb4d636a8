"""ONNX files of strangers are refused with a reason, and nothing that they ask for is done."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from spacer_tasks.exceptions import WeightsError
from spacer_tasks.extractors.files.weights import ExtractorFile
from spacer_tasks.extractors.onnx_file.extractor import OnnxExtractor, OnnxOptions
from spacer_tasks.extractors.onnx_file.trial import try_model
from tests.support.checkout import CHECKOUT
from tests.support.files.onnx_models import ENDED, OPTIONS, REFUSED, SIZE, model
from tests.support.unmeasured import unmeasured_environment

#: bytes; of the process that reads a file and of the one that tries it
MEMORY = 500 * 2**20


def load(data: bytes) -> OnnxExtractor:
    file = ExtractorFile(data, "hash", downloaded=False)
    return OnnxExtractor("reef", {"weights": file}, OnnxOptions.model_validate(OPTIONS))


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_is_refused_by_what_is_in_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything runs it: no process is started."""
    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("it was run"))
    make, told = REFUSED[name]
    with pytest.raises(WeightsError, match=re.escape(told)) as caught:
        load(make())
    assert str(caught.value).startswith("reef: the file `weights`")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("name", ENDED)
def test_a_file_that_looks_well_ends_its_own_process_at_most(name: str) -> None:
    make, told = ENDED[name]
    data = make()
    assert len(data) < 2**20
    with pytest.raises(WeightsError, match=told) as caught:
        load(data)
    assert str(caught.value).startswith("reef: the file `weights`")


def test_what_ends_a_process_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(WeightsError, match=r"reef: the process that tried .*exit code 1"):
        try_model(b"", SIZE, 1, "reef")


def test_a_good_file_is_taken_after_all_of_them() -> None:
    assert load(model().SerializeToString()).feature_dim == 8


@pytest.mark.skipif(sys.platform != "linux", reason="memory of processes, as Linux counts it")
def test_none_of_them_takes_much_memory() -> None:
    code = """
import json, resource
from tests.unit.extractors.onnx_file.test_hostile import *
def most(who): return resource.getrusage(who).ru_maxrss * 1024
load(model().SerializeToString())
before = most(resource.RUSAGE_SELF)
taken = []
for name, (make, _) in {**REFUSED, **ENDED}.items():
    try:
        load(make())
        taken.append(name)
    except WeightsError:
        pass
grown = most(resource.RUSAGE_SELF) - before
print(json.dumps([grown, most(resource.RUSAGE_CHILDREN), before, taken]))
"""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        # the other tests run the same lines
        env=unmeasured_environment(),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    grown, child, before, taken = json.loads(ran.stdout)
    assert taken == []
    assert grown < MEMORY
    # a child counts what this process had when it was forked, with some builds of torch 500 MB
    assert child < max(MEMORY, 1.25 * before)

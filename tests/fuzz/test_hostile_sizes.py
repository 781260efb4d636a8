"""Files that claim to be large, or become so: refused before memory is taken."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from spacer_tasks.classifiers.codec import decoded, format_of
from spacer_tasks.data_classes import features
from spacer_tasks.data_classes.features import MAX_ARRAY_BYTES, ImageFeatures
from spacer_tasks.exceptions import ClassifierFileError, FeatureFileError, WeightsError
from spacer_tasks.extractors.files.torch_file import check_torch_file
from tests.support.files.hostile_sizes import (
    BYTEARRAYS,
    CLASSIFIERS,
    ENCODED,
    FEATURE_FILES,
    WEIGHTS,
    ZEROS,
    in_zip,
    old_weights,
    weights,
    with_two_lists,
)

#: bytes that reading a hostile file may take; the largest of these files has 2 MB
MEMORY = 24 * 2**20


@contextmanager
def little_memory(limit: int = MEMORY) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < limit, f"{peak / 2**20:.0f} MB"


@pytest.mark.parametrize("name", FEATURE_FILES)
def test_a_feature_file_is_no_larger_than_it_says_and_may_be(name: str) -> None:
    data = FEATURE_FILES[name]()
    assert len(data) < 2**21
    assert len(ZEROS) > MAX_ARRAY_BYTES
    # numpy refuses objects too, later and in other words
    told = "reef.*Python objects" if name == "objects" else "reef"
    with little_memory(), pytest.raises(FeatureFileError, match=told):
        ImageFeatures.from_bytes(data, "reef")


def test_an_old_feature_file_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    data = json.dumps([[1.0] * 1000] * 1000).encode()
    assert len(ImageFeatures.from_bytes(data, "reef")) == 1000
    monkeypatch.setattr(features, "MAX_JSON_BYTES", len(data) - 1)
    with little_memory(2**20), pytest.raises(FeatureFileError, match=f"reef: {len(data)} bytes"):
        ImageFeatures.from_bytes(data, "reef")


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_is_no_larger_than_its_file(name: str) -> None:
    data = CLASSIFIERS[name]()
    assert len(data) < 2**21
    with little_memory(), pytest.raises(ClassifierFileError, match="reef"):
        decoded(data, "reef")
    format_of(data)


#: prints what came of a file, and by how many MB the process grew: torch's memory is not Python's
LOAD = """
import sys
from pathlib import Path
from spacer_tasks.exceptions import InputError
from spacer_tasks.extractors.efficientnet.network import load_network

def peak():
    # getrusage would count what the process was before it became this one
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])

data, before = Path(sys.argv[1]).read_bytes(), peak()
try:
    load_network(data, "reef")
except InputError as error:
    print((peak() - before) // 1024, type(error).__name__, error)
"""


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_are_no_larger_than_their_file(name: str) -> None:
    make, told = WEIGHTS[name]
    data = make()
    assert len(data) < 2**21
    with little_memory(), pytest.raises(WeightsError, match=f"reef.*{told}"):
        check_torch_file(data, "reef")


def test_weights_as_torch_saves_them_pass() -> None:
    for zipped in (True, False):
        stream = io.BytesIO()
        torch.save(
            {"net": torch.zeros(2, 3), "acc": np.float64(1)},
            stream,
            _use_new_zipfile_serialization=zipped,
        )
        check_torch_file(stream.getvalue(), "reef")
    check_torch_file(weights(), "reef")


@pytest.mark.parametrize(
    "make",
    [
        WEIGHTS["a tensor that is a bomb"][0],
        with_two_lists,
        old_weights,
        lambda: in_zip(BYTEARRAYS),
        lambda: in_zip(ENCODED),
    ],
)
def test_a_process_that_loads_hostile_weights_stays_small(
    make: Callable[[], bytes], tmp_path: Path
) -> None:
    (tmp_path / "weights").write_bytes(make())
    done = subprocess.run(
        [sys.executable, "-c", LOAD, tmp_path / "weights"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    grown, kind, _ = done.stdout.split(maxsplit=2)
    assert kind == "WeightsError"
    # of torch's own libraries the first load reads some
    assert int(grown) < 100

"""Files that claim to be large, or become so: refused before memory is taken."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from spacer_tasks.classifiers.codec import decoded, format_of
from spacer_tasks.data_classes import features
from spacer_tasks.data_classes.features import ImageFeatures
from spacer_tasks.data_classes.npz_arrays import MAX_ARRAY_BYTES
from spacer_tasks.exceptions import ClassifierFileError, FeatureFileError, WeightsError
from spacer_tasks.extractors.files.torch_file import check_torch_file
from tests.support.files.hostile_sizes import (
    BYTEARRAYS,
    CLASSIFIERS,
    ENCODED,
    FEATURE_FILES,
    TWO_POINTS,
    WEIGHTS,
    ZEROS,
    in_zip,
    npy,
    npz,
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


def test_a_feature_file_of_a_million_points_is_refused() -> None:
    count = 1_000_000
    ones = npy((count,), np.ones(count, "<u2").tobytes(), "<u2")
    data = npz(
        meta=npy((3,), np.array([1, count, 1], "<i8").tobytes(), "<i8"),
        rows=ones,
        cols=ones,
        feat=npy((count, 1), bytes(4 * count)),
    )
    assert len(data) < 50_000
    with pytest.raises(FeatureFileError, match="reef: 1000000 points, expected at most 100000"):
        ImageFeatures.from_bytes(data, "reef")


JUNK = {
    "a million points": b"[" + b"[1]," * 10**6 + b"[1]]",
    "ten million numbers": b"[[" + b"1," * 10**7 + b"1]]",
    "texts": b"[" + b'"",' * 10**6 + b'""]',
    "objects": b"[" + b"{}," * 10**6 + b"{}]",
    "nothing but beginnings": b"[" * 10**5,
    "a number that is too large": b"[[" + b"9" * 400 + b"]]",
    "a number of too many digits": b"[[" + b"9" * 10**6 + b"]]",
}


@pytest.mark.parametrize("name", JUNK)
def test_an_old_feature_file_of_junk_is_refused(name: str) -> None:
    with little_memory(), pytest.raises(FeatureFileError, match="reef: not a feature file"):
        ImageFeatures.from_bytes(JUNK[name], "reef")


def structured(kind: str, shape: str = "(2, 3)") -> bytes:
    header = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(96)


DAMAGED = {
    "fields": structured("[('a', '<f8'), ('b', '<f8')]"),
    "raw bytes": structured("'|V8'"),
    "texts": structured("'<U2'"),
    "dates": structured("'<M8[s]'"),
    "complex numbers": structured("'<c16'"),
    "a type in a type": structured("('<f4', (2,))"),
    "a shape that is no tuple": structured("'<f4'", "7"),
    "a shape of texts": structured("'<f4'", "('a', 'b')"),
    "brackets without end": structured("'<f4'", "((((((((((((((("),
    "a shape of truths": structured("'<f4'", "(True, True)"),
    "a header of another version": b"\x93NUMPY\x09\x00" + bytes(200),
    "nothing": b"",
    "a magic alone": b"\x93NUMPY\x01\x00",
}


@pytest.mark.parametrize("entry", ["meta", "rows", "cols", "feat"])
@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_feature_file_is_an_input_error(name: str, entry: str) -> None:
    content = DAMAGED[name]
    with pytest.raises(FeatureFileError, match="reef: "):
        ImageFeatures.from_bytes(npz(**{"feat": npy((2, 3), bytes(24)), entry: content}), "reef")


def test_a_note_of_brackets_without_end_is_no_note() -> None:
    note = "[" * 100_000
    features = ImageFeatures.of_points([(1, 2)], np.ones((1, 3), np.float32))
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(features.to_bytes())) as source,
        zipfile.ZipFile(stream, "w") as target,
    ):
        for name in source.namelist():
            if name != "origin.npy":
                target.writestr(name, source.read(name))
        packed = io.BytesIO()
        np.save(packed, np.array(note))
        target.writestr("origin.npy", packed.getvalue())
    assert ImageFeatures.from_bytes(stream.getvalue(), "reef").origin == {}


def test_a_note_of_megabytes_is_no_note() -> None:
    note = np.array("[" + "{}," * 500_000 + "{}]").astype("<U")
    packed = io.BytesIO()
    np.save(packed, note)
    data = npz(feat=TWO_POINTS, origin=packed.getvalue())
    assert len(data) < 2**21
    with little_memory(2**20):
        assert ImageFeatures.from_bytes(data, "reef").origin == {}


def test_a_classifier_s_header_has_a_largest_size() -> None:
    text = b'{"__metadata__":{"classifier":"{}"},"x":[' + b"[]," * 1_500_000 + b"[]]}"
    data = len(text).to_bytes(8, "little") + text
    with little_memory(), pytest.raises(ClassifierFileError, match="reef: a header of 4500"):
        decoded(data, "reef")


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

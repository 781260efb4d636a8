"""Hostile and damaged pickles: refused with a clear error, nothing run, memory small."""

from __future__ import annotations

import pickle
import tracemalloc
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from spacer_tasks import storage
from spacer_tasks.classifiers import Classifier, load_classifier
from spacer_tasks.classifiers.pyspacer import unpickler
from spacer_tasks.classifiers.pyspacer.objects import PickledObject
from spacer_tasks.classifiers.pyspacer.pickler import pickle_bytes
from spacer_tasks.classifiers.pyspacer.reading import from_pyspacer_bytes
from spacer_tasks.classifiers.pyspacer.unpickler import read_pickle
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import ClassifierFileError
from tests.support.checkout import FIXTURES_FOLDER
from tests.support.files.hostile_older_pickles import HOSTILE_OLDER
from tests.support.files.hostile_pickles import HOSTILE
from tests.support.files.older_pickles import in_protocol
from tests.support.unmeasured import unmeasured

FIXTURES = FIXTURES_FOLDER / "pyspacer"
#: those of protocols 0 and 1 beside the others
BOTH = {**HOSTILE, **{f"{name} (0 or 1)": each for name, each in HOSTILE_OLDER.items()}}
MANY_INSTRUCTIONS = ("a million instructions", "lists in lists", "a deep tuple as")


def unrefused(data: bytes) -> Classifier:
    return from_pyspacer_bytes(data, "s3://b/x.pkl")


@pytest.mark.parametrize(
    "name",
    [
        *("os.system, protocol 2", "eval", "names from the stack"),
        *("os.system, protocol 0 (0 or 1)", "INST (0 or 1)"),
    ],
)
def test_the_commands_of_these_files_do_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of this file would show nothing were the files not dangerous."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(BOTH[name][0])
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", BOTH)
def test_a_hostile_pickle_is_refused_and_not_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data, why = BOTH[name]
    tracemalloc.start()
    try:
        with (
            unmeasured() if name.startswith(MANY_INSTRUCTIONS) else nullcontext(),
            pytest.raises(ClassifierFileError, match=why) as refused,
        ):
            unrefused(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert list(tmp_path.iterdir()) == []
    said = str(refused.value)
    assert said.startswith("s3://b/x.pkl: ")
    assert "\n" not in said
    assert len(said) < 400
    assert peak < 40 * 2**20, f"{len(data)} bytes took {peak}"


def test_the_limit_of_instructions_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpickler, "MAX_INSTRUCTIONS", 10)
    with pytest.raises(ClassifierFileError, match=r"x\.pkl: .*more than 10 instructions"):
        unrefused(HOSTILE["objects in objects"][0])


def test_a_refused_name_is_said() -> None:
    why = r"x\.pkl: .*'subprocess\.check_output'.*run code"
    with pytest.raises(ClassifierFileError, match=why):
        unrefused(HOSTILE["subprocess.check_output"][0])


def test_a_hostile_pickle_in_storage_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loc = DataLocation(storage_type="memory", key="hostile.pkl")
    for protocol in range(6):
        older = " (0 or 1)" if protocol < 2 else ""
        storage.store(loc, BOTH[f"os.system, protocol {protocol}{older}"][0])
        with pytest.raises(ClassifierFileError, match=r"hostile\.pkl"):
            load_classifier(loc)
    assert list(tmp_path.iterdir()) == []


def test_one_array_cannot_be_all_layers() -> None:
    """Each layer is converted by itself: 16 times the file is more than a file may take."""
    width = 300
    square, bias, labels = np.ones((width, width)), np.ones(width), np.arange(width)
    shared = PickledObject("sklearn.calibration", "_SigmoidCalibration", {"a_": 1.0, "b_": 0.0})
    data = pickle_bytes(
        PickledObject(
            "sklearn.calibration",
            "CalibratedClassifierCV",
            {
                "cv": "prefit",
                "classes_": labels,
                "calibrated_classifiers_": [
                    PickledObject(
                        "sklearn.calibration",
                        "_CalibratedClassifier",
                        {
                            "method": "sigmoid",
                            "calibrators": [shared] * width,
                            "classes": labels,
                            "estimator": PickledObject(
                                "sklearn.neural_network._multilayer_perceptron",
                                "MLPClassifier",
                                {
                                    "activation": "relu",
                                    "out_activation_": "softmax",
                                    "classes_": labels,
                                    "coefs_": [square] * 8,
                                    "intercepts_": [bias] * 8,
                                },
                            ),
                        },
                    )
                ],
            },
        )
    )
    assert len(unrefused(data).layers) == 8
    # the same with the array written once and named from the memory
    one = pickle_bytes(square)[2:-1]
    named = data.replace(one, one + b"r\xff\x00\x00\x00", 1)
    head, _, tail = named.partition(one + b"r\xff\x00\x00\x00")
    aliased = head + one + b"r\xff\x00\x00\x00" + tail.replace(one, b"j\xff\x00\x00\x00")
    assert len(aliased) < len(data) / 7
    with pytest.raises(ClassifierFileError, match="share their numbers"):
        unrefused(aliased)


def test_a_file_over_the_limit_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    data = (FIXTURES / "int_lr.pkl").read_bytes()
    monkeypatch.setattr(unpickler, "MAX_BYTES", len(data) - 1)
    with pytest.raises(ClassifierFileError, match=f"{len(data)} bytes, at most"):
        unrefused(data)


def test_what_is_written_as_text_is_never_tuples_of_each_other() -> None:
    """As text such a tuple has no end, in an error as elsewhere: found in a file of protocol 2."""
    tuples = b")" + b"".join(b"q%ch%c\x86" % (place, place) for place in range(200, 255))
    data = (FIXTURES / "int_mlp.pkl").read_bytes()
    softmax = b"X\x07\x00\x00\x00softmax"
    assert data.count(softmax) == 1
    with pytest.raises(ClassifierFileError, match="out_activation_ is no text"):
        unrefused(data.replace(softmax, tuples))


def test_a_true_file_cut_anywhere_is_refused() -> None:
    older = (FIXTURES / "older/0.17.1/bytes_lr_4.pkl").read_bytes()
    for data in [
        (FIXTURES / "int_lr.pkl").read_bytes(),
        older,
        *(in_protocol(older, protocol) for protocol in (0, 1)),
    ]:
        assert unrefused(data)
        for length in [*range(0, len(data), 13), len(data) - 1]:
            with pytest.raises(ClassifierFileError, match=r"x\.pkl: "):
                unrefused(data[:length])


def test_keys_that_share_a_hash_are_refused() -> None:
    # each is looked for among all before it
    keys = {number * (2**61 - 1): 1 for number in range(1, 100)}
    with pytest.raises(ClassifierFileError, match="a key of 61 bits, expected at most 60"):
        read_pickle(pickle.dumps(keys, 2), "reef")
    assert read_pickle(pickle.dumps({2**60 - 1: 1}, 2), "reef") == {2**60 - 1: 1}

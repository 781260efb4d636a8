"""Pickles for the reference: complete, in its order, and refused where it has no such thing.

That the reference itself reads them is shown in `tests/integration/reference/test_formats.py`.
"""

from __future__ import annotations

import pickle
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spacer_tasks.classifiers import Classifier, load_classifier, store_classifier
from spacer_tasks.classifiers.model import Layer
from spacer_tasks.classifiers.pyspacer.pickler import pickle_bytes
from spacer_tasks.classifiers.pyspacer.reading import from_pyspacer_bytes
from spacer_tasks.classifiers.pyspacer.writing import to_pyspacer_bytes
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import ClassifierFileError

VECTORS = np.random.default_rng(1).normal(size=(50, 3))
LABELS: list[list[Any]] = [[1, 2], [-7, 0, 2**62], ["algae", "sand"], ["", "x", "Ägä", "🪸"]]


def classifier(clf_type: Any, classes: list[Any]) -> Classifier:
    generator = np.random.default_rng(len(classes))

    def numbers(*shape: int) -> NDArray[np.float64]:
        return generator.normal(size=shape)

    outputs = 1 if len(classes) == 2 else len(classes)
    layers = [Layer(numbers(3, outputs), numbers(outputs))]
    output: Any = "identity"
    if clf_type == "MLP":
        layers = [Layer(numbers(3, 4), numbers(4)), Layer(numbers(4, outputs), numbers(outputs))]
        output = "logistic" if outputs == 1 else "softmax"
    return Classifier(
        clf_type=clf_type,
        layers=tuple(layers),
        output=output,
        calibration_a=numbers(outputs) - 3,
        calibration_b=numbers(outputs),
        classes=classes,
    )


@pytest.mark.parametrize("clf_type", ["LR", "MLP"])
@pytest.mark.parametrize("classes", LABELS)
def test_what_is_written_is_read_with_the_same_numbers(clf_type: str, classes: list[Any]) -> None:
    before = classifier(clf_type, classes)
    after = from_pyspacer_bytes(to_pyspacer_bytes(before, "x"), "x")
    assert (after.classes, after.clf_type, after.output) == (classes, clf_type, before.output)
    np.testing.assert_array_equal(after.predict_proba(VECTORS), before.predict_proba(VECTORS))


@pytest.mark.parametrize("clf_type", ["LR", "MLP"])
@pytest.mark.parametrize("classes", [[2, 1], ["b", "a"], [3, 1, 2], ["c", "d", "a", "b"]])
def test_classes_are_put_in_rising_order(clf_type: str, classes: list[Any]) -> None:
    before = classifier(clf_type, classes)
    after = from_pyspacer_bytes(to_pyspacer_bytes(before, "x"), "x")
    assert after.classes == sorted(classes)
    np.testing.assert_allclose(
        after.predict_proba(VECTORS),
        before.predict_proba(VECTORS)[:, np.argsort(classes)],
        rtol=0,
        atol=1e-12,
    )


@pytest.mark.parametrize("clf_type", ["LR", "MLP"])
@pytest.mark.parametrize("classes", LABELS)
def test_scikit_learn_unpickles_and_answers_alike(clf_type: str, classes: list[Any]) -> None:
    """The one installed here, which is newer than the reference's."""
    before = classifier(clf_type, classes)
    with warnings.catch_warnings():
        # it says that the file is of another version
        warnings.filterwarnings("ignore", "Trying to unpickle estimator")
        calibrated = pickle.loads(to_pyspacer_bytes(before, "x"))
    assert calibrated.classes_.tolist() == classes
    np.testing.assert_allclose(
        calibrated.predict_proba(VECTORS), before.predict_proba(VECTORS), rtol=0, atol=1e-6
    )
    (pair,) = calibrated.calibrated_classifiers_
    assert pair.estimator is calibrated.estimator
    # before calibration its best is another one at times, but one of these
    assert set(calibrated.estimator.predict(VECTORS)) <= set(classes)


def test_a_stored_pickle_is_loaded(tmp_path: Path) -> None:
    loc = DataLocation(storage_type="filesystem", key=str(tmp_path / "x.pkl"))
    before = classifier("MLP", ["a", "b", "c"])
    store_classifier(loc, before, format="pyspacer")
    assert (tmp_path / "x.pkl").read_bytes().startswith(b"\x80\x03csklearn.calibration\n")
    after = load_classifier(loc)
    np.testing.assert_array_equal(after.predict_proba(VECTORS), before.predict_proba(VECTORS))


NETWORK = classifier("MLP", [1, 2, 3])
UNKNOWN: dict[str, tuple[Classifier, str]] = {
    "mixed labels": (replace(NETWORK, classes=[1, "2", 3]), "integers and texts"),
    "large labels": (replace(NETWORK, classes=[1, 2, 2**63]), "beyond 64 bits"),
    "a zero at the end": (replace(NETWORK, classes=["a", "a\0", "b"]), "zero character"),
    "a network as LR": (replace(NETWORK, clf_type="LR"), "2 layers, 3 classes and softmax"),
    "logistic, three classes": (replace(NETWORK, output="logistic"), "logistic output as MLP"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_the_reference_does_not_have_is_refused(name: str, tmp_path: Path) -> None:
    loc = DataLocation(storage_type="filesystem", key=str(tmp_path / "x.pkl"))
    unknown, why = UNKNOWN[name]
    with pytest.raises(ClassifierFileError, match=rf"x\.pkl: no pickle for the reference.*{why}"):
        store_classifier(loc, unknown, format="pyspacer")
    assert not (tmp_path / "x.pkl").exists()


@pytest.mark.parametrize(
    "value",
    [
        None,
        [True, False, 0, -1, 255, 2**31 - 1, -(2**31), 0.1, -0.0, float("inf")],
        {"a": (), "é": [], "": {}, "b": b"\x00\xff", "c": ("x", ("y",))},
    ],
)
def test_values_are_pickled_as_python_reads_them(value: Any) -> None:
    assert pickle.loads(pickle_bytes(value)) == value


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.arange(6.0).reshape(2, 3).T,
        np.arange(3, dtype=">i8"),
        np.array(["a", "Ägä", "🪸"]),
        np.zeros((0, 3), np.float32),
    ],
)
def test_arrays_are_pickled_as_numpy_reads_them(array: NDArray[Any]) -> None:
    read = pickle.loads(pickle_bytes(array))
    np.testing.assert_array_equal(read, array)
    assert read.dtype == array.dtype.newbyteorder("<")


def test_what_has_no_pickle_is_a_bug() -> None:
    with pytest.raises(TypeError, match="no way to write a set"):
        pickle_bytes({1, 2})

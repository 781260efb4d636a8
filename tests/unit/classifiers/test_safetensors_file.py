"""The classifier file keeps everything, holds no code, and damage is named."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save

from spacer_tasks.classifiers import Classifier
from spacer_tasks.classifiers.model import Layer
from spacer_tasks.classifiers.safetensors_file import (
    FORMAT,
    READERS,
    VERSION,
    from_bytes,
    to_bytes,
)
from spacer_tasks.exceptions import ClassifierFileError
from tests.support.checkout import FIXTURES_FOLDER

#: a file of each version, as it was written
STORED = FIXTURES_FOLDER / "classifiers"

Arrays = dict[str, NDArray[Any]]
Header = dict[str, Any]


def network(classes: list[Any], precision: type[np.floating[Any]] = np.float32) -> Classifier:
    """Three inputs, four hidden units."""
    generator = np.random.default_rng(0)

    def numbers(*shape: int) -> NDArray[np.float64]:
        return generator.normal(size=shape).astype(precision).astype(np.float64)

    outputs = 1 if len(classes) == 2 else len(classes)
    return Classifier(
        clf_type="MLP",
        layers=(Layer(numbers(3, 4), numbers(4)), Layer(numbers(4, outputs), numbers(outputs))),
        output="logistic" if outputs == 1 else "softmax",
        calibration_a=generator.normal(size=outputs),
        calibration_b=generator.normal(size=outputs),
        classes=classes,
        trained={"nbr_epochs": 3, "ref_accs": [0.5, 0.75], "note": "é"},
    )


def parts(data: bytes) -> tuple[Header, Arrays]:
    """What is in a file, to be changed and put together again."""
    from safetensors.numpy import load

    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])["__metadata__"]["classifier"]
    return json.loads(header), load(data)


def changed(change: Callable[[Header, Arrays], object]) -> bytes:
    header, arrays = parts(to_bytes(network([1, 2, 3])))
    change(header, arrays)
    return save(arrays, metadata={"classifier": json.dumps(header)})


def test_a_file_of_each_version_is_read() -> None:
    # written once, when the version was the newest, and never again
    assert {int(path.stem.removeprefix("version_")) for path in STORED.glob("*.safetensors")} == (
        set(READERS)
    )
    for path in STORED.glob("*.safetensors"):
        expected = json.loads(path.with_suffix(".expected.json").read_text())
        classifier = from_bytes(path.read_bytes(), path.name)
        assert classifier.classes == expected["classes"]
        assert classifier.trained == expected["trained"]
        found = classifier.predict_proba(np.array(expected["vectors"], np.float32))
        np.testing.assert_allclose(found, expected["probabilities"], rtol=0, atol=1e-9)


def test_the_newest_version_that_is_read_is_written() -> None:
    header, _ = parts(to_bytes(network([1, 2])))
    assert header["version"] == VERSION == max(READERS)
    assert header["format"] == FORMAT


@pytest.mark.parametrize("precision", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [[1, 2], [2**62, -5, 0], ["1", "2"], ["Ägä", "", "sand", "x"]])
def test_a_round_trip_loses_nothing(classes: list[Any], precision: type[Any]) -> None:
    before = network(classes, precision)
    after = from_bytes(to_bytes(before), "a file")
    assert after.classes == classes
    assert [type(label) for label in after.classes] == [type(label) for label in classes]
    assert (after.clf_type, after.output, after.trained, after.feature_dim) == (
        before.clf_type,
        before.output,
        before.trained,
        3,
    )
    for old, new in zip(before.layers, after.layers, strict=True):
        np.testing.assert_array_equal(old.weight, new.weight)
        np.testing.assert_array_equal(old.bias, new.bias)
        assert new.weight.dtype == np.float64
    np.testing.assert_array_equal(before.calibration_a, after.calibration_a)
    np.testing.assert_array_equal(before.calibration_b, after.calibration_b)


def test_the_same_classifier_gives_the_same_bytes() -> None:
    assert to_bytes(network([1, 2, 3])) == to_bytes(network([1, 2, 3]))


def test_weights_take_four_bytes_where_that_is_exact() -> None:
    assert parts(to_bytes(network([1, 2], np.float32)))[1]["layer.0.weight"].dtype == np.float32
    assert parts(to_bytes(network([1, 2], np.float64)))[1]["layer.0.weight"].dtype == np.float64


def test_a_file_cut_anywhere_is_refused() -> None:
    data = to_bytes(network([1, 2, 3]))
    for length in [*range(0, len(data) - 1, 7), len(data) - 1]:
        with pytest.raises(ClassifierFileError, match=r"^s3://b/k\.model: .*expected"):
            from_bytes(data[:length], "s3://b/k.model")


def test_a_changed_byte_in_the_header_is_refused_or_harmless() -> None:
    data = to_bytes(network([1, 2, 3]))
    end = 8 + int.from_bytes(data[:8], "little")
    refused = 0
    for position in range(end):
        damaged = bytearray(data)
        damaged[position] ^= 0x10
        try:
            from_bytes(bytes(damaged), "a file")
        except ClassifierFileError:
            refused += 1
    assert refused > end / 2


def test_a_pickle_is_no_file_of_ours_and_not_run(tmp_path: Any) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (open, (str(tmp_path / "ran"), "w"))

    for protocol in (2, 5):
        with pytest.raises(
            ClassifierFileError, match=r"x\.pkl: \d+ bytes that are no classifier file"
        ):
            from_bytes(pickle.dumps(Bomb(), protocol), "x.pkl")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("length", [0x0480, 0x0580])
def test_a_header_length_that_looks_like_a_pickle_is_no_pickle(length: int) -> None:
    # safetensors pads its header with spaces to a multiple of 8, and reads any padding
    data = to_bytes(network([1, 2]))
    old = int.from_bytes(data[:8], "little")
    assert old <= length, "this test's classifier has too long a header"
    padded = length.to_bytes(8, "little") + data[8 : 8 + old].ljust(length) + data[8 + old :]
    assert from_bytes(padded, "a file").classes == [1, 2]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"\x00" * 100,
        (2**60).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"{}",
        (100_000).to_bytes(8, "little") + b"{" + b'"a":{' * 20_000,
        save({"x": np.zeros(3)}),
        save({"x": np.zeros(3)}, metadata={"classifier": "[" * 100_000}),
        save({"x": np.zeros(3)}, metadata={"classifier": "[1]"}),
        save({"x": np.zeros(3)}, metadata={"classifier": "{}"}),
    ],
)
def test_what_is_no_classifier_file_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(ClassifierFileError, match=r"^the file: .*expected"):
        from_bytes(data, "the file")


def put(array: str, value: NDArray[Any]) -> Callable[[Header, Arrays], object]:
    return lambda header, arrays: arrays.update({array: value})


def say(**entries: Any) -> Callable[[Header, Arrays], object]:
    return lambda header, arrays: header.update(entries)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (say(version=2), r"version 2; spacer-tasks [0-9.]+ reads version 1\. If a newer .* update"),
        (say(version="1"), "a classifier file of version 1; spacer-tasks"),
        (say(version=True), "a classifier file of version True;"),
        (say(version=None), "a classifier file of version None;"),
        (say(version=[1]), r"a classifier file of version \[1\];"),
        (say(format="other"), "the format 'other', expected 'spacer-tasks classifier'"),
        (say(surprise=1), "surprise"),
        (say(clf_type="SVM"), "clf_type"),
        (say(output="tanh"), "output"),
        (say(hidden_activation="tanh"), "hidden_activation"),
        (say(classes=[1, 2]), "softmax with two classes"),
        (say(classes=[1, 2, 3, 4]), r"shape \(3,\), expected \(4,\)"),
        (say(classes=[1, 2, 2]), "a class twice"),
        (say(classes=[1, 2, True]), "classes"),
        (say(classes=[1, 2, 3.5]), "classes"),
        (say(classes=[1]), "classes"),
        (say(layers=1), r"expected calibration\.a"),
        (say(layers=3), r"expected calibration\.a"),
        (say(layers=10**9), "layers"),
        (say(layers=0), "layers"),
        (say(feature_dim=4), r"layer\.0\.weight has shape \(3, 4\), expected \(4, 4\)"),
        (say(trained=[1]), "trained"),
        (lambda header, arrays: arrays.pop("layer.1.bias"), r"expected .*layer\.1\.bias"),
        (put("more", np.zeros(3)), "arrays .*more"),
        (put("layer.0.weight", np.zeros(3)), r"shape \(3,\)"),
        (put("layer.0.weight", np.zeros((3, 5))), r"layer\.0\.bias has shape \(4,\), expected \(5"),
        (put("layer.1.weight", np.zeros((5, 3))), r"shape \(5, 3\), expected \(4, 3\)"),
        (put("calibration.a", np.zeros((3, 1))), r"calibration\.a has shape"),
        (put("calibration.b", np.array([0, np.nan, 0])), r"calibration\.b holds .*not finite"),
        (put("layer.0.weight", np.full((3, 4), np.inf)), "not finite"),
        (put("layer.0.bias", np.zeros(4, dtype=np.int64)), "int64, expected float32 or float64"),
        (put("layer.0.bias", np.zeros(4, dtype=np.float16)), "float16"),
    ],
)
def test_parts_that_do_not_fit_are_refused_with_what_was_expected(
    change: Callable[[Header, Arrays], object], text: str
) -> None:
    with pytest.raises(ClassifierFileError, match=text) as caught:
        from_bytes(changed(change), "the file")
    assert str(caught.value).startswith("the file: ")

"""The reference's pickles give its probabilities here, from every scikit-learn that it used."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spacer_tasks import storage
from spacer_tasks.classifiers import Classifier, load_classifier, store_classifier
from spacer_tasks.classifiers.codec import decoded, format_of
from spacer_tasks.classifiers.pyspacer.objects import PickledObject
from spacer_tasks.classifiers.pyspacer.pickler import pickle_bytes
from spacer_tasks.classifiers.pyspacer.reading import from_pyspacer_bytes
from spacer_tasks.classifiers.pyspacer.unpickler import read_pickle
from spacer_tasks.data_classes.features import ImageFeatures
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import ClassifierFileError
from tests.support.checkout import FIXTURES_FOLDER
from tests.support.files.older_pickles import in_protocol

FIXTURES = FIXTURES_FOLDER / "pyspacer"
OLDER = sorted(FIXTURES.glob("older/*/*.pkl"))


def read(path: Path) -> Classifier:
    return from_pyspacer_bytes(path.read_bytes(), str(path))


@pytest.mark.parametrize("name", ["int_lr", "int_mlp", "str_lr", "str_mlp"])
def test_a_classifier_of_the_reference_answers_as_it_did_there(name: str) -> None:
    expected = json.loads((FIXTURES / f"{name}.expected.json").read_text())
    answer = expected["return"]
    key = expected["msg"]["feature_loc"]["key"]
    features = ImageFeatures.from_bytes((FIXTURES / key).read_bytes(), key)
    classifier = read(FIXTURES / f"{name}.pkl")
    assert classifier.classes == answer["classes"]
    assert classifier.clf_type == name[4:].upper()
    assert classifier.trained == {"package": "pyspacer", "scikit_learn": "1.5.2"}
    np.testing.assert_allclose(
        classifier.predict_proba(features.vectors),
        [scores for _, _, scores in answer["scores"]],
        rtol=0,
        atol=1e-6,
    )


@pytest.mark.parametrize("path", OLDER, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_older_versions_and_python_2_answer_as_they_did_there(path: Path) -> None:
    expected = json.loads((path.parent / "expected.json").read_text())
    answer = expected["answers"][path.stem]
    classifier = read(path)
    assert classifier.classes == answer["classes"]
    assert all(type(label) is type(answer["classes"][0]) for label in classifier.classes)
    np.testing.assert_allclose(
        classifier.predict_proba(np.array(expected["vectors"])),
        answer["probabilities"],
        rtol=0,
        atol=1e-6,
    )


def test_the_older_pickles_are_all_there() -> None:
    versions = {path.parent.name for path in OLDER}
    older = {f"{each}-protocol-{n}" for n in (0, 1) for each in ("0.17.1", "1.5.2")}
    assert versions == {
        *("0.17.1", "0.18.2", "0.22.1", "1.1.3", "1.3.2", "1.5.2", "0.18.2-protocol-0"),
        *older,
    }
    assert len(OLDER) == 6 + 12 + 4 * 8 + 6 + 6 + 12 + 2 * 8


@pytest.mark.parametrize("protocol", [0, 1])
def test_pickles_are_written_again_as_python_2_wrote_them(protocol: int) -> None:
    """The rest of this file tests with such pickles, so they must be the true ones."""
    for path in (FIXTURES / "older/0.17.1").glob("*.pkl"):
        written = FIXTURES / f"older/0.17.1-protocol-{protocol}" / path.name
        assert in_protocol(path.read_bytes(), protocol) == written.read_bytes()


@pytest.mark.parametrize("protocol", [0, 1])
@pytest.mark.parametrize("path", OLDER, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_same_as_python_2_wrote_where_nobody_asked_for_a_protocol(
    path: Path, protocol: int
) -> None:
    older = in_protocol(path.read_bytes(), protocol)
    assert format_of(older) == "pyspacer"
    expected, found = read(path), decoded(older, "x.model")
    assert (found.classes, found.clf_type, found.trained) == (
        *(expected.classes, expected.clf_type, expected.trained),
    )
    vectors = np.random.default_rng(0).normal(size=(5, expected.feature_dim))
    np.testing.assert_array_equal(found.predict_proba(vectors), expected.predict_proba(vectors))


#: what `repr` of Python 2 makes of eight bytes, by number
NUMBERS = {
    0.0: r"\x00\x00\x00\x00\x00\x00\x00\x00",
    1.0: r"\x00\x00\x00\x00\x00\x00\xf0?",
    -1.0: r"\x00\x00\x00\x00\x00\x00\xf0\xbf",
    2.5: r"\x00\x00\x00\x00\x00\x00\x04@",
}
#: two dimensions and two classes, as the reference stored classifiers in 2016
BY_HAND = r"""ccopy_reg
_reconstructor
p0
(csklearn.calibration
CalibratedClassifierCV
p1
c__builtin__
object
p2
Ntp3
Rp4
(dp5
S'base_estimator'
p6
g0
(csklearn.linear_model.stochastic_gradient
SGDClassifier
p7
g2
Ntp8
Rp9
(dp10
S'classes_'
p11
cnumpy.core.multiarray
_reconstruct
p12
(cnumpy
ndarray
p13
(I0
tp14
S'b'
p15
tp16
Rp17
(I1
(I2
tp18
cnumpy
dtype
p19
(S'i8'
p20
I0
I1
tp21
Rp22
(I3
S'<'
p23
NNNI-1
I-1
I0
tp24
bI00
S'\x07\x00\x00\x00\x00\x00\x00\x00\n\x00\x00\x00\x00\x00\x00\x00'
p25
tp26
bsS'coef_'
p27
g12
(g13
(I0
tp28
g15
tp29
Rp30
(I1
(I1
I2
tp31
g19
(S'f8'
p32
I0
I1
tp33
Rp34
(I3
g23
NNNI-1
I-1
I0
tp35
bI00
S"COEF"
p36
tp37
bsS'intercept_'
p38
g12
(g13
(I0
tp39
g15
tp40
Rp41
(I1
(I1
tp42
g34
I00
S'INTERCEPT'
p43
tp44
bsS'alpha'
p45
F1e-05
sS'n_jobs'
p46
L1L
sS'shuffle'
p47
I01
sS'penalty'
p48
Vl2
p49
sS'loss_function'
p50
csklearn.linear_model.sgd_fast
Log
p51
(tRp52
sbsS'calibrated_classifiers_'
p53
(lp54
g0
(csklearn.calibration
_CalibratedClassifier
p55
g2
Ntp56
Rp57
(dp58
S'classes_'
p59
g17
sS'base_estimator'
p60
g9
sS'method'
p61
S'sigmoid'
p62
sS'calibrators_'
p63
(lp64
g0
(csklearn.calibration
_SigmoidCalibration
p65
g2
Ntp66
Rp67
(dp68
S'a_'
p69
cnumpy.core.multiarray
scalar
p70
(g34
S'A'
p71
tp72
Rp73
sS'b_'
p74
F0.25
sbasbasS'cv'
p75
S'prefit'
p76
sS'classes_'
p77
g17
sS'method'
p78
g62
sb."""


def test_a_text_by_hand_gives_what_its_numbers_give() -> None:
    text = BY_HAND.replace("COEF", NUMBERS[1.0] + NUMBERS[2.5])
    text = text.replace("INTERCEPT", NUMBERS[-1.0]).replace("S'A'", f"S'{NUMBERS[-1.0]}'")
    classifier = decoded(text.encode("ascii"), "x.model")
    assert classifier.classes == [7, 10]
    # sklearn's: 1 / (1 + exp(a * (w x + intercept) + b)), for the second class
    for x, y in [(0.0, 0.0), (1.0, 2.0), (-3.0, 0.5)]:
        expected = 1 / (1 + np.exp(-(1.0 * x + 2.5 * y - 1.0) + 0.25))
        ((first, second),) = classifier.predict_proba(np.array([[x, y]])).tolist()
        assert second == pytest.approx(expected, abs=1e-12)
        assert first == pytest.approx(1 - expected, abs=1e-12)


def test_every_byte_of_python_2_is_read_as_it_was() -> None:
    """Both quotes are in it, so that one of them is escaped."""
    raw = bytes(range(256)) * 2
    written = b"S" + repr(raw)[1:].encode() + b"\n."
    assert read_pickle(written, "x") == raw.decode("latin1")
    assert pickle.loads(written, encoding="latin1") == raw.decode("latin1")


def test_reading_takes_no_scikit_learn() -> None:
    program = (
        "import sys, pathlib; sys.modules['sklearn'] = None;"
        "from spacer_tasks.classifiers.pyspacer.reading import from_pyspacer_bytes as read;"
        "print(read(pathlib.Path(sys.argv[1]).read_bytes(), 'x').feature_dim)"
    )
    command = [sys.executable, "-c", program, str(FIXTURES / "str_mlp.pkl")]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "24"


def test_either_format_is_read_from_storage(tmp_path: Path) -> None:
    pickled = DataLocation(storage_type="filesystem", key=str(tmp_path / "a.pkl"))
    ours = DataLocation(storage_type="filesystem", key=str(tmp_path / "a.model"))
    storage.store(pickled, (FIXTURES / "int_mlp.pkl").read_bytes())
    classifier = load_classifier(pickled)
    store_classifier(ours, classifier)
    vectors = np.random.default_rng(0).normal(size=(5, 24))
    np.testing.assert_array_equal(
        load_classifier(ours).predict_proba(vectors), classifier.predict_proba(vectors)
    )
    assert load_classifier(pickled) is classifier


def calibrated(change: Callable[[dict[str, Any]], object] = lambda parts: None) -> bytes:
    """A small classifier's pickle, changed in one of its parts."""
    classes: NDArray[Any] = np.array([2, 3, 5])
    sigmoids = [
        PickledObject("sklearn.calibration", "_SigmoidCalibration", {"a_": -1.0 * n, "b_": 0.5})
        for n in (1, 2, 3)
    ]
    linear = PickledObject(
        "sklearn.linear_model._stochastic_gradient",
        "SGDClassifier",
        {"coef_": np.arange(6.0).reshape(3, 2), "intercept_": np.ones(3), "classes_": classes},
    )
    network = PickledObject(
        "sklearn.neural_network._multilayer_perceptron",
        "MLPClassifier",
        {
            "activation": "relu",
            "out_activation_": "softmax",
            "coefs_": [np.ones((2, 4)), np.ones((4, 3))],
            "intercepts_": [np.ones(4), np.ones(3)],
            "classes_": classes,
        },
    )
    pair = PickledObject(
        "sklearn.calibration",
        "_CalibratedClassifier",
        {"estimator": linear, "calibrators": sigmoids, "classes": classes, "method": "sigmoid"},
    )
    root = PickledObject(
        "sklearn.calibration",
        "CalibratedClassifierCV",
        {"cv": "prefit", "calibrated_classifiers_": [pair], "classes_": classes},
    )
    parts = {"root": root, "pair": pair, "linear": linear, "network": network, "sigmoids": sigmoids}
    change(parts)
    return pickle_bytes(parts["root"])


def with_network(**attributes: Any) -> Callable[[dict[str, Any]], object]:
    def change(parts: dict[str, Any]) -> None:
        parts["network"].attributes.update(attributes)
        parts["pair"].attributes["estimator"] = parts["network"]

    return change


def setting(part: str, **attributes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda parts: parts[part].attributes.update(attributes)


def test_the_small_classifier_is_read_unchanged() -> None:
    assert from_pyspacer_bytes(calibrated(), "x").classes == [2, 3, 5]
    assert from_pyspacer_bytes(calibrated(with_network()), "x").clf_type == "MLP"


OTHER = np.array([2, 3, 7])
REFUSED: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a list": (lambda parts: parts.update(root=[1]), "the file is no object"),
    "an estimator alone": (
        lambda parts: parts.update(root=parts["linear"]),
        "the file is a SGDClassifier, expected a CalibratedClassifierCV",
    ),
    "cross-validated": (setting("root", cv=5), "expected cv 'prefit'"),
    "two pairs": (
        lambda parts: parts["root"].attributes["calibrated_classifiers_"].append(parts["pair"]),
        "expected one",
    ),
    "isotonic": (setting("pair", method="isotonic"), "another calibration"),
    "without an estimator": (setting("pair", estimator=None), "no estimator"),
    "without calibrators": (setting("pair", calibrators=None), "no calibrators"),
    "a calibrator too few": (
        lambda parts: parts["sigmoids"].pop(),
        r"calibration.a has shape \(2,\), expected \(3,\)",
    ),
    "a calibrator without a number": (
        lambda parts: parts["sigmoids"][1].attributes.update(a_="1"),
        "whose a_ is no number",
    ),
    "calibrated on other classes": (setting("pair", classes=OTHER), "other classes"),
    "trained on other classes": (setting("linear", classes_=OTHER), "other classes"),
    "answering other classes": (setting("root", classes_=OTHER), "other classes"),
    "classes as fractions": (setting("root", classes_=np.array([2.5, 3.0, 5.0])), "float64"),
    "classes that are no numbers": (setting("root", classes_=np.array([2, 3, np.nan])), "float64"),
    "classes beyond a float's integers": (
        setting("root", classes_=np.array([2, 3, 1e300])),
        "float64",
    ),
    "no weights": (setting("linear", coef_=None), "coef_ that are no array"),
    "weights in one row": (setting("linear", coef_=np.ones(6)), "rows and columns"),
    "one weight": (setting("linear", coef_=np.array(1.0)), "rows and columns"),
    "weights of two classes": (setting("linear", coef_=np.ones((2, 2))), r"shape \(2, 2\)"),
    "weights as integers": (setting("linear", coef_=np.ones((3, 2), int)), "is int64"),
    "weights that overflowed": (setting("linear", coef_=np.full((3, 2), np.inf)), "not finite"),
    "tanh": (with_network(activation="tanh"), "rectified linear"),
    "another output": (with_network(out_activation_="tanh"), "header entry output"),
    "layers of different widths": (
        with_network(coefs_=[np.ones((2, 4)), np.ones((5, 3))]),
        r"layer.1.weight has shape \(5, 3\), expected \(4, 3\)",
    ),
    "a bias too few": (with_network(intercepts_=[np.ones(4)]), "2 weights and 1 biases"),
    "no layers": (with_network(coefs_=[], intercepts_=[]), "0 weights"),
    "a hundred layers": (
        with_network(coefs_=[np.ones((2, 2))] * 100, intercepts_=[np.ones(2)] * 100),
        "100 weights",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_reference_does_not_train_is_named(name: str) -> None:
    change, expected = REFUSED[name]
    with pytest.raises(ClassifierFileError, match=f"^s3://b/x.pkl: .*{expected}"):
        from_pyspacer_bytes(calibrated(change), "s3://b/x.pkl")


@pytest.mark.parametrize("labels", [[3, 2, 5], [2, 2, 5], ["b", "a", "c"]])
def test_classes_out_of_order_are_refused(labels: list[Any]) -> None:
    def change(parts: dict[str, Any]) -> None:
        for part, name in (("root", "classes_"), ("pair", "classes"), ("linear", "classes_")):
            parts[part].attributes[name] = np.array(labels)

    with pytest.raises(ClassifierFileError, match="rising order"):
        from_pyspacer_bytes(calibrated(change), "x")


def test_classes_as_integral_floats_are_integers() -> None:
    def change(parts: dict[str, Any]) -> None:
        for part, name in (("root", "classes_"), ("pair", "classes"), ("linear", "classes_")):
            parts[part].attributes[name] = np.array([-0.0, 3.0, 5.0])

    classes = from_pyspacer_bytes(calibrated(change), "x").classes
    assert [(type(label), label) for label in classes] == [(int, 0), (int, 3), (int, 5)]


def test_a_label_that_no_message_can_hold_is_refused() -> None:
    def change(parts: dict[str, Any]) -> None:
        for part, name in (("root", "classes_"), ("pair", "classes"), ("linear", "classes_")):
            parts[part].attributes[name] = np.array(["a", "b", "\ud800"])

    with pytest.raises(ClassifierFileError, match="classes"):
        from_pyspacer_bytes(calibrated(change), "x")


def test_a_network_without_hidden_layers_needs_no_activation() -> None:
    change = with_network(activation="tanh", coefs_=[np.ones((2, 3))], intercepts_=[np.zeros(3)])
    assert len(from_pyspacer_bytes(calibrated(change), "x").layers) == 1

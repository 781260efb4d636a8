"""Classifiers from the reference's pickles, of scikit-learn 0.17 to 1.5, without scikit-learn.

The pickles are of any protocol; Python 2 wrote 0, a text, where nobody asked for another. A file
holds a `CalibratedClassifierCV` whose one pair joins a network or a linear classifier,
fitted before, with a sigmoid per class. scikit-learn renamed attributes on the way; the names of
all those versions are known here.
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from spacer_tasks.classifiers.model import Classifier
from spacer_tasks.classifiers.pyspacer.arrays import PickledArray
from spacer_tasks.classifiers.pyspacer.objects import PickledObject
from spacer_tasks.classifiers.pyspacer.unpickler import read_pickle
from spacer_tasks.classifiers.safetensors_file import MAX_LAYERS, assembled, checked_header
from spacer_tasks.exceptions import ClassifierFileError


def from_pyspacer_bytes(data: bytes, name: str) -> Classifier:
    """The classifier in a pickle of the reference; `name` says which file in errors.

    It gives the reference's probabilities to 1e-6. Nothing in the file is run; see
    `read_pickle`.

    Raises
    ------
    ClassifierFileError
        The file is damaged, holds something else, or a classifier of a kind that the reference
        does not train: with several calibrations, an isotonic one, or hidden layers other than
        rectified linear. The text says what was found and what was expected.
    """
    return _Reader(name, len(data)).classifier(read_pickle(data, name))


class _Reader:
    def __init__(self, name: str, file_size: int) -> None:
        self.name = name
        self.file_size = file_size

    def classifier(self, root: object) -> Classifier:
        calibrated = self.named(root, "CalibratedClassifierCV", "the file")
        if calibrated.get("cv") != "prefit":
            self.refuse("calibrated with cross-validation, expected cv 'prefit'")
        pairs = calibrated.get("calibrated_classifiers_")
        if not isinstance(pairs, list) or len(pairs) != 1:
            self.refuse("not one calibrated classifier, expected one")
        pair = self.named(pairs[0], "_CalibratedClassifier", "the calibrated classifier")
        if pair.get("method") != "sigmoid":
            self.refuse("another calibration than by sigmoids")
        # in 1.2 and 1.3 both are there, and the older one says "deprecated"
        estimator = pair.get("estimator") or pair.get("base_estimator")
        if not isinstance(estimator, PickledObject):
            self.refuse("no estimator in it")
        classes = self.classes(calibrated, pair, estimator)
        layers, output = self.layers(estimator)
        arrays = {
            **{f"layer.{number}.weight": weight for number, (weight, _) in enumerate(layers)},
            **{f"layer.{number}.bias": bias for number, (_, bias) in enumerate(layers)},
            **self.calibration(pair),
        }
        # one array can stand in a file once and be named for each layer
        if sum(array.nbytes for array in arrays.values()) > 4 * self.file_size:
            self.refuse("layers that share their numbers, expected each to have its own")
        header = checked_header(
            {
                "clf_type": "MLP" if estimator.name == "MLPClassifier" else "LR",
                "hidden_activation": "relu",
                "output": output,
                "layers": len(layers),
                "feature_dim": int(layers[0][0].shape[0]),
                "classes": classes,
                "trained": self.trained(calibrated),
            },
            self.name,
        )
        # the last layer has one output for two classes, and one sigmoid, as in our own files
        return assembled(header, arrays, self.name)

    def classes(
        self, calibrated: PickledObject, pair: PickledObject, estimator: PickledObject
    ) -> list[int | str]:
        found = self.labels(calibrated.get("classes_"))
        # 0.17 had no `classes`, 0.22 left it None
        of_pair = pair.get("classes") or pair.get("classes_")
        if self.labels(of_pair) != found or self.labels(estimator.get("classes_")) != found:
            self.refuse("calibrated on other classes than it was trained on")
        kind = type(found[0])
        if any(type(label) is not kind for label in found) or found != sorted(set(found)):
            self.refuse("classes that are not in rising order, each once")
        return found

    def labels(self, array: object) -> list[Any]:
        values = self.array(array, "the classes")
        if values.dtype.kind == "f" and (np.abs(values) < 2**53).all() and not (values % 1).any():
            # the reference trains on labels such as 3.0, which JSON does not tell from 3
            values = values.astype(np.int64)
        if values.ndim != 1 or not len(values) or values.dtype.kind not in "iuSU":
            self.refuse(f"classes as {values.dtype} of shape {values.shape}, expected labels")
        try:
            labels: list[Any] = values.tolist()
            if values.dtype.kind == "U":
                # half of a character is possible in an array, but in no message
                labels = [label.encode("utf-8") for label in labels]
            return labels if values.dtype.kind in "iu" else [text.decode() for text in labels]
        except ValueError:
            self.refuse("classes with texts that cannot be read")

    def layers(self, estimator: PickledObject) -> tuple[list[tuple[Any, Any]], str]:
        if estimator.name == "SGDClassifier":
            # with averaging these are the averages, from the first step that averages
            weight = self.matrix(estimator.get("coef_"), "coef_")
            bias = self.array(estimator.get("intercept_"), "intercept_")
            return [(weight.T, bias)], "identity"
        network = self.named(estimator, "MLPClassifier", "the estimator")
        weights, biases = network.get("coefs_"), network.get("intercepts_")
        if not isinstance(weights, list) or not isinstance(biases, list):
            self.refuse("a network without layers")
        if not 1 <= len(weights) == len(biases) <= MAX_LAYERS:
            self.refuse(f"a network of {len(weights)} weights and {len(biases)} biases")
        if len(weights) > 1 and network.get("activation") != "relu":
            self.refuse("a network with hidden layers other than rectified linear ('relu')")
        output = network.get("out_activation_")
        if not isinstance(output, str):
            # not shown: as text, a few tuples of each other have no end
            self.refuse("a network whose out_activation_ is no text")
        return [
            (self.matrix(weight, "coefs_"), self.array(bias, "intercepts_"))
            for weight, bias in zip(weights, biases, strict=True)
        ], output

    def calibration(self, pair: PickledObject) -> dict[str, NDArray[Any]]:
        sigmoids = pair.get("calibrators") or pair.get("calibrators_")
        if not isinstance(sigmoids, list):
            self.refuse("no calibrators in it")
        numbers: dict[str, list[float]] = {"a_": [], "b_": []}
        for each in sigmoids:
            sigmoid = self.named(each, "_SigmoidCalibration", "a calibrator")
            for key, found in numbers.items():
                value = sigmoid.get(key)
                if type(value) is not float:
                    self.refuse(f"a calibrator whose {key} is no number")
                found.append(value)
        return {
            "calibration.a": np.array(numbers["a_"], dtype=np.float64),
            "calibration.b": np.array(numbers["b_"], dtype=np.float64),
        }

    def trained(self, calibrated: PickledObject) -> dict[str, Any]:
        version = calibrated.get("_sklearn_version")
        known = version if isinstance(version, str) and version.isascii() else "before 0.18"
        return {"package": "pyspacer", "scikit_learn": known[:20]}

    def array(self, value: object, what: str) -> NDArray[Any]:
        found = value.value if isinstance(value, PickledArray) else None
        if found is None:
            self.refuse(f"{what} that are no array")
        # of this machine's byte order, where the file has the other
        return found.astype(found.dtype.newbyteorder("="), copy=False)

    def matrix(self, value: object, what: str) -> NDArray[Any]:
        found = self.array(value, what)
        if found.ndim != 2:
            self.refuse(f"{what} of shape {found.shape}, expected rows and columns")
        return found

    def named(self, value: object, name: str, what: str) -> PickledObject:
        if not isinstance(value, PickledObject):
            self.refuse(f"{what} is no object, expected a {name}")
        if value.name != name:
            self.refuse(f"{what} is a {value.name}, expected a {name}")
        return value

    def refuse(self, found: str) -> NoReturn:
        raise ClassifierFileError(f"{self.name}: no classifier of pyspacer: {found}")

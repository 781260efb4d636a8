"""The classifier file: arrays and a JSON header, no code.

It is a safetensors file (https://huggingface.co/docs/safetensors): eight bytes with the length of
a JSON header, the header, the arrays. The arrays are `layer.0.weight` (in, out), `layer.0.bias`
(out,), and so on, `calibration.a` and `calibration.b` (outputs,); float32 where that loses
nothing, otherwise float64. The header's `__metadata__` holds one entry, `classifier`, a JSON text:

- `format` and `version`: `FORMAT`, `VERSION`
- `clf_type`, `hidden_activation` ("relu"), `output` (softmax, logistic or identity)
- `layers`: the number of layers; `feature_dim`
- `classes`: the labels, integers or texts
- `trained`: how it was trained

A file of any version in `READERS` is read; `VERSION` is written. A later version gets a reader of
its own beside those that there are.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json
from safetensors import SafetensorError
from safetensors.numpy import load, save

from spacer_tasks.classifiers.model import Classifier, FloatArray, Layer, OutputActivation
from spacer_tasks.data_classes.labels import LabelId
from spacer_tasks.exceptions import ClassifierFileError
from spacer_tasks.messages.tasks import ClassifierType
from spacer_tasks.version import __version__

#: what a file is
FORMAT = "spacer-tasks classifier"
#: of the files that are written
VERSION = 1
#: the reference's networks have two or three; a header cannot make us look for a billion
MAX_LAYERS = 16
#: bytes of a header, which becomes twenty times as much; that of 1,000 classes has 20 kB
MAX_HEADER = 4 * 2**20


class Header(BaseModel):
    """What a file of version 1 says about its arrays, beside its format and version."""

    model_config = ConfigDict(extra="forbid")

    clf_type: ClassifierType
    hidden_activation: Literal["relu"]
    output: OutputActivation
    layers: Annotated[int, Field(ge=1, le=MAX_LAYERS)]
    feature_dim: Annotated[int, Field(ge=1)]
    classes: Annotated[list[LabelId], Field(min_length=2)]
    trained: dict[str, Any]


def to_bytes(classifier: Classifier) -> bytes:
    """The file of a classifier."""
    header = Header(
        clf_type=classifier.clf_type,
        hidden_activation="relu",
        output=classifier.output,
        layers=len(classifier.layers),
        feature_dim=classifier.feature_dim,
        classes=classifier.classes,
        trained=classifier.trained,
    )
    arrays: dict[str, FloatArray] = {}
    for number, layer in enumerate(classifier.layers):
        arrays[f"layer.{number}.weight"] = layer.weight
        arrays[f"layer.{number}.bias"] = layer.bias
    arrays["calibration.a"] = classifier.calibration_a
    arrays["calibration.b"] = classifier.calibration_b
    smallest = {name: _smallest(array) for name, array in arrays.items()}
    content = to_json(
        {"format": FORMAT, "version": VERSION, **header.model_dump()}, inf_nan_mode="null"
    )
    return save(smallest, metadata={"classifier": content.decode()})


def from_bytes(data: bytes, name: str) -> Classifier:
    """The classifier in a file; `name` says which file in errors.

    Raises
    ------
    ClassifierFileError
        The file is no classifier file, damaged, of another version, or its parts do not fit. The
        text says what was found and what was expected.
    """
    content = _content(data, name)
    version = content.pop("version", None)
    # a true value is equal to 1, and no version
    reader = READERS.get(version) if type(version) is int else None
    if reader is None:
        readable = ", ".join(map(str, READERS))
        raise ClassifierFileError(
            f"{name}: a classifier file of version {str(version)[:40]}; spacer-tasks {__version__}"
            f" reads version {readable}. If a newer version of spacer-tasks wrote it, update this"
            " one"
        )
    return reader(content, data, name)


def _of_version_1(content: dict[str, Any], data: bytes, name: str) -> Classifier:
    # as JSON again: its number and text types are checked as strictly as they are written
    header = _header(lambda: Header.model_validate_json(json.dumps(content)), name)
    try:
        arrays = load(data)
    # the library refuses damage with its own error, and array types that numpy lacks otherwise
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ClassifierFileError(
            f"{name}: a damaged classifier file, expected whole arrays ({error})"
        ) from error
    return assembled(header, arrays, name)


#: by the version: from the rest of the header and the file, with its name for errors, to what it
#: holds
READERS: dict[int, Callable[[dict[str, Any], bytes, str], Classifier]] = {1: _of_version_1}


def checked_header(content: dict[str, Any], name: str) -> Header:
    """A header of these entries.

    Raises
    ------
    ClassifierFileError
        An entry is missing, unknown or not as expected.
    """
    return _header(lambda: Header.model_validate(content), name)


def assembled(header: Header, arrays: dict[str, Any], name: str) -> Classifier:
    """A classifier of these parts, once they are seen to fit.

    Raises
    ------
    ClassifierFileError
        An array is missing, or its type, shape or values are not as expected.
    """
    checked = _checked(arrays, header, name)
    return Classifier(
        clf_type=header.clf_type,
        layers=tuple(
            Layer(checked[f"layer.{number}.weight"], checked[f"layer.{number}.bias"])
            for number in range(header.layers)
        ),
        output=header.output,
        calibration_a=checked["calibration.a"],
        calibration_b=checked["calibration.b"],
        classes=header.classes,
        trained=header.trained,
    )


def _smallest(array: FloatArray) -> NDArray[Any]:
    # training is in float32, so its numbers are; those of older classifiers may not be
    with np.errstate(over="ignore"):
        narrow = array.astype(np.float32)
    return np.ascontiguousarray(narrow if np.array_equal(narrow, array) else array)


def _header(validated: Callable[[], Header], name: str) -> Header:
    try:
        return validated()
    except (ValidationError, RecursionError) as error:
        raise ClassifierFileError(f"{name}: {_first(error)}") from error


def _content(data: bytes, name: str) -> dict[str, Any]:
    """What the header says of a classifier, without its format, which is seen to be ours."""
    if data[8:9] != b"{":
        raise ClassifierFileError(
            f"{name}: {len(data)} bytes that are no classifier file; expected a classifier file"
            " of spacer-tasks (safetensors) or a pickle of pyspacer"
        )
    length = int.from_bytes(data[:8], "little")
    if length > len(data) - 8:
        raise ClassifierFileError(
            f"{name}: cut short: {len(data)} bytes, expected a header of {length} bytes and more"
        )
    if length > MAX_HEADER:
        raise ClassifierFileError(
            f"{name}: a header of {length} bytes, expected at most {MAX_HEADER}"
        )
    try:
        outer = json.loads(data[8 : 8 + length].decode("utf-8"))
        content = json.loads(outer["__metadata__"]["classifier"])
        found = content.pop("format")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ClassifierFileError(
            f"{name}: no classifier in its header; expected a classifier file of spacer-tasks"
        ) from error
    if found != FORMAT:
        raise ClassifierFileError(
            f"{name}: a file of the format {str(found)[:80]!r}, expected {FORMAT!r}"
        )
    return dict(content)


def _first(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "its header is nested too deep"
    item = error.errors(include_url=False)[0]
    where = ".".join(map(str, item["loc"]))
    return f"header entry {where}: {item['msg']} (found {str(item['input'])[:80]!r})"


def _checked(arrays: dict[str, Any], header: Header, name: str) -> dict[str, FloatArray]:
    """The arrays as float64, after a look at names, types, shapes and values."""
    if len({(type(label), label) for label in header.classes}) != len(header.classes):
        raise ClassifierFileError(f"{name}: a class twice, expected each once")
    outputs = 1 if len(header.classes) == 2 else len(header.classes)
    if header.output == "softmax" and outputs == 1:
        raise ClassifierFileError(f"{name}: softmax with two classes, expected logistic")
    expected: dict[str, tuple[int | None, ...]] = {
        "calibration.a": (outputs,),
        "calibration.b": (outputs,),
    }
    width: int | None = header.feature_dim
    for number in range(header.layers):
        weight = arrays.get(f"layer.{number}.weight")
        last = number == header.layers - 1
        fits = isinstance(weight, np.ndarray) and weight.ndim == 2
        out = outputs if last else int(weight.shape[1]) if weight is not None and fits else None
        expected[f"layer.{number}.weight"] = (width, out)
        expected[f"layer.{number}.bias"] = (out,)
        width = out
    if set(arrays) != set(expected):
        raise ClassifierFileError(
            f"{name}: arrays {', '.join(sorted(arrays)) or 'none'};"
            f" expected {', '.join(sorted(expected))}"
        )
    for key, shape in expected.items():
        array = arrays[key]
        if array.shape != shape:
            raise ClassifierFileError(f"{name}: {key} has shape {array.shape}, expected {shape}")
        if array.dtype not in (np.float32, np.float64):
            raise ClassifierFileError(
                f"{name}: {key} is {array.dtype}, expected float32 or float64"
            )
        if not np.isfinite(array).all():
            raise ClassifierFileError(f"{name}: {key} holds numbers that are not finite")
    return {key: array.astype(np.float64) for key, array in arrays.items()}

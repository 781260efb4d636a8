"""Damaged ONNX files: a model that was looked at, or an input error; never more than that."""

from __future__ import annotations

from hypothesis import given

from spacer_tasks.exceptions import InputError
from spacer_tasks.extractors.files.weights import ExtractorFile
from spacer_tasks.extractors.onnx_file.extractor import OnnxExtractor, OnnxOptions
from spacer_tasks.extractors.onnx_file.model import checked_model
from spacer_tasks.extractors.onnx_file.wrapping import with_preprocessing
from spacer_tasks.extractors.preprocessing import Preprocessing
from tests.fuzz.mutations import damaged, examples
from tests.support.files.onnx_models import ENDED, OPTIONS, REFUSED, SIZE, body, model

GOOD = [
    model().SerializeToString(),
    model(body(), outputs=["maps"]).SerializeToString(),
    model(shape=[1, 3, SIZE, SIZE], opset=13).SerializeToString(),
]
#: of the hostile ones those that are small: their parts are put into the good ones
SMALL = [
    data
    for make, _ in [*REFUSED.values(), *ENDED.values()]
    for data in [make()]
    if 0 < len(data) < 9999
]


@examples(600)
@given(damaged([*GOOD, *SMALL]))
def test_a_model_is_looked_at(data: bytes) -> None:
    try:
        checked = checked_model(data, "reef", None)
    except InputError as error:
        assert str(error).startswith("reef")
        return
    wrapped = with_preprocessing(checked, Preprocessing(), SIZE, channels_last=False)
    assert len(wrapped) < 2 * len(data) + 4096


@examples(25)
@given(damaged(GOOD))
def test_a_damaged_network_never_ends_this_process(data: bytes) -> None:
    file = ExtractorFile(data, "", downloaded=False)
    try:
        extractor = OnnxExtractor("reef", {"weights": file}, OnnxOptions.model_validate(OPTIONS))
    except InputError as error:
        assert str(error).startswith("reef")
        return
    assert extractor.feature_dim > 0

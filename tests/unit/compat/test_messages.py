"""Messages with the reference's constructors, over the JSON of both."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spacer_tasks.compat import messages
from spacer_tasks.compat.data_classes import DataLocation, ImageLabels
from spacer_tasks.compat.messages import (
    ClassifyFeaturesMsg,
    ExtractFeaturesMsg,
    JobMsg,
    TrainClassifierMsg,
    TrainingTaskLabels,
)
from spacer_tasks.compat.train_classifier import MiniBatchTrainer
from spacer_tasks.exceptions import UnknownExtractorError, UnknownTrainerError
from spacer_tasks.messages import tasks as ours
from tests.support.checkout import CHECKOUT, FIXTURES_FOLDER

FIXTURES = FIXTURES_FOLDER / "pyspacer"
NAMES = [
    *("ExtractFeaturesMsg", "TrainClassifierMsg", "ClassifyFeaturesMsg", "ClassifyImageMsg"),
    *("JobMsg", "JobReturnMsg"),
]
#: what a web process that only makes messages does not wait for
HEAVY = ["torch", "numpy", "sklearn", "PIL", "boto3", "celery"]


def wire(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((FIXTURES / f"wire_{name}.json").read_text())
    return data


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_s_json_goes_in_and_comes_out(name: str) -> None:
    message = getattr(messages, name).deserialize(wire(name))
    assert json.loads(json.dumps(message.serialize())) == wire(name)
    assert message == getattr(messages, name).deserialize(wire(name))


@pytest.mark.parametrize("name", NAMES)
def test_this_project_takes_its_messages(name: str) -> None:
    message: Any = getattr(messages, name).deserialize(wire(name))
    assert getattr(ours, name).model_validate(message.serialize()).to_wire() == wire(name)


@pytest.mark.parametrize("name", NAMES[:4])
def test_examples_are_messages(name: str) -> None:
    message = getattr(messages, name).example()
    again = getattr(messages, name).deserialize(json.loads(json.dumps(message.serialize())))
    assert again.serialize() == message.serialize()


def test_a_field_that_is_missing_is_a_key_error_and_one_that_is_unknown_is_passed_over() -> None:
    data = wire("ClassifyFeaturesMsg")
    assert ClassifyFeaturesMsg.deserialize({**data, "more": 1}).serialize() == data
    del data["feature_loc"]
    with pytest.raises(KeyError, match="feature_loc"):
        ClassifyFeaturesMsg.deserialize(data)


def test_a_trainer_goes_by_0_13_s_name_too() -> None:
    sets = TrainingTaskLabels(*(ImageLabels() for _ in range(3)))
    place = DataLocation("memory", "m")
    rest: tuple[Any, ...] = (2, "LR", sets, [], place, place)
    by_place = TrainClassifierMsg("t", "minibatch", *rest)
    assert by_place.trainer == MiniBatchTrainer()
    by_name = TrainClassifierMsg(
        job_token="t",
        trainer_name="minibatch",
        nbr_epochs=2,
        clf_type="LR",
        labels=sets,
        previous_model_locs=[],
        model_loc=place,
        valresult_loc=place,
    )
    assert by_name == by_place
    older = {**by_place.serialize(), "trainer_name": "minibatch"}
    del older["trainer"]
    assert TrainClassifierMsg.deserialize(older) == by_place
    with pytest.raises(TypeError, match="lacks trainer, clf_type"):
        TrainClassifierMsg("t", nbr_epochs=1, labels=sets, previous_model_locs=[],
                           model_loc=place, valresult_loc=place)  # fmt: skip


@pytest.mark.parametrize("path", ["os.system", "tests.unit.compat.test_messages.Own", "no.such.X"])
def test_no_path_is_imported_for_a_message(path: str) -> None:
    data = wire("ExtractFeaturesMsg")
    data["extractor"]["class_path"] = path
    with pytest.raises(UnknownExtractorError, match="registered are"):
        ExtractFeaturesMsg.deserialize(data)
    data = wire("TrainClassifierMsg")
    data["trainer"]["class_path"] = path
    with pytest.raises(UnknownTrainerError, match="registered are"):
        TrainClassifierMsg.deserialize(data)


def test_messages_are_stored_and_loaded(tmp_path: Path) -> None:
    job, place = JobMsg.deserialize(wire("JobMsg")), DataLocation("filesystem", str(tmp_path / "j"))
    job.store(place)
    assert JobMsg.load(place) == job
    with pytest.raises(FileNotFoundError):
        JobMsg.load(DataLocation("filesystem", str(tmp_path / "nothing")))


def test_a_process_that_makes_messages_loads_nothing_that_computes() -> None:
    program = f"""
import json, sys
from spacer_tasks.compat.messages import JobMsg, ExtractFeaturesMsg
from spacer_tasks.compat.data_classes import ImageLabels
from spacer_tasks.compat.extractors import EfficientNetExtractor
json.dumps(JobMsg("extract_features", [ExtractFeaturesMsg.example()]).serialize())
print([name for name in {HEAVY} if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"

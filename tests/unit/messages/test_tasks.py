from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spacer_tasks.data_classes.val_results import ValResults
from spacer_tasks.exceptions import MessageError, RowColumnInvalidError
from spacer_tasks.messages import batches, specs, tasks
from spacer_tasks.messages.batches import TrainFromImagesReturnMsg
from spacer_tasks.messages.parsing import parse
from spacer_tasks.messages.tasks import (
    Answer,
    ClassifyFeaturesMsg,
    ClassifyReturnMsg,
    ExtractFeaturesMsg,
    ExtractFeaturesReturnMsg,
    JobMsg,
    TrainClassifierMsg,
    TrainClassifierReturnMsg,
)
from spacer_tasks.registry import canonical_name
from tests.support.checkout import FIXTURES_FOLDER

FIXTURES = FIXTURES_FOLDER / "pyspacer"
WIRE_MESSAGES = [
    "ExtractFeaturesMsg",
    "TrainClassifierMsg",
    "ClassifyFeaturesMsg",
    "ClassifyImageMsg",
    "JobMsg",
    "JobReturnMsg",
]
WIRE_EXTRACTORS = ["DummyExtractor", "VGG16CaffeExtractor"]


def wire(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((FIXTURES / f"wire_{name}.json").read_text())
    return data


@pytest.mark.parametrize("name", WIRE_MESSAGES)
def test_the_reference_s_messages_come_back_as_equal_json(name: str) -> None:
    cls = getattr(tasks, name)
    assert parse(cls, wire(name)).to_wire() == wire(name)
    assert parse(cls, json.dumps(wire(name))).to_wire() == wire(name)


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.train_msg.json")), ids=lambda p: p.stem)
def test_real_training_messages_come_back_as_equal_json(path: Path) -> None:
    data = json.loads(path.read_text())
    assert parse(TrainClassifierMsg, data).to_wire() == data


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.expected.json")), ids=lambda p: p.stem)
def test_real_classifications_and_their_answers_come_back_as_equal_json(path: Path) -> None:
    data = json.loads(path.read_text())
    assert parse(ClassifyFeaturesMsg, data["msg"]).to_wire() == data["msg"]
    assert parse(ClassifyReturnMsg, data["return"]).to_wire() == data["return"]
    trained = data["train_return"]
    assert parse(TrainClassifierReturnMsg, trained).to_wire() == trained


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.valresult.json")), ids=lambda p: p.stem)
def test_real_validation_results_come_back_as_equal_json(path: Path) -> None:
    data = json.loads(path.read_text())
    assert parse(ValResults, data).model_dump(mode="json") == data


def test_no_fixture_of_a_message_is_left_out() -> None:
    names = {path.name for path in FIXTURES.glob("*.json")}
    kinds = {f"{label}_{clf}" for label in ("int", "str") for clf in ("lr", "mlp")}
    assert {name for name in names if name.startswith("wire_")} == {
        f"wire_{name}.json" for name in (*WIRE_MESSAGES, *WIRE_EXTRACTORS)
    }
    for what in ("train_msg", "expected", "valresult"):
        assert {f"{kind}.{what}.json" for kind in kinds} <= names


@pytest.mark.parametrize("name", WIRE_EXTRACTORS)
def test_the_reference_s_extractors_come_back_as_equal_json(name: str) -> None:
    assert specs.ExtractorSpec(**wire(name)).model_dump(mode="json") == wire(name)


@pytest.mark.parametrize("older", [{"trainer_name": "minibatch"}, {"trainer": "minibatch"}])
def test_the_older_forms_of_a_trainer_are_read(older: dict[str, str]) -> None:
    data = {key: value for key, value in wire("TrainClassifierMsg").items() if key != "trainer"}
    assert parse(TrainClassifierMsg, {**data, **older}).to_wire() == wire("TrainClassifierMsg")


@pytest.mark.parametrize("trainer", [None, {"class_path": "no.such.Trainer"}])
def test_the_older_name_of_a_trainer_goes_before_the_newer_one(trainer: Any) -> None:
    data = {**wire("TrainClassifierMsg"), "trainer_name": "minibatch", "trainer": trainer}
    assert parse(TrainClassifierMsg, data).to_wire() == wire("TrainClassifierMsg")


@pytest.mark.parametrize("token", ["1", 1, 1.5, None, True, [1, "a"], {"pk": 3}])
@pytest.mark.parametrize("name", ["ExtractFeaturesMsg", "TrainClassifierMsg", "ClassifyImageMsg"])
def test_a_job_s_token_is_echoed_whatever_it_is(name: str, token: Any) -> None:
    data = {**wire(name), "job_token": token}
    assert json.dumps(parse(getattr(tasks, name), data).to_wire()["job_token"]) == json.dumps(token)


def test_no_hashes_and_no_cache_may_be_written_as_null() -> None:
    extractor = {**wire("ExtractFeaturesMsg")["extractor"], "data_hashes": None}
    data = {**wire("ExtractFeaturesMsg"), "extractor": extractor}
    assert parse(ExtractFeaturesMsg, data).to_wire()["extractor"]["data_hashes"] == {}
    data = {**wire("TrainClassifierMsg"), "feature_cache_dir": None}
    assert parse(TrainClassifierMsg, data).to_wire()["feature_cache_dir"] == "auto"


@pytest.mark.parametrize("name", ["EfficientNetExtractor", "DummyExtractor"])
def test_extractors_are_known_by_the_paths_of_all_the_reference_s_versions(name: str) -> None:
    # before 0.11 they were in `extract_features`
    for module in ("extractors", "extract_features"):
        assert canonical_name(f"spacer.{module}.{name}") == f"spacer_tasks.extractors.{name}"


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(MessageError, match=r"ExtractFeaturesMsg: colour: .*red"):
        parse(ExtractFeaturesMsg, {**wire("ExtractFeaturesMsg"), "colour": "red"})


@pytest.mark.parametrize(
    ("rowcols", "found"),
    [([[1.5, 2]], "1.5"), ([["1", 2]], "'1'"), ([[1]], "Field required"), ([[True, 2]], "True")],
)
def test_points_that_are_no_integers_name_the_image_and_the_value(
    rowcols: list[Any], found: str
) -> None:
    with pytest.raises(RowColumnInvalidError, match=rf"my_image\.jpg.*{found}"):
        parse(ExtractFeaturesMsg, {**wire("ExtractFeaturesMsg"), "rowcols": rowcols})


def test_no_points_are_an_error_that_names_the_image() -> None:
    with pytest.raises(RowColumnInvalidError, match=r"my_image\.jpg"):
        parse(ExtractFeaturesMsg, {**wire("ExtractFeaturesMsg"), "rowcols": []})


def test_a_million_wrong_labels_make_a_short_error() -> None:
    data = wire("TrainClassifierMsg")
    data["labels"]["train"] = {"not json": []}
    with pytest.raises(MessageError, match=r"labels\.train.*not json.*is not the JSON of a loc"):
        parse(TrainClassifierMsg, data)
    data = wire("TrainClassifierMsg")
    key = next(iter(data["labels"]["val"]))
    data["labels"]["val"][key] = [[1, 2, 3.5]] * 1000
    with pytest.raises(MessageError) as caught:
        parse(TrainClassifierMsg, data)
    assert len(str(caught.value)) < 2000


def test_features_cannot_be_written_to_a_url() -> None:
    data = wire("ExtractFeaturesMsg")
    data["feature_loc"] = {"storage_type": "url", "key": "https://x/y"}
    with pytest.raises(MessageError, match="nothing can be written to a url"):
        parse(ExtractFeaturesMsg, data)


def test_a_message_of_another_task_is_refused() -> None:
    other = parse(ExtractFeaturesMsg, wire("ExtractFeaturesMsg"))
    with pytest.raises(MessageError, match="expected a TrainClassifierMsg, found a Extract"):
        parse(TrainClassifierMsg, other)


@pytest.mark.parametrize(
    "change",
    [{"task_name": "rm"}, {"tasks": None}, {"tasks": [{"job_token": "1"}]}, {"tasks": [3]}],
)
def test_a_malformed_job_is_a_message_error(change: dict[str, Any]) -> None:
    with pytest.raises(MessageError):
        parse(JobMsg, {**wire("JobMsg"), **change})


@pytest.mark.parametrize("text", ["", "[]", "nonsense", "3", '{"task_name": "classify_image"'])
def test_text_that_is_no_message_is_a_message_error(text: str) -> None:
    with pytest.raises(MessageError):
        parse(JobMsg, text)


def test_a_field_of_ours_is_sent_only_where_it_says_something() -> None:
    data = {**wire("TrainClassifierMsg"), "classifier_format": "pyspacer"}
    assert parse(TrainClassifierMsg, data).to_wire() == data
    ours = {**data, "classifier_format": "spacer"}
    assert parse(TrainClassifierMsg, ours).to_wire() == wire("TrainClassifierMsg")


#: the fields of pyspacer 0.14's answers. It reads an answer by handing all that it holds to a
#: constructor with these parameters: one field more, and no client of the reference can read it
REFERENCE_ANSWERS = {
    "ExtractFeaturesReturnMsg": {"extractor_loaded_remotely", "runtime"},
    "TrainClassifierReturnMsg": {"acc", "pc_accs", "ref_accs", "runtime"},
    "ClassifyReturnMsg": {"runtime", "scores", "classes", "valid_rowcol"},
    "JobReturnMsg": {"original_job", "ok", "results", "error_message"},
}
#: fields that an answer may leave out, since most images are whole
LEFT_OUT = {*tasks.OURS, "incomplete_images"}
#: those and the batches' own
ANSWERS = [
    cls
    for module in (tasks, batches)
    for cls in vars(module).values()
    if isinstance(cls, type) and issubclass(cls, Answer) and cls.__module__ == module.__name__
    if cls not in (Answer, tasks.ImageAnswer)
]


def test_the_reference_s_answers_are_named_here_without_exception() -> None:
    assert {cls.__name__ for cls in ANSWERS if cls.__module__ == tasks.__name__} == set(
        REFERENCE_ANSWERS
    )


@pytest.mark.parametrize("name", REFERENCE_ANSWERS)
def test_nothing_is_added_to_the_reference_s_answers(name: str) -> None:
    answer: type[Answer] = getattr(tasks, name)
    fields = REFERENCE_ANSWERS[name]
    assert set(answer.model_fields) - tasks.OURS == fields
    assert not answer.model_computed_fields
    # what a client of the reference is sent says no more, also where we would
    made = answer.model_construct(**dict.fromkeys((*fields, *tasks.OURS), None))
    assert set(made.to_reference()) == fields


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda cls: cls.__name__)
def test_an_answer_has_no_field_that_can_be_forgotten(answer: type[Answer]) -> None:
    """A default would be sent in place of what a worker forgot to say."""
    optional = {name for name, field in answer.model_fields.items() if not field.is_required()}
    assert optional <= LEFT_OUT


@pytest.mark.parametrize("answer_class", [ExtractFeaturesReturnMsg, ClassifyReturnMsg])
def test_an_answer_says_that_its_image_was_incomplete_and_the_reference_s_does_not(
    answer_class: type[ExtractFeaturesReturnMsg | ClassifyReturnMsg],
) -> None:
    whole: dict[str, Any] = {"extractor_loaded_remotely": False, "runtime": 1.0}
    if answer_class is ClassifyReturnMsg:
        scores = [[1, 2, [0.5, 0.5]]]
        whole = {"runtime": 1.0, "scores": scores, "classes": [1, 2], "valid_rowcol": True}
    assert answer_class(**whole).to_wire() == whole
    assert answer_class(**whole).to_reference() == whole
    cut = answer_class(**whole, incomplete="cut short")
    assert cut.to_wire() == {**whole, "incomplete": "cut short"}
    assert cut.to_reference() == whole
    assert answer_class.model_validate(cut.to_wire()).incomplete == "cut short"


def test_a_batch_names_its_incomplete_images_where_there_are_some() -> None:
    loc = {"storage_type": "memory", "key": "x", "bucket_name": None}
    whole: dict[str, Any] = {
        "training": {"acc": 1.0, "pc_accs": [], "ref_accs": [], "runtime": 1.0},
        **dict.fromkeys(("model_loc", "valresult_loc", "metrics_loc"), loc),
        **dict.fromkeys(("images", "extracted", "skipped", "classified"), 1),
        "failures": [],
    }
    assert TrainFromImagesReturnMsg.model_validate(whole).to_wire() == whole
    named = {**whole, "incomplete_images": [{"name": "a.jpg", "reason": "cut short"}]}
    assert TrainFromImagesReturnMsg.model_validate(named).to_wire() == named

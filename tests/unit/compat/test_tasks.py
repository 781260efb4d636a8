"""The four tasks and jobs, with the reference's messages and with extractors of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from spacer_tasks.compat.data_classes import DataLocation, ImageFeatures, ValResults
from spacer_tasks.compat.exceptions import DataLimitError, RowColumnInvalidError
from spacer_tasks.compat.extractors import (
    DummyExtractor,
    EfficientNetExtractor,
    FeatureExtractor,
)
from spacer_tasks.compat.extractors.base import RegisteredExtractor
from spacer_tasks.compat.messages import (
    ClassifyFeaturesMsg,
    ClassifyImageMsg,
    ExtractFeaturesMsg,
    JobMsg,
    TrainClassifierMsg,
)
from spacer_tasks.compat.storage import clear_memory_storage, store_image
from spacer_tasks.compat.task_utils import preprocess_labels
from spacer_tasks.compat.tasks import (
    classify_features,
    classify_image,
    extract_features,
    process_job,
    train_classifier,
)
from spacer_tasks.compat.train_utils import make_random_data
from spacer_tasks.data_classes import features as ours
from spacer_tasks.storage.memory import MEMORY


@pytest.fixture(autouse=True)
def _memory() -> Iterator[None]:
    store_image(at("photo"), Image.new("RGB", (60, 50), (10, 20, 30)))
    yield
    clear_memory_storage()


def at(key: str) -> DataLocation:
    return DataLocation("memory", key)


def extraction(extractor: Any, points: Any = ((1, 2), (3, 4)), image: str = "photo") -> Any:
    return ExtractFeaturesMsg("1", extractor, list(points), at(image), at("features"))


class Colours(FeatureExtractor):
    """Of one's own: the mean of each colour."""

    feature_dim = 3

    def patches_to_features(self, patch_list: list[Any]) -> tuple[list[Any], bool]:
        return [patch.mean(axis=(0, 1)).tolist() for patch in patch_list], True


def trained(clf_type: str = "LR", key: str = "classifier") -> TrainClassifierMsg:
    np.random.seed(3)
    labels = preprocess_labels(make_random_data(12, [1, 2, 5], 10, 3, at("")), None, (0.2, 0.2))
    message = TrainClassifierMsg(
        "1", "minibatch", 2, clf_type, labels, [], at(key), at(f"{key}.val")
    )
    train_classifier(message)
    return message


def test_an_extractor_of_one_s_own_is_called() -> None:
    answer = extract_features(extraction(Colours({})))
    assert answer.extractor_loaded_remotely
    stored = ImageFeatures.load(at("features"))
    assert [(each.row, each.col) for each in stored.point_features] == [(1, 2), (3, 4)]
    np.testing.assert_allclose(stored[(3, 4)], [10, 20, 30], atol=2)


def test_ours_compute_and_say_from_what() -> None:
    extract_features(extraction(EfficientNetExtractor.untrained_instance()))
    stored = ImageFeatures.load(at("features"))
    assert (stored.npoints, stored.feature_dim) == (2, 1280)
    origin = ours.ImageFeatures.from_bytes(MEMORY.load("features"), "f").origin
    assert origin["image"] == "memory://photo"
    assert origin["extractor"]["name"] == "spacer_tasks.extractors.EfficientNetExtractor"
    # patches by themselves, as the whole image gives them
    extractor = EfficientNetExtractor.untrained_instance()
    patch = np.full((224, 224, 3), (10, 20, 30), np.uint8)
    vectors, _ = extractor.patches_to_features([patch, patch])
    features, _ = extractor(Image.fromarray(patch), [(112, 112)])
    np.testing.assert_allclose(vectors[1], features[(112, 112)], rtol=1e-4, atol=1e-6)


def test_an_extractor_by_a_registered_name_is_this_project_s() -> None:
    data = {
        "class_path": "spacer_tasks.extractors.DummyExtractor",
        "data_locations": {},
        "feature_dim": 7,
    }
    extractor = RegisteredExtractor("spacer_tasks.extractors.DummyExtractor", {}, feature_dim=7)
    assert extractor.serialize() == {**data, "data_hashes": {}}
    extract_features(extraction(extractor))
    assert ImageFeatures.load(at("features")).feature_dim == extractor.feature_dim == 7
    # the reference's own name of it stands for a class
    assert isinstance(FeatureExtractor.deserialize(data), DummyExtractor)


@pytest.mark.parametrize(
    ("message", "error", "text"),
    [
        (extraction(DummyExtractor(), [(50, 0)]), RowColumnInvalidError, "valid range of 0-49"),
        (extraction(DummyExtractor(), [(1, 1)] * 1001), DataLimitError, "1001 point locations"),
        (extraction(DummyExtractor(), image="no photo"), KeyError, "no photo"),
        (extraction(DummyExtractor(), image="text"), UnidentifiedImageError, "identify"),
    ],
)
def test_what_cannot_be_extracted_raises_as_with_the_reference(
    message: Any, error: type[Exception], text: str
) -> None:
    MEMORY.store("text", b"no image")
    with pytest.raises(error, match=text):
        extract_features(message)


@pytest.mark.parametrize("clf_type", ["LR", "MLP"])
def test_features_and_images_are_classified(clf_type: str) -> None:
    trained(clf_type)
    dummy = DummyExtractor(feature_dim=3)
    extract_features(extraction(dummy))
    answer = classify_features(ClassifyFeaturesMsg("1", at("features"), at("classifier")))
    assert answer.classes == [1, 2, 5]
    assert [each[:2] for each in answer.scores] == [(1, 2), (3, 4)]
    assert sum(answer[(3, 4)]) == pytest.approx(1)
    answer = classify_image(
        ClassifyImageMsg("1", dummy, [(3, 4), (3, 4)], at("photo"), at("classifier"))
    )
    assert [each[:2] for each in answer.scores] == [(3, 4), (3, 4)]
    assert answer.valid_rowcol


def test_a_training_evaluates_earlier_classifiers() -> None:
    message = trained()
    message.previous_model_locs = [at("classifier"), at("classifier")]
    message.model_loc = at("second")
    answer = train_classifier(message)
    assert answer.pc_accs == [answer.acc] * 2
    results = ValResults.load(at("classifier.val"))
    assert np.mean(np.equal(results.gt, results.est)) == answer.acc


def test_a_job_answers_each_message_or_says_why_not() -> None:
    message = extraction(DummyExtractor(feature_dim=3))
    answer = process_job(JobMsg("extract_features", [message, message]))
    assert answer.ok
    assert answer.results is not None
    assert len(answer.results) == 2
    assert answer.error_message is None
    for points, image, last in [
        ([(99, 0)], "photo", "spacer.exceptions.RowColumnInvalidError: photo: Row value 99"),
        ([(0, 0)], "no photo", "KeyError: 'no photo'"),
    ]:
        bad = extraction(DummyExtractor(feature_dim=3), points, image)
        answer = process_job(JobMsg("extract_features", [message, bad]))
        assert (answer.ok, answer.results) == (False, None)
        assert (answer.error_message or "").splitlines()[-1].startswith(last)
        assert "Traceback" in (answer.error_message or "")
    url = extraction(DummyExtractor())
    url.image_loc = DataLocation("url", "http://127.0.0.1:1/a.jpg")
    answer = process_job(JobMsg("extract_features", [url]))
    last_line = (answer.error_message or "").splitlines()[-1]
    assert last_line.startswith("spacer.exceptions.URLDownloadError: ")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"nbr_epochs": 0}, "spacer_tasks.exceptions.MessageError: TrainClassifierMsg: nbr_epochs"),
        ({"clf_type": ""}, "spacer_tasks.exceptions.MessageError: TrainClassifierMsg: clf_type"),
        (
            {"previous_model_locs": [DataLocation("filesystem", 5)]},  # type: ignore[arg-type]
            "spacer_tasks.exceptions.MessageError: TrainClassifierMsg: previous_model_locs.0.key",
        ),
    ],
)
def test_what_a_training_cannot_have_is_named(change: dict[str, Any], error: str) -> None:
    message = trained()
    fields = {**vars(message), **change}
    answer = process_job(JobMsg("train_classifier", [TrainClassifierMsg(**fields)]))
    assert not answer.ok
    assert (answer.error_message or "").splitlines()[-1].startswith(error)


def test_a_location_that_is_none_is_named() -> None:
    odd = extraction(DummyExtractor(feature_dim=3), image=5)  # type: ignore[arg-type]
    answer = process_job(JobMsg("extract_features", [odd]))
    last = (answer.error_message or "").splitlines()[-1]
    assert last.startswith(
        "spacer_tasks.exceptions.MessageError: DataLocation: key: Input should be a"
    )


def test_integers_and_texts_as_labels_of_one_training_are_refused() -> None:
    message = trained()
    for image_labels in (message.labels.train, message.labels.ref, message.labels.val):
        for location in list(image_labels.keys()):
            points = image_labels[location]
            for index, (row, column, label) in enumerate(points):
                points[index] = (row, column, "2" if label == 2 else label)
    answer = process_job(JobMsg("train_classifier", [message]))
    last = (answer.error_message or "").splitlines()[-1]
    assert last.startswith("spacer.exceptions.TrainingLabelsError: labels must be all integers")

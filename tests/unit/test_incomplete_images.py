"""What is said of an image that was read as far as it went: in answers, feature files and logs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spacer_tasks import operations
from spacer_tasks.data_classes.features import ImageFeatures
from spacer_tasks.exceptions import ImageError
from tests.support.files.image_kinds import KINDS
from tests.support.messages.of_features import scoring, training

WHOLE = KINDS["JPEG of best quality"]
CUT = WHOLE[:4000]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    operations.train_classifier(training(folder))
    return folder / "model_loc"


def asked(folder: Path, image: bytes, **more: Any) -> dict[str, Any]:
    """A message about points of a photo, with an extractor that needs no weights."""
    (folder / "reef.jpg").write_bytes(image)
    return {
        "job_token": "1",
        "extractor": {"class_path": "dummy", "feature_dim": 24},
        "rowcols": [[2, 3], [30, 40]],
        "image_loc": {"storage_type": "filesystem", "key": str(folder / "reef.jpg")},
        **more,
    }


def extraction(folder: Path, image: bytes) -> dict[str, Any]:
    loc = {"storage_type": "filesystem", "key": str(folder / "reef.npz")}
    return asked(folder, image, feature_loc=loc)


@pytest.fixture
def refusing(
    settings_changed: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> Callable[[], None]:
    def refuse() -> None:
        monkeypatch.setenv("SPACER_INCOMPLETE_IMAGES", "refuse")
        settings_changed()

    return refuse


def test_features_of_an_incomplete_image_say_so_in_answer_and_file(tmp_path: Path) -> None:
    message = extraction(tmp_path, WHOLE)
    assert operations.extract_features(message).incomplete is None
    message = extraction(tmp_path, CUT)
    assert not operations.features_are_current(message)
    answer = operations.extract_features(message)
    assert answer.incomplete is not None
    assert answer.incomplete.startswith("cut short: image file is truncated")
    stored = ImageFeatures.from_bytes((tmp_path / "reef.npz").read_bytes(), "")
    assert stored.incomplete == answer.incomplete
    # found there, they are not extracted again
    assert operations.features_are_current(message)
    current = operations.current_features(message)
    assert current is not None
    assert current.incomplete == answer.incomplete


def test_features_of_an_incomplete_image_are_not_current_where_such_are_refused(
    tmp_path: Path, refusing: Callable[[], None]
) -> None:
    message = extraction(tmp_path, CUT)
    operations.extract_features(message)
    refusing()
    assert not operations.features_are_current(message)
    with pytest.raises(ImageError, match=r"reef\.jpg: the image is damaged or cut short"):
        operations.extract_features(message)


def test_scores_of_an_incomplete_image_say_so(classifier: Path, tmp_path: Path) -> None:
    loc = {"storage_type": "filesystem", "key": str(classifier)}
    assert operations.classify_image(asked(tmp_path, WHOLE, classifier_loc=loc)).incomplete is None
    answer = operations.classify_image(asked(tmp_path, CUT, classifier_loc=loc))
    assert answer.incomplete is not None
    assert answer.incomplete.startswith("cut short: ")
    # also where they are of features that say it
    operations.extract_features(extraction(tmp_path, CUT))
    of_features = operations.classify_features(scoring(tmp_path / "reef.npz", classifier))
    assert of_features.incomplete == answer.incomplete


def test_a_job_answers_as_the_reference_does_and_logs_what_is_incomplete(
    classifier: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loc = {"storage_type": "filesystem", "key": str(classifier)}
    jobs = {
        "extract_features": extraction(tmp_path, CUT),
        "classify_image": asked(tmp_path, CUT, classifier_loc=loc),
        "classify_features": scoring(tmp_path / "reef.npz", classifier),
    }
    for name, message in jobs.items():
        caplog.clear()
        answer = operations.process_job({"task_name": name, "tasks": [message]})
        assert answer.results is not None
        expected = {"runtime", "scores", "classes", "valid_rowcol"}
        if name == "extract_features":
            expected = {"runtime", "extractor_loaded_remotely"}
        assert set(answer.results[0]) == expected
        source = "reef.npz" if name == "classify_features" else "reef.jpg"
        assert f"{source}: the image is incomplete: cut short: " in caplog.text

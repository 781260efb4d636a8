"""`train` that goes on after an interruption, and `train --seeds`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spacer_tasks import operations
from spacer_tasks.training import TrainingProgress
from tests.support.command_line import Ran, run
from tests.support.survey import DUMMY, write_photos, write_points


@pytest.fixture(autouse=True)
def survey(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> Path:
    monkeypatch.chdir(tmp_path)
    # after each epoch
    monkeypatch.setenv("SPACER_CHECKPOINT_EVERY_S", "0.000001")
    settings_changed()
    write_points(tmp_path / "points.csv", write_photos(tmp_path / "photos", 12))
    where = ("--points", "points.csv", "--features", "features")
    assert run("extract", "photos", *where, *DUMMY).code == 0
    return tmp_path


def train(classifier: str, *more: str) -> Ran:
    where = ("--points", "points.csv", "--features", "features", "--classifier", classifier)
    return run("train", *where, "--split-mode", "points", "--epochs", "5", *more)


@pytest.fixture
def epochs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Epochs that were done; the training is interrupted, as by Ctrl-C, when a third is."""
    seen: list[int] = []
    whole = operations.train_classifier

    def interrupted(message: Any, show: Callable[[TrainingProgress], None], *more: Any) -> Any:
        def watch(now: TrainingProgress) -> None:
            show(now)
            if now.stage == "training":
                seen.append(now.done)
                if seen == [1, 2, 3]:
                    raise KeyboardInterrupt

        return whole(message, watch, *more)

    monkeypatch.setattr(operations, "train_classifier", interrupted)
    return seen


def test_an_interrupted_training_goes_on_and_comes_to_the_same(epochs: list[int]) -> None:
    ran = train("a/reef.safetensors")
    assert ran.code == 130
    assert "the same command goes on from its last checkpoint" in ran.err
    assert not Path("a/reef.safetensors").exists()
    assert len(list(Path("a").glob("*.checkpoint"))) == 1
    assert train("a/reef.safetensors").code == 0
    assert epochs == [1, 2, 3, 4, 5]
    assert list(Path("a").glob("*.checkpoint")) == []
    assert train("b/reef.safetensors").code == 0
    results = [Path(f"{name}/reef.valresult.json").read_text() for name in "ab"]
    assert results[0] == results[1]


def test_another_training_does_not_go_on_from_it(survey: Path, epochs: list[int]) -> None:
    assert train("reef.safetensors").code == 130
    # one label is another
    text = (survey / "points.csv").read_text()
    (survey / "points.csv").write_text(text.replace("algae", "coral", 1))
    assert train("reef.safetensors").code == 0
    assert epochs == [1, 2, 3, 1, 2, 3, 4, 5]


def test_features_that_were_extracted_again_are_another_training(epochs: list[int]) -> None:
    assert train("reef.safetensors").code == 130
    where = ("--points", "points.csv", "--features", "features")
    other = ("--extractor", "dummy", "--extractor-option", "feature_dim=16")
    assert run("extract", "photos", *where, *other, "--again").code == 0
    assert train("reef.safetensors").code == 0
    assert epochs == [1, 2, 3, 1, 2, 3, 4, 5]


def test_seeds_say_how_far_the_accuracy_is_chance() -> None:
    assert train("one.safetensors").code == 0
    ran = train("reef.safetensors", "--seeds", "3")
    assert ran.code == 0, ran.err
    found = re.search(
        r"chance +\d+\.\d% on average of 3 seeds, standard deviation \d+\.\d%, from \d+\.\d% to"
        r" \d+\.\d%; for 1[01] validation points alone, 95 % interval \d+\.\d% to \d+\.\d%",
        ran.out,
    )
    assert found, ran.out
    # what is written is what is written without
    assert Path("one.valresult.json").read_text() == Path("reef.valresult.json").read_text()

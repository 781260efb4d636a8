"""A training that was broken off goes on from its checkpoint, to exactly the same classifier."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spacer_tasks.classifiers import Classifier
from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.training.base import Fitted
from spacer_tasks.training.checkpoints import Checkpoints
from spacer_tasks.training.feature_matrix import LabelledVectors
from spacer_tasks.training.minibatch import BLOCKS_FROM_LABELS, MiniBatchTrainer

EPOCHS, BROKEN_OFF = 6, 3


class BrokenOffError(Exception):
    """As when the worker is killed."""


@pytest.fixture
def loc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> DataLocation:
    """Of checkpoints that are written after each epoch."""
    monkeypatch.setenv("SPACER_CHECKPOINT_EVERY_S", "0.000001")
    settings_changed()
    return DataLocation.parse(str(tmp_path / "checkpoint"))


def vectors(classes: int, per_image: int, images: int = 20) -> LabelledVectors:
    random = np.random.default_rng(classes)
    targets = np.arange(images * per_image) % classes
    points = targets[:, None] * 0.5 + random.normal(size=(len(targets), 8))
    starts = np.arange(0, len(targets) + 1, per_image)
    return LabelledVectors(points.astype(np.float32), targets, starts)


def fit(
    trainer: MiniBatchTrainer,
    clf_type: Any,
    train: LabelledVectors,
    checkpoints: Checkpoints | None,
    break_off: bool = False,
    epochs: list[int] | None = None,
) -> Fitted:
    def on_epoch(done: int, _total: int, _accuracy: float) -> None:
        if epochs is not None:
            epochs.append(done)
        if break_off and done == BROKEN_OFF:
            raise BrokenOffError

    count = int(train.targets.max()) + 1
    ref = vectors(count, 5)
    return trainer.fit(train, ref, list(range(count)), EPOCHS, clf_type, on_epoch, checkpoints)


def assert_same(one: Classifier, other: Classifier) -> None:
    for mine, its in zip(one.layers, other.layers, strict=True):
        np.testing.assert_array_equal(mine.weight, its.weight)
        np.testing.assert_array_equal(mine.bias, its.bias)
    np.testing.assert_array_equal(one.calibration_a, other.calibration_a)
    np.testing.assert_array_equal(one.calibration_b, other.calibration_b)


@pytest.mark.parametrize(
    ("clf_type", "classes", "per_image", "options"),
    [
        ("MLP", 3, 10, {}),
        ("MLP", 2, 10, {"mlp_hidden_layer_sizes": (9, 5), "mlp_learning_rate_init": 0.01}),
        ("MLP", 3, 10, {"random_state": 3, "batch_size": 30}),
        ("LR", 3, 10, {}),
        ("LR", 2, 10, {"sgd_average": False}),
        ("LR", 3, 10, {"sgd_loss": "hinge", "sgd_average": 100}),
        ("LR", 3, BLOCKS_FROM_LABELS // 20, {}),
        ("LR", 2, BLOCKS_FROM_LABELS // 20, {"sgd_average": False, "batch_size": 300}),
    ],
)
def test_a_resumed_training_comes_to_exactly_the_same(
    loc: DataLocation, clf_type: str, classes: int, per_image: int, options: dict[str, Any]
) -> None:
    trainer, train = MiniBatchTrainer(**options), vectors(classes, per_image)
    checkpoints = Checkpoints(loc).of("this training")
    whole = fit(trainer, clf_type, train, None)
    with pytest.raises(BrokenOffError):
        fit(trainer, clf_type, train, checkpoints, break_off=True)
    epochs: list[int] = []
    resumed = fit(trainer, clf_type, train, checkpoints, epochs=epochs)
    assert epochs == list(range(BROKEN_OFF + 1, EPOCHS + 1))
    assert resumed.ref_accs == whole.ref_accs
    assert_same(resumed.classifier, whole.classifier)


@pytest.mark.parametrize("damage", [lambda _: b"", lambda _: b"x" * 99, lambda data: data[:-9]])
def test_a_damaged_checkpoint_is_not_used(
    loc: DataLocation, damage: Callable[[bytes], bytes]
) -> None:
    trainer, train = MiniBatchTrainer(), vectors(3, 10)
    checkpoints = Checkpoints(loc).of("this training")
    with pytest.raises(BrokenOffError):
        fit(trainer, "MLP", train, checkpoints, break_off=True)
    path = Path(loc.key)
    path.write_bytes(damage(path.read_bytes()))
    epochs: list[int] = []
    fit(trainer, "MLP", train, checkpoints, epochs=epochs)
    assert epochs == list(range(1, EPOCHS + 1))


def test_a_checkpoint_of_another_training_is_not_used(loc: DataLocation) -> None:
    trainer = MiniBatchTrainer()
    with pytest.raises(BrokenOffError):
        fit(trainer, "MLP", vectors(3, 10), Checkpoints(loc).of("a"), break_off=True)
    epochs: list[int] = []
    fit(trainer, "LR", vectors(3, 10), Checkpoints(loc).of("b"), epochs=epochs)
    assert epochs == list(range(1, EPOCHS + 1))


def test_one_that_lost_its_training_to_another_stores_no_checkpoint(loc: DataLocation) -> None:
    def lost() -> None:
        raise BrokenOffError

    with pytest.raises(BrokenOffError):
        fit(MiniBatchTrainer(), "MLP", vectors(3, 10), Checkpoints(loc, lost).of("a"))
    assert not Path(loc.key).exists()


def test_a_short_training_makes_no_checkpoint(
    loc: DataLocation, monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> None:
    monkeypatch.delenv("SPACER_CHECKPOINT_EVERY_S")
    settings_changed()
    assert get_settings().checkpoint_every_s == 10
    fit(MiniBatchTrainer(), "MLP", vectors(3, 10), Checkpoints(loc).of("a"))
    assert not Path(loc.key).exists()

"""Trainers by name, with their options checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import MessageError, UnknownTrainerError
from spacer_tasks.messages.specs import TrainerSpec
from spacer_tasks.training import load_trainer
from spacer_tasks.training.feature_matrix import LabelledVectors
from spacer_tasks.training.minibatch import MiniBatchTrainer


@pytest.mark.parametrize(
    "name",
    [
        "minibatch",
        "spacer.train_classifier.MiniBatchTrainer",
        "spacer_tasks.training.MiniBatchTrainer",
    ],
)
def test_the_default_trainer_goes_by_the_reference_s_names(name: str) -> None:
    assert load_trainer(TrainerSpec(class_path=name)) == MiniBatchTrainer()


def test_the_batch_size_is_the_setting_s(
    monkeypatch: pytest.MonkeyPatch, settings_changed: Any
) -> None:
    monkeypatch.setenv("SPACER_TRAINING_BATCH_LABEL_COUNT", "77")
    settings_changed()
    assert get_settings().training_batch_label_count == 77
    assert MiniBatchTrainer().batch_size == 77


def test_options_are_taken_as_json_writes_them() -> None:
    spec = TrainerSpec(class_path="minibatch", mlp_hidden_layer_sizes=[30, 20], batch_size=9)
    trainer = load_trainer(spec)
    assert isinstance(trainer, MiniBatchTrainer)
    assert (trainer.mlp_hidden_layer_sizes, trainer.batch_size) == ((30, 20), 9)


@pytest.mark.parametrize("name", ["os.system", "spacer_tasks.training.base.Trainer", "", "LR"])
def test_an_unregistered_trainer_is_refused_by_name(name: str) -> None:
    with pytest.raises(UnknownTrainerError, match=r"registered are: .*MiniBatchTrainer"):
        load_trainer(TrainerSpec(class_path=name))


@pytest.mark.parametrize(
    "options",
    [
        {"epochs": 3},
        {"batch_size": -1},
        {"batch_size": True},
        {"batch_size": "many"},
        {"batch_size": 2.5},
        {"mlp_hidden_layer_sizes": 0},
        {"mlp_hidden_layer_sizes": True},
        {"mlp_hidden_layer_sizes": [100, 0]},
        {"mlp_learning_rate_init": -1},
        {"mlp_learning_rate_init": float("nan")},
        {"sgd_loss": "no such loss"},
        {"sgd_random_state": -1},
        {"random_state": 2**32},
    ],
)
def test_a_wrong_option_is_refused_by_name(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(MessageError, match=name):
        load_trainer(TrainerSpec(class_path="minibatch", **options))


def vectors(points: int) -> LabelledVectors:
    generator = np.random.default_rng(0)
    targets = np.arange(points) % 2
    values = generator.normal(size=(points, 4)) + targets[:, np.newaxis]
    return LabelledVectors(values.astype(np.float32), targets, np.array([0, points]))


@pytest.mark.parametrize(
    ("options", "shapes"),
    [
        ({}, [(4, 100), (100, 1)]),
        ({"mlp_large_data_threshold": 60}, [(4, 200), (200, 100), (100, 1)]),
        ({"mlp_large_data_threshold": 61}, [(4, 100), (100, 1)]),
        ({"mlp_hidden_layer_sizes": (7,), "mlp_large_data_threshold": 1}, [(4, 7), (7, 1)]),
    ],
)
def test_the_network_s_size_follows_the_number_of_labels(
    options: dict[str, Any], shapes: list[tuple[int, int]]
) -> None:
    train = vectors(60)
    classifier = MiniBatchTrainer(**options).fit(train, train, ["a", "b"], 1, "MLP").classifier
    assert [layer.weight.shape for layer in classifier.layers] == shapes


@pytest.mark.parametrize("clf_type", ["MLP", "LR"])
def test_a_batch_size_of_none_or_0_makes_one_batch_of_an_epoch(clf_type: Any) -> None:
    train = vectors(30)

    def weight(batch_size: int | None) -> Any:
        trainer = load_trainer(TrainerSpec(class_path="minibatch", batch_size=batch_size))
        return trainer.fit(train, train, ["a", "b"], 2, clf_type).classifier.layers[0].weight

    one = weight(30)
    for size in (None, 0, 31):
        np.testing.assert_array_equal(weight(size), one)
    assert not np.array_equal(weight(29), one)


@pytest.mark.parametrize(
    ("sizes", "shapes"), [(7, [(4, 7), (7, 1)]), ([], [(4, 1)]), ([5, 3], [(4, 5), (5, 3), (3, 1)])]
)
def test_hidden_layers_may_be_one_number_or_none(sizes: Any, shapes: list[tuple[int, int]]) -> None:
    train = vectors(60)
    trainer = load_trainer(TrainerSpec(class_path="minibatch", mlp_hidden_layer_sizes=sizes))
    classifier = trainer.fit(train, train, ["a", "b"], 1, "MLP").classifier
    assert [layer.weight.shape for layer in classifier.layers] == shapes


@pytest.mark.parametrize("points", [60, 2000])
@pytest.mark.parametrize("options", [{"sgd_average": 0}, {"sgd_random_state": None}])
def test_logistic_regression_goes_without_average_or_without_a_seed(
    options: dict[str, Any], points: int
) -> None:
    train = vectors(points)

    def weight(**options: Any) -> Any:
        trainer = load_trainer(TrainerSpec(class_path="minibatch", **options))
        return trainer.fit(train, train, ["a", "b"], 2, "LR").classifier.layers[0].weight

    # the same each time, and other than with the default
    np.testing.assert_array_equal(weight(**options), weight(**options))
    assert not np.array_equal(weight(**options), weight())


def test_the_seed_changes_the_network() -> None:
    train = vectors(60)

    def first_weight(seed: int | None) -> float:
        fitted = MiniBatchTrainer(random_state=seed).fit(train, train, ["a", "b"], 1, "MLP")
        return float(fitted.classifier.layers[0].weight[0, 0])

    assert first_weight(3) == first_weight(3) != first_weight(4)


@pytest.mark.parametrize("loss", ["hinge", "modified_huber", "squared_error"])
def test_other_losses_give_calibrated_probabilities_too(loss: str) -> None:
    train = vectors(60)
    trainer = load_trainer(TrainerSpec(class_path="minibatch", sgd_loss=loss))
    classifier = trainer.fit(train, train, ["a", "b"], 2, "LR").classifier
    np.testing.assert_allclose(classifier.predict_proba(train.vectors).sum(axis=1), 1)

"""Trainers: their options, and what one trains with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from spacer_tasks.compat.data_classes import DataLocation, ImageLabels
from spacer_tasks.compat.storage import clear_memory_storage
from spacer_tasks.compat.train_classifier import (
    ClassifierTrainer,
    MiniBatchTrainer,
    trainer_factory,
)
from spacer_tasks.compat.train_utils import calc_acc, evaluate_classifier, make_random_data
from spacer_tasks.exceptions import UnknownTrainerError
from spacer_tasks.messages.specs import TrainerSpec
from spacer_tasks.training import load_trainer

PATH = "spacer.train_classifier.MiniBatchTrainer"


@pytest.fixture(autouse=True)
def _memory() -> Iterator[None]:
    np.random.seed(1)
    yield
    clear_memory_storage()


def data(images: int) -> ImageLabels:
    return make_random_data(images, [3, 5, 9], 12, 4, DataLocation("memory", ""))


@pytest.mark.parametrize(
    ("options", "written"),
    [
        ({}, {}),
        ({"batch_size": 5000}, {}),
        ({"batch_size": None}, {"batch_size": None}),
        ({"batch_size": 0, "sgd_average": 0}, {"batch_size": 0, "sgd_average": 0}),
        ({"mlp_hidden_layer_sizes": (3, 2)}, {"mlp_hidden_layer_sizes": (3, 2)}),
        ({"sgd_random_state": None}, {"sgd_random_state": None}),
    ],
)
def test_options_are_written_where_they_differ_from_the_defaults(
    options: dict[str, Any], written: dict[str, Any]
) -> None:
    trainer = MiniBatchTrainer(**options)
    assert trainer.serialize() == {"class_path": PATH, **written}
    assert ClassifierTrainer.deserialize(trainer.serialize()) == trainer
    # this project's own takes them
    load_trainer(TrainerSpec.model_validate(trainer.serialize()))


def test_trainers_by_name() -> None:
    for name in ("minibatch", PATH, "spacer_tasks.training.MiniBatchTrainer"):
        assert trainer_factory(name) == MiniBatchTrainer()
    with pytest.raises(UnknownTrainerError):
        trainer_factory("os.system")


@pytest.mark.parametrize("clf_type", ["MLP", "LR"])
def test_a_trainer_is_called_with_labels(clf_type: str) -> None:
    labels = {"train": data(10), "ref": data(4), "val": data(4)}
    trainer = MiniBatchTrainer(mlp_hidden_layer_sizes=(8,), mlp_learning_rate_init=0.02)
    first, _, _ = trainer(labels, 1, [], clf_type)
    classifier, results, answer = trainer(labels, 4, [first], clf_type)
    truths, answers, scores = evaluate_classifier(classifier, labels["val"])
    assert answer.acc == calc_acc(truths, answers) > 0.6
    assert results.scores == scores
    assert [results.classes[each] for each in results.est] == [int(each) for each in answers]
    assert answer.pc_accs == [calc_acc(*evaluate_classifier(first, labels["val"])[:2])]
    assert len(answer.ref_accs) == 4
    parameters = classifier.get_params()["estimator"].get_params()
    if clf_type == "MLP":
        assert parameters["hidden_layer_sizes"] == (8,)
        assert parameters["learning_rate_init"] == 0.02
    else:
        assert parameters["loss"] == "log_loss"
    with pytest.raises(AssertionError):
        trainer(labels, 1, [], "SVM")


def test_accuracies_of_lists() -> None:
    assert calc_acc([1, 2, "a", 4], [1, 1, "a", "4"]) == 0.5
    for one, other in (([], []), ([1], [1, 2])):
        with pytest.raises(ValueError, match=r"Inputs|length"):
            calc_acc(one, other)

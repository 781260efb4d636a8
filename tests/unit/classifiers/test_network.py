"""A classifier knows the network of its training's features."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spacer_tasks.classifiers.model import Classifier, Layer
from spacer_tasks.classifiers.network import known_networks, other_network
from spacer_tasks.classifiers.safetensors_file import from_bytes, to_bytes

MINE: dict[str, Any] = {"name": "a.Net", "options": {}, "files": {"weights": "1" * 64}}
CLASSIFIER = Classifier(
    "LR", (Layer(np.ones((2, 1)), np.zeros(1)),), "identity", np.ones(1), np.zeros(1), ["a", "b"]
)


def trained_on(*networks: dict[str, Any] | None) -> Classifier:
    return replace(CLASSIFIER, trained={"networks": list(networks)})


@pytest.mark.parametrize(
    ("key", "value"),
    [("name", "b.Net"), ("options", {"size": 1}), ("files", {"weights": "2" * 64})],
)
def test_features_of_another_network_are_told(key: str, value: object) -> None:
    why = other_network(trained_on(MINE), {**MINE, key: value})
    assert why is not None
    assert "the classifier was trained on those of Net (sha256 11111111…)" in why


@pytest.mark.parametrize(
    "classifier",
    [trained_on(MINE), trained_on({"name": "other"}, MINE), trained_on(None, MINE), CLASSIFIER],
)
def test_features_of_a_known_network_or_of_none_that_is_known_pass(classifier: Classifier) -> None:
    assert other_network(classifier, MINE) is None
    assert other_network(classifier, None) is None
    # as precise as another machine computes
    assert other_network(classifier, {**MINE, "precision": "bfloat16"}) is None


def test_the_file_keeps_the_networks() -> None:
    assert known_networks(from_bytes(to_bytes(trained_on(MINE, None)), "c")) == [MINE, None]
    assert known_networks(CLASSIFIER) == []

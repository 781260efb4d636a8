"""Nets in Caffe's formats compute what real Caffe computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from spacer_tasks.extractors.caffe.net import CaffeNet, load_net
from tests.support.files.caffemodels import FIXTURES

#: of each blob's largest value
TOLERANCE = 1e-5


def net_of(definition: str, weights: str, blobs: list[str] | None = None) -> CaffeNet:
    with (
        (FIXTURES / f"{definition}.prototxt").open("rb") as text,
        (FIXTURES / f"{weights}.caffemodel").open("rb") as binary,
    ):
        return load_net(text, binary, blobs)


def run(net: CaffeNet, batch: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    with torch.inference_mode():
        return {name: each.numpy() for name, each in net(torch.from_numpy(batch)).items()}


@pytest.fixture(scope="module")
def expected() -> dict[str, NDArray[Any]]:
    """Every blob of the net `misc`, by name, and its input as `in:data`."""
    with np.load(FIXTURES / "expected_misc.npz") as arrays:
        return dict(arrays)


def test_every_blob_of_every_kind_of_layer_is_caffe_s(expected: dict[str, NDArray[Any]]) -> None:
    found = run(net_of("misc", "misc"), expected["in:data"])
    blobs = {name for name in expected if not name.startswith("in:")}
    assert set(found) == blobs | {"data"}
    assert len(blobs) == 26
    for name in blobs:
        assert found[name].shape == expected[name].shape, name
        off = np.abs(found[name].astype(np.float64) - expected[name]).max()
        assert off <= TOLERANCE * np.abs(expected[name]).max(), name


@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_batch_may_have_any_size_whatever_the_definition_says(
    size: int, expected: dict[str, NDArray[Any]]
) -> None:
    batch = expected["in:data"][[0, 1, 0, 1, 0][:size]]
    found = run(net_of("misc", "misc", ["prob", "concat"]), batch)
    for name, values in found.items():
        wanted = expected[name][[0, 1, 0, 1, 0][:size]]
        np.testing.assert_allclose(values, wanted, atol=TOLERANCE * np.abs(wanted).max())


def test_only_what_a_blob_is_computed_from_is_made_and_run(
    expected: dict[str, NDArray[Any]],
) -> None:
    net = net_of("misc", "misc", ["pool1"])
    # conv1, relu1, norm1, pool1
    (modules,) = net.children()
    assert len(list(modules.children())) == 4
    found = run(net, expected["in:data"])
    assert list(found) == ["pool1"]
    assert net.shapes == {"pool1": (12, 19, 21)}
    np.testing.assert_allclose(found["pool1"], expected["pool1"], atol=1e-4)


def test_the_input_is_left_as_it_was(expected: dict[str, NDArray[Any]]) -> None:
    batch = expected["in:data"].copy()
    run(net_of("misc", "misc"), batch)
    np.testing.assert_array_equal(batch, expected["in:data"])

"""Modules filled from files of `torch.save`: what is taken, and what is refused by name."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spacer_tasks.exceptions import WeightsError
from spacer_tasks.extractors.files.state_dict import load_module


class Net(nn.Module):
    """Parameters, buffers of floats and integers, and one that no file has."""

    places: Tensor
    ramp: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.register_buffer("places", torch.arange(6))
        self.register_buffer("ramp", torch.linspace(0, 1, 3), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.norm(self.conv(x * self.ramp.view(1, 3, 1, 1)))
        return found.mean((2, 3)) + self.places[1]


class Counting(Net):
    """Reads a number of a tensor while it is made, as depths of networks are computed."""

    def __init__(self) -> None:
        self.rates = [float(each) for each in torch.linspace(0, 1, 3)]
        super().__init__()


def saved(content: Any) -> bytes:
    stream = BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def trained(kind: type[Net] = Net) -> Net:
    torch.manual_seed(1)
    net = kind()
    # in training mode: the norm's buffers change
    net(torch.randn(5, 3, 8, 8))
    return net.eval()


def load(content: Any, **options: Any) -> Net:
    return load_module(Net, saved(content), "reef.pt", **options)


def check(found: Net, expected: Net) -> None:
    patches = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(found.eval()(patches), expected(patches))
    assert not any(each.requires_grad for each in found.parameters())


@pytest.mark.parametrize("kind", [Net, Counting])
def test_a_module_is_filled(kind: type[Net]) -> None:
    net = trained(kind)
    check(load_module(kind, saved(net.state_dict()), "reef.pt"), net)


def test_the_state_dict_may_be_an_entry_beside_others() -> None:
    net = trained()
    content = {"model": net.state_dict(), "epoch": 7, "accuracy": 0.9}
    check(load(content, entry="model"), net)


def test_a_prefix_is_taken_off() -> None:
    net = trained()
    content = {f"backbone.{key}": tensor for key, tensor in net.state_dict().items()}
    check(load(content, prefix="backbone."), net)
    with pytest.raises(WeightsError, match=r"conv\.weight is missing"):
        load(content)


def test_tensors_that_are_not_needed_may_be_there_or_not() -> None:
    net = trained()
    tensors = dict(net.state_dict())
    del tensors["norm.num_batches_tracked"]
    check(load(tensors), net)
    tensors["head.weight"] = torch.ones(2, 2)
    with pytest.raises(WeightsError, match=r"head\.weight is not of this network"):
        load(tensors)
    check(load(tensors, unused=("head.*", "*.num_batches_tracked")), net)


def test_16_bits_become_32() -> None:
    net = trained()
    tensors = {
        key: tensor.half() if tensor.is_floating_point() else tensor
        for key, tensor in net.state_dict().items()
    }
    assert {each.dtype for each in load(tensors).parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        (
            "conv.weight",
            torch.zeros(4, 3, 5, 5),
            r"has shape \(4, 3, 5, 5\), expected \(4, 3, 3, 3",
        ),
        ("conv.bias", torch.full((4,), torch.inf), "holds numbers that are not finite"),
        ("conv.bias", torch.zeros(4, dtype=torch.int64), "is not a tensor of floating-point numb"),
        ("conv.bias", torch.zeros(4, dtype=torch.complex64), "is not a tensor of floating-point n"),
        ("conv.bias", torch.eye(4).to_sparse(), "is not a tensor of floating-point numbers"),
        ("conv.bias", "text", "is not a tensor of floating-point numbers"),
        ("places", torch.zeros(6), "is not a tensor of integers"),
    ],
)
def test_a_tensor_of_another_kind_is_named(key: str, value: Any, fault: str) -> None:
    tensors = {**trained().state_dict(), key: value}
    with pytest.raises(WeightsError, match=rf"reef\.pt is not of Net: {key} {fault}"):
        load(tensors)


def test_the_network_s_own_name_is_said_where_it_has_one() -> None:
    with pytest.raises(WeightsError, match=r"is not of ReefNet-2: .*conv\.weight is missing"):
        load({}, network="ReefNet-2")


@pytest.mark.parametrize("entry", [None, "net"])
def test_what_is_not_a_state_dict_says_what_should_be_there(entry: str | None) -> None:
    expected = "torch.save(state_dict)" if entry is None else 'torch.save({"net": state_dict})'
    for content in ([1, 2], torch.zeros(3)):
        with pytest.raises(WeightsError, match="has no state dict") as caught:
            load(content, entry=entry)
        assert expected in str(caught.value)
    with pytest.raises(WeightsError, match="is not a weights file") as caught:
        load_module(Net, b"hello", "reef.pt", entry=entry)
    assert expected in str(caught.value)

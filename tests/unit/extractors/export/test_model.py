"""Torch networks as ONNX models: the same numbers for any number of patches, or a refusal."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from spacer_tasks.extractors.export.model import onnx_model
from spacer_tasks.extractors.export.recording import MOST, NotExportableError
from spacer_tasks.extractors.runtime.onnx_network import OnnxNetwork

SIZE = 32
PATCHES = np.random.default_rng(1).integers(0, 256, (7, SIZE, SIZE, 3), dtype=np.uint8)


class Layer(nn.Module):
    """A function as a layer."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


class Attention(nn.Module):
    """A vision transformer's: a token before those of the patch, and what it sees of them."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Conv2d(3, 16, 8, stride=8)
        self.first = nn.Parameter(torch.randn(1, 1, 16))
        self.positions = nn.Parameter(torch.randn(1, 17, 16))
        self.norm, self.qkv, self.out = nn.LayerNorm(16), nn.Linear(16, 48), nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.tokens(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.first.expand(x.shape[0], -1, -1), x], dim=1) + self.positions
        count, length, width = x.shape
        qkv = self.qkv(self.norm(x)).reshape(count, length, 3, 4, 4).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)
        seen = functional.scaled_dot_product_attention(query, key, value)
        found: Tensor = x + self.out(seen.transpose(1, 2).reshape(count, length, width))
        return found[:, 0]


def conv(channels: int = 3, out: int = 8, kernel: int = 3, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(channels, out, kernel, **options)


def pooled(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def after_conv(layer: nn.Module) -> Callable[[], nn.Module]:
    return lambda: pooled(conv(), layer)


def of(function: Callable[[Tensor], Any]) -> Callable[[], nn.Module]:
    return lambda: Layer(function)


def of_vectors(function: Callable[[Tensor], Any]) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(pooled(conv()), Layer(function))


def trained_norm() -> nn.Module:
    norm = nn.BatchNorm2d(8)
    norm.running_mean, norm.running_var = torch.randn(8), torch.rand(8) + 0.1
    return pooled(conv(), norm)


def standardised(x: Tensor) -> Tensor:
    """A convolution whose weights are computed in the pass."""
    weight = torch.linspace(-1, 1, 8 * 27).view(8, 3, 3, 3)
    return functional.conv2d(x, (weight - weight.mean()) / weight.std()).mean((2, 3))


def padded_and_more(x: Tensor) -> Tensor:
    """What is padded is read by more than the convolution."""
    padded = functional.pad(x, (0, 1, 0, 1))
    found = functional.conv2d(padded, torch.ones(2, 3, 3, 3) / 27)
    return torch.cat([found.mean((2, 3)), padded.mean((2, 3))], dim=1)


KNOWN: dict[str, Callable[[], nn.Module]] = {
    **{
        type(layer).__name__: after_conv(layer)
        for layer in (
            nn.ReLU(), nn.ReLU6(), nn.SiLU(), nn.GELU(), nn.Hardswish(), nn.Hardsigmoid(),
            nn.ELU(), nn.LeakyReLU(0.1), nn.PReLU(8), nn.Tanh(), nn.Sigmoid(), nn.Mish(),
            nn.Softmax(1), nn.Dropout(), nn.AvgPool2d(3, 2, 1), nn.ZeroPad2d((1, 2, 3, 4)),
        )
    },
    "in place": after_conv(nn.ReLU(inplace=True)),
    "gelu by tanh": after_conv(nn.GELU("tanh")),
    "batch norm": trained_norm,
    "batch norm, plain": after_conv(nn.BatchNorm2d(8, affine=False)),
    "max pool": after_conv(nn.MaxPool2d(3, 2, 1)),
    "max pool, rounded up": after_conv(nn.MaxPool2d(3, 2, ceil_mode=True)),
    "average pool without padding": after_conv(nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
    "average pool to 3 x 3": after_conv(nn.AdaptiveAvgPool2d(3)),
    "layer norm of channels": lambda: nn.Sequential(
        conv(), Layer(lambda x: x.permute(0, 2, 3, 1)), nn.LayerNorm(8),
        Layer(lambda x: x.mean((1, 2))),
    ),
    "each channel by itself, dilated": lambda: pooled(
        conv(), conv(8, 8, groups=8, dilation=2, stride=2, padding=1), conv(8, 6, 1, bias=False)
    ),
    "padded more below": lambda: pooled(
        Layer(lambda x: functional.pad(x, (0, 1, 0, 1))), conv(stride=2)
    ),
    "padded, and read by others": of(padded_and_more),
    "padded by less than nothing": of(lambda x: functional.pad(x, (-1, 2, 0, -3)).mean((2, 3))),
    "padded with ones": of(lambda x: functional.pad(x, (1, 1), value=1.0).mean((2, 3))),
    "linear": lambda: nn.Sequential(
        pooled(conv()), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 4, bias=False)
    ),
    "arithmetic": of(lambda x: ((1 - x) ** 2 / (1 + x) + 2 * x - 3).mean((2, 3))),
    "generalised mean": of(lambda x: x.clamp(min=1e-6).pow(3).mean((-2, -1)).pow(1 / 3)),
    "sums and the largest": of(lambda x: torch.cat([x.sum((2, 3)) / 99, x.amax((2, 3))], dim=1)),
    "parts": of(lambda x: torch.cat([a * b for a, b in [x.chunk(2, 2)]], dim=2).mean((2, 3))),
    "unequal parts": of(lambda x: torch.split(x, [1, 2], dim=1)[1].mean((2, 3))),
    "steps of an axis": of(lambda x: x[:, :, 1:-1:3].mean((2, 3))),
    "backwards": of(lambda x: x.flip(1).mean((2, 3))),
    "shuffled channels": lambda: pooled(
        conv(), Layer(lambda x: x.view(len(x), 2, 4, 30, 30).transpose(1, 2).reshape(x.shape)),
        conv(8, 4),
    ),
    "stacked": of_vectors(lambda x: torch.stack([x, x * 2], dim=1).flatten(1)),
    "flattened and changed in place": lambda: nn.Sequential(
        conv(stride=8), Layer(lambda x: functional.relu_(x.flatten(1)))
    ),
    "zeros of the patches' number": of_vectors(
        lambda x: torch.cat([x, torch.zeros(len(x), 2)], dim=1)
    ),
    "in 64 bits": of_vectors(lambda x: (x.double() * 3).float()),
    "weights made in the pass": of(standardised),
    "attention": Attention,
}  # fmt: skip

REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "an unknown operator": (after_conv(nn.Softplus()), "uses the operator softplus"),
    "training": (after_conv(nn.InstanceNorm2d(8)), "native_batch_norm is in training"),
    "transposed": (lambda: pooled(nn.ConvTranspose2d(3, 8, 3)), "is transposed"),
    "uneven windows": (after_conv(nn.AdaptiveAvgPool2d(7)), "by windows that differ"),
    "two types": (of(lambda x: (x * torch.arange(32)).mean((2, 3))), "takes torch.int64 and gives"),
    "a number read back": (of_vectors(lambda x: x * float(x.mean())), "reads numbers back"),
    "a choice by values": (of_vectors(lambda x: x * 2 if x.sum() > 0 else x), "reads numbers back"),
    "the mean of all patches": (of(lambda x: (x - x.mean(0)).mean((2, 3))), "mixes the patches"),
    "a softmax over the patches": (of_vectors(lambda x: x.softmax(0)), "mixes the patches"),
    "the first patch": (of_vectors(lambda x: x + x[0]), "takes one of the patches"),
    "all but the first patch": (of_vectors(lambda x: x + x[-1:]), "takes some of the patches"),
    "turned round": (of_vectors(lambda x: x.flip(0)), "turns the order of the patches"),
    "chance": (of_vectors(lambda x: x * torch.rand(8)), "another for each number of patches"),
    "one or several": (
        of_vectors(lambda x: x * 2 if len(x) % 2 else x), "other things for another number"
    ),
    "a constant that is written to": (
        of_vectors(lambda x: x * torch.zeros(8).add_(3)), "add_ changes a constant"
    ),
    "part of a constant that is written to": (
        of_vectors(lambda x: writing_to(torch.zeros(len(x), 8), x)), "reads it through another"
    ),
    "memory read through another tensor": (
        of_vectors(lambda x: (x.view(-1).mul_(2), x)[1]), "reads it through another"
    ),
    "numpy": (
        of_vectors(lambda x: x * torch.from_numpy(x.numpy() * 2)), "a constant or a size in it"
    ),
    "numpy, of the first patch": (
        of_vectors(lambda x: x + torch.from_numpy(x.numpy()[0] * 2)),
        "a constant or a size in it"
    ),
    "a dict": (lambda: Layer(lambda x: {"features": x}), "not a tensor that comes from"),
    "a picture": (lambda: conv(), "not a vector of float32 for each patch"),
    "one number": (of(lambda x: x.mean()), "mixes the patches|not a vector"),
    "a constant": (of(lambda x: torch.ones(len(x), 3)), "not a tensor that comes from"),
    "what torch refuses": (lambda: pooled(conv(5)), "expected"),
}  # fmt: skip


def writing_to(constant: Tensor, x: Tensor) -> Tensor:
    constant[:, 0] = x[:, 0]
    return constant + x


def network_of(make: Callable[[], nn.Module]) -> Callable[[Tensor], Tensor]:
    torch.manual_seed(0)
    net = make().eval().requires_grad_(False)
    return lambda patches: net(patches.permute(0, 3, 1, 2).to(torch.float32).div_(255))


def in_torch(network: Callable[[Tensor], Tensor], patches: NDArray[np.uint8]) -> Any:
    with torch.inference_mode():
        return network(torch.from_numpy(patches)).numpy()


@pytest.mark.parametrize("name", KNOWN)
def test_a_model_gives_the_network_s_numbers_for_any_number_of_patches(name: str) -> None:
    network = network_of(KNOWN[name])
    exported = onnx_model(network, PATCHES[:MOST])
    run = OnnxNetwork(exported.model, threads=lambda: 1)
    count = len(exported.vectors)
    np.testing.assert_allclose(exported.vectors, in_torch(network, PATCHES[:count]), rtol=1e-6)
    for count in (1, 2, 3, 7):
        expected = in_torch(network, PATCHES[:count])
        found = run(PATCHES[:count])
        assert found.shape == expected.shape
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_model_can_be_made_of_is_refused_with_the_reason(name: str) -> None:
    make, reason = REFUSED[name]
    network = network_of(make)
    with pytest.raises(NotExportableError, match=reason):
        onnx_model(network, PATCHES[:MOST])


def test_padding_before_a_convolution_is_the_convolution_s() -> None:
    network = network_of(KNOWN["padded more below"])
    model = onnx_model(network, PATCHES[:MOST]).model
    assert b"Conv" in model
    assert b"Pad" not in model


def test_a_parameter_that_two_layers_share_is_there_once() -> None:
    shared = nn.Linear(64, 64)
    once = nn.Sequential(Layer(lambda x: x.flatten(1)[:, :64]), shared)
    twice = nn.Sequential(Layer(lambda x: x.flatten(1)[:, :64]), shared, shared)
    makers = [lambda: once, lambda: twice]
    sizes = [len(onnx_model(network_of(make), PATCHES[:MOST]).model) for make in makers]
    assert sizes[1] - sizes[0] < 500


def test_making_a_model_does_not_load_torch_s_compiler() -> None:
    # it takes seconds, and leaves a folder behind
    code = (
        "import sys, numpy as np, torch;"
        "from spacer_tasks.extractors.export.model import onnx_model;"
        "net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.SiLU(inplace=True),"
        " torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()).requires_grad_(False);"
        "patches = np.zeros((3, 8, 8, 3), np.uint8);"
        "onnx_model(lambda x: net(x.permute(0, 3, 1, 2).float()), patches);"
        "print([name for name in ('torch._dynamo', 'sympy') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"

"""Adam beside torch's own class, and what a training process leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from spacer_tasks.training.learners.adam import Adam

SHAPES = [(7, 5), (5,), (5, 1)]

TRAIN = """
import sys
import numpy as np
from spacer_tasks.training.learners.perceptron import Perceptron

vectors = np.random.RandomState(0).normal(size=(500, 8)).astype(np.float32)
targets = np.arange(500) % 3
model = Perceptron(8, [6], 3, 0.01, np.random.RandomState(0))
before = model.layers()[0].weight.copy()
model.partial_fit(vectors, np.arange(500), targets, np.random.RandomState(0))
assert (model.layers()[0].weight != before).all()
sys.exit("torch._dynamo" in sys.modules)
"""


def some(shape: tuple[int, ...], generator: np.random.Generator) -> torch.Tensor:
    return torch.from_numpy(generator.normal(size=shape).astype(np.float32))


def test_a_step_is_torch_s_to_the_last_bit() -> None:
    generator = np.random.default_rng(3)
    ours = [some(shape, generator) for shape in SHAPES]
    theirs = [torch.nn.Parameter(each.clone()) for each in ours]
    adam = Adam(ours, 0.01)
    expected = torch.optim.Adam(theirs, lr=0.01, fused=True)
    for step in range(1, 6):
        epsilon = 1e-8 / step
        gradients = [some(shape, generator) for shape in SHAPES]
        adam.step(gradients, epsilon)
        for parameter, gradient in zip(theirs, gradients, strict=True):
            parameter.grad = gradient
        expected.param_groups[0]["eps"] = epsilon
        expected.step()
        for found, parameter in zip(ours, theirs, strict=True):
            assert torch.equal(found, parameter.detach())


def test_one_that_is_restored_goes_on_as_the_other() -> None:
    generator = np.random.default_rng(4)
    first = [some(shape, generator) for shape in SHAPES]
    adam = Adam(first, 0.01)
    for _ in range(3):
        adam.step([some(shape, generator) for shape in SHAPES], 1e-8)
    second = [each.clone() for each in first]
    other = Adam(second, 0.01)
    for number in range(len(SHAPES)):
        other.restore(number, {name: value.copy() for name, value in adam.state(number).items()})
    gradients = [some(shape, generator) for shape in SHAPES]
    adam.step(gradients, 1e-8)
    other.step(gradients, 1e-8)
    for one, another in zip(first, second, strict=True):
        assert torch.equal(one, another)


def test_what_is_of_another_shape_is_not_restored() -> None:
    adam = Adam([torch.zeros(2, 3)], 0.01)
    state = Adam([torch.zeros(3, 2)], 0.01).state(0)
    with pytest.raises(ValueError, match=r"exp_avg of shape \(3, 2\)"):
        adam.restore(0, state)


def test_a_training_loads_no_compiler_and_leaves_nothing_in_the_temporary_folder(
    tmp_path: Path,
) -> None:
    env = {name: value for name, value in os.environ.items() if "CACHE" not in name}
    env |= {"TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", TRAIN], env=env, check=True, timeout=120)
    assert list(tmp_path.iterdir()) == []

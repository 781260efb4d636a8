"""A multi-layer perceptron, trained as scikit-learn's `MLPClassifier.partial_fit` trains it.

The same first weights (Glorot and Bengio 2010), batches, order, loss, penalty and Adam, in float32
and with the same random numbers; so the weights differ from scikit-learn's by rounding only. It is
torch that computes: its Adam goes through the weights once a step, where scikit-learn's makes ten
passes and as many new arrays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from spacer_tasks.classifiers.model import Layer, OutputActivation
from spacer_tasks.training.checkpoints import Arrays
from spacer_tasks.training.learners.adam import BETAS, Adam

#: vectors of one step, from scikit-learn
STEP_ROWS = 200
#: L2 penalty, from scikit-learn
PENALTY = 1e-4
#: smallest denominator of Adam, from scikit-learn
EPSILON = 1e-8
#: vectors classified at once
CHUNK_ROWS = 4096


class Perceptron:
    """Rectified linear hidden layers; softmax over the classes, or a sigmoid where there are two.

    Parameters
    ----------
    dimensions, hidden, classes
        Numbers of a vector, units of each hidden layer, and the number of classes.
    rate
        Adam's learning rate.
    generator
        Where the first weights come from.
    """

    def __init__(
        self,
        dimensions: int,
        hidden: Sequence[int],
        classes: int,
        rate: float,
        generator: np.random.RandomState,
    ) -> None:
        outputs = 1 if classes == 2 else classes
        units = [dimensions, *hidden, outputs]
        self.output: OutputActivation = "logistic" if outputs == 1 else "softmax"
        self._weights: list[torch.Tensor] = []
        self._biases: list[torch.Tensor] = []
        for fan_in, fan_out in pairwise(units):
            bound = math.sqrt(6 / (fan_in + fan_out))
            self._weights.append(_parameter(generator.uniform(-bound, bound, (fan_in, fan_out))))
            self._biases.append(_parameter(generator.uniform(-bound, bound, fan_out)))
        self._adam = Adam([*self._weights, *self._biases], rate)
        self._steps = 0

    def partial_fit(
        self,
        vectors: NDArray[np.float32],
        rows: NDArray[np.intp],
        targets: NDArray[np.intp],
        generator: np.random.RandomState,
    ) -> None:
        """Go once through `rows` of `vectors`, in an order that `generator` draws.

        Parameters
        ----------
        vectors
            Shape (points, dimensions); only the rows of one step are copied at a time.
        rows
            Which of them make the batch.
        targets
            Shape (points,): the class of each vector, as an index.
        """
        matrix, classes = torch.from_numpy(vectors), torch.from_numpy(targets)
        order = np.arange(len(rows))
        generator.shuffle(order)
        shuffled = torch.from_numpy(rows[order])
        for start in range(0, len(rows), STEP_ROWS):
            chosen = shuffled[start : start + STEP_ROWS]
            self._step(matrix.index_select(0, chosen), classes.index_select(0, chosen))

    def predict(self, vectors: NDArray[np.float32]) -> NDArray[np.intp]:
        """The class of each vector, as an index, shape (points,)."""
        found: list[NDArray[np.intp]] = []
        for start in range(0, len(vectors), CHUNK_ROWS):
            chunk = vectors[start : start + CHUNK_ROWS]
            *_, last = self._layers_of(torch.from_numpy(chunk))
            best = last[:, 0] > 0 if self.output == "logistic" else last.argmax(dim=1)
            found.append(best.numpy().astype(np.intp))
        return np.concatenate(found)

    def is_finite(self) -> bool:
        """Whether no weight has grown beyond all bounds, nor the square of a gradient.

        Where a square has, Adam moves the weight no more, and the training would end in silence.
        """
        parameters = (*self._weights, *self._biases)
        return self._adam.is_finite() and all(bool(each.isfinite().all()) for each in parameters)

    def layers(self) -> tuple[Layer, ...]:
        """The weights as they are now."""
        return tuple(
            Layer(weight.numpy().astype(np.float64), bias.numpy().astype(float))
            for weight, bias in zip(self._weights, self._biases, strict=True)
        )

    def state(self) -> Arrays:
        """All that the next step depends on: the weights, and what Adam knows of each."""
        found: Arrays = {"steps": np.array([self._steps], np.int64)}
        for number, parameter in enumerate((*self._weights, *self._biases)):
            found[f"{number}.value"] = parameter.numpy()
            for name, value in self._adam.state(number).items():
                found[f"{number}.{name}"] = value
        return found

    def restore(self, state: Arrays) -> None:
        """Stand where another one of the same shape stood. Raises KeyError or ValueError."""
        self._steps = int(state["steps"][0])
        for number, parameter in enumerate((*self._weights, *self._biases)):
            value = state[f"{number}.value"]
            if value.shape != tuple(parameter.shape):
                raise ValueError(f"layer of shape {value.shape}, expected {parameter.shape}")
            parameter.copy_(torch.from_numpy(value.copy()))
            names = ("step", "exp_avg", "exp_avg_sq")
            self._adam.restore(number, {name: state[f"{number}.{name}"] for name in names})

    def _layers_of(self, vectors: torch.Tensor) -> Iterator[torch.Tensor]:
        """What goes into each layer, then what the last gives before its activation."""
        yield vectors
        last = len(self._weights) - 1
        for number, (weight, bias) in enumerate(zip(self._weights, self._biases, strict=True)):
            vectors = torch.addmm(bias, vectors, weight)
            if number < last:
                vectors.relu_()
            yield vectors

    def _step(self, vectors: torch.Tensor, targets: torch.Tensor) -> None:
        *inputs, last = self._layers_of(vectors)
        # the gradient of the loss at the last layer: what it gives less what it should give
        if self.output == "logistic":
            delta = last.sigmoid_()
            delta[:, 0] -= targets
        else:
            delta = last.softmax(dim=1)
            delta[torch.arange(len(targets)), targets] -= 1
        share = 1 / len(vectors)
        by_weights: list[torch.Tensor] = []
        by_biases: list[torch.Tensor] = []
        for number in reversed(range(len(inputs))):
            weight = self._weights[number]
            by_weights.append(
                torch.addmm(weight, inputs[number].T, delta, beta=PENALTY * share, alpha=share)
            )
            by_biases.append(delta.mean(dim=0))
            if number:
                # a rectified unit that gave nothing passes nothing back
                delta = (delta @ weight.T).mul_(inputs[number] > 0)
        self._steps += 1
        # torch adds epsilon after it has corrected the denominator, scikit-learn before
        epsilon = EPSILON / math.sqrt(1 - BETAS[1] ** self._steps)
        self._adam.step([*reversed(by_weights), *reversed(by_biases)], epsilon)


def _parameter(values: NDArray[np.float64]) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))

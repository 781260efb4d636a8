"""Logistic regression, one class against the rest, by averaged stochastic gradient descent.

What scikit-learn's `SGDClassifier(loss="log_loss", average=...)` does (Bottou 2010; the learning
rate is its `optimal`), for all classes at once. All classes see the vectors in one order;
scikit-learn draws an order for each.

The steps of a block are taken without touching the weights. After step j the weights are, up to a
factor, those at the block's start plus v_0 x_0 + … + v_j x_j; so the decision for vector i needs
only its products with the weights at the start and with the vectors before it, and each of these
is one matrix product for the block. Nothing is approximated: the result is that of one step after
the other, up to rounding.
"""

from __future__ import annotations

import math
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from spacer_tasks.classifiers.model import FloatArray, Layer, OutputActivation
from spacer_tasks.concurrency.one_thread import one_thread
from spacer_tasks.training.checkpoints import Arrays

#: L2 penalty, from scikit-learn
PENALTY = 1e-4
#: the schedule's first step count; from scikit-learn, whose first learning rate is 1/sqrt(sqrt(p))
FIRST = 1 / (PENALTY * math.sqrt(1 / math.sqrt(PENALTY)))
#: vectors of one block: with more, their products with one another cost more than they save
BLOCK_ROWS = 48
#: vectors that are copied, as float64, at a time
CHUNK_ROWS = 512


class OneAgainstRest:
    """A linear decision for each class; for the second alone where there are two.

    Parameters
    ----------
    dimensions, classes
        Numbers of a vector, and the number of classes.
    average
        The step from which weights are averaged, from 1; 0 for the last weights instead.
    seed
        Of the order within a batch, which is the same for each batch of a length. Where None, the
        generator that a batch comes with draws it.
    """

    output: OutputActivation = "identity"

    def __init__(self, dimensions: int, classes: int, average: int, seed: int | None) -> None:
        outputs = 1 if classes == 2 else classes
        self._average, self._seed = average, seed
        self._step = 1
        self._weights = np.zeros((outputs, dimensions))
        self._biases = np.zeros(outputs)
        self._mean_weights = np.zeros((outputs, dimensions))
        self._mean_biases = np.zeros(outputs)

    def partial_fit(
        self,
        vectors: NDArray[np.float32],
        rows: NDArray[np.intp],
        targets: NDArray[np.intp],
        generator: np.random.RandomState,
    ) -> None:
        """Go once through `rows` of `vectors`, in the order of the seed.

        Parameters
        ----------
        vectors
            Shape (points, dimensions).
        rows
            Which of them make the batch.
        targets
            Shape (points,): the class of each vector, as an index.
        """
        if self._seed is not None:
            generator = np.random.RandomState(self._seed)
        shuffled = rows[generator.permutation(len(rows))]
        chunks = [
            shuffled[start : start + CHUNK_ROWS] for start in range(0, len(shuffled), CHUNK_ROWS)
        ]
        # One thread takes the steps, another makes the next chunk ready and averages: the products
        # are too small to be shared between threads, which would wait for each other at each.
        with (
            one_thread(),
            ThreadPoolExecutor(1, thread_name_prefix="chunks") as pool,
        ):
            averaged: list[Future[None]] = []
            coming = pool.submit(_ready, vectors, chunks[0])
            for chosen, following in zip_longest(chunks, chunks[1:]):
                some, products = coming.result()
                if following is not None:
                    coming = pool.submit(_ready, vectors, following)
                first = self._weights.copy(), self._biases
                step, after, added = self._chunk(some, products, self._one_hot(targets[chosen]))
                averaged.append(pool.submit(self._average_in, step, after, first, added, some))
            for each in averaged:
                each.result()

    def predict(self, vectors: NDArray[np.float32]) -> NDArray[np.intp]:
        """The class of each vector, as an index, shape (points,)."""
        (layer,) = self.layers()
        found: list[NDArray[np.intp]] = []
        for start in range(0, len(vectors), CHUNK_ROWS):
            values = vectors[start : start + CHUNK_ROWS].astype(np.float64) @ layer.weight
            values += layer.bias
            best = values[:, 0] > 0 if values.shape[1] == 1 else values.argmax(axis=1)
            found.append(best.astype(np.intp))
        return np.concatenate(found)

    def is_finite(self) -> bool:
        """Whether no weight has grown beyond all bounds."""
        return all(np.isfinite(values).all() for layer in self.layers() for values in layer)

    def layers(self) -> tuple[Layer, ...]:
        """The weights as they are now, averaged where that was asked for and has begun."""
        averaged = 0 < self._average < self._step
        weights = self._mean_weights if averaged else self._weights
        biases = self._mean_biases if averaged else self._biases
        return (Layer(np.ascontiguousarray(weights.T), biases.copy()),)

    def state(self) -> Arrays:
        """All that the next step depends on."""
        return {
            "step": np.array([self._step], np.int64),
            "weights": self._weights,
            "biases": self._biases,
            "mean_weights": self._mean_weights,
            "mean_biases": self._mean_biases,
        }

    def restore(self, state: Arrays) -> None:
        """Stand where another one of the same shape stood. Raises KeyError or ValueError."""
        if state["weights"].shape != self._weights.shape:
            raise ValueError(f"weights of shape {state['weights'].shape}")
        self._step = int(state["step"][0])
        # copies: what a file was read into may not be written
        self._weights, self._biases = state["weights"].copy(), state["biases"].copy()
        self._mean_weights = state["mean_weights"].copy()
        self._mean_biases = state["mean_biases"].copy()

    def _one_hot(self, targets: NDArray[np.intp]) -> FloatArray:
        if len(self._biases) == 1:
            return targets[:, np.newaxis].astype(np.float64)
        hot = np.zeros((len(targets), len(self._biases)))
        hot[np.arange(len(targets)), targets] = 1
        return hot

    def _chunk(
        self, vectors: FloatArray, products: list[FloatArray], wanted: FloatArray
    ) -> tuple[int, FloatArray, FloatArray]:
        """Take the steps of these vectors.

        Returns the number of the first, by how much each and those before it shrank the weights,
        and what each added to them.
        """
        count, step = len(vectors), self._step
        rates = 1 / (PENALTY * (FIRST + step + np.arange(count) - 1))
        # each step first shrinks the weights; shrunk[i] is by how much before step i
        shrunk = np.concatenate([[1.0], np.cumprod(1 - rates * PENALTY)])
        added = np.empty_like(wanted)
        for block, product in zip(_blocks(count), products, strict=True):
            before = shrunk[:-1][block, np.newaxis]
            after = shrunk[1:][block]
            decisions = before * (vectors[block] @ self._weights.T) + self._biases
            # a vector's share in a later one's decision, by the weights and by the bias
            shares = (before * product + after) * (rates[block] / after)
            errors = _steps(decisions, shares, wanted[block])
            np.multiply(errors, (rates[block] / after)[:, np.newaxis], out=added[block])
            self._weights += added[block].T @ vectors[block]
            self._biases = self._biases + after @ added[block]
        self._weights *= shrunk[-1]
        self._step += count
        return step, shrunk[1:], added

    def _average_in(
        self,
        step: int,
        after: FloatArray,
        first: tuple[FloatArray, FloatArray],
        added: FloatArray,
        vectors: FloatArray,
    ) -> None:
        """Take the weights after each of a chunk's steps into the average."""
        steps = step + np.arange(len(vectors))
        counted = (steps >= self._average) & (self._average > 0)
        new = int(counted.sum())
        if not new:
            return
        seen = int(steps[-1]) - self._average + 1
        # what a step adds is in the weights of that step and of all that follow
        still = np.cumsum((after * counted)[::-1])[::-1]
        following = np.cumsum(counted[::-1])[::-1]
        weights = still[0] * first[0]
        weights += (added * still[:, np.newaxis]).T @ vectors
        biases = new * first[1] + (after * following) @ added
        self._mean_weights *= (seen - new) / seen
        self._mean_weights += weights / seen
        self._mean_biases = ((seen - new) * self._mean_biases + biases) / seen


def _blocks(count: int) -> list[slice]:
    return [slice(start, start + BLOCK_ROWS) for start in range(0, count, BLOCK_ROWS)]


def _ready(
    vectors: NDArray[np.float32], chosen: NDArray[np.intp]
) -> tuple[FloatArray, list[FloatArray]]:
    """The chosen vectors, and for each block their products with one another."""
    some = vectors[chosen].astype(np.float64)
    return some, [some[block] @ some[block].T for block in _blocks(len(some))]


def _steps(decisions: FloatArray, shares: FloatArray, wanted: FloatArray) -> FloatArray:
    """How far each vector's probabilities are from what is wanted, row after row.

    A row's decisions are those at the block's start, plus the errors of the rows before it, each by
    its share. Both stand in one array, a row's decisions where its errors will be, so that one
    product adds them up: three calls of numpy for a row, whose cost is the training's.
    """
    errors, value = decisions, np.empty(decisions.shape[1])
    np.fill_diagonal(shares, 1.0)
    for i, (share, hot, error) in enumerate(zip(shares, wanted, errors, strict=True), start=1):
        np.dot(share[:i], errors[:i], out=value)
        expit(value, out=value)
        np.subtract(hot, value, out=error)
    return errors

"""Adam (Kingma and Ba 2015): torch's fused step on the CPU, without its optimizer class.

The class `torch.optim.Adam` imports torch's compiler when the first one is made. That takes two
seconds and 70 MB in each training worker, and leaves a folder `torchinductor_<user>` in the
temporary folder. The function below it is the same arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.optim.adam import adam

from spacer_tasks.training.checkpoints import Arrays

#: decay rates, from scikit-learn
BETAS = (0.9, 0.999)


class Adam:
    """Moves parameters by their gradients, and keeps what it knows of each.

    Parameters
    ----------
    parameters
        Tensors, changed in place.
    rate
        The learning rate.
    """

    def __init__(self, parameters: Sequence[torch.Tensor], rate: float) -> None:
        self._parameters = list(parameters)
        self._rate = rate
        self._steps = [torch.zeros((), dtype=torch.float32) for _ in parameters]
        self._means = [torch.zeros_like(each) for each in parameters]
        self._squares = [torch.zeros_like(each) for each in parameters]

    def step(self, gradients: Sequence[torch.Tensor], epsilon: float) -> None:
        """One step against the gradients.

        Parameters
        ----------
        gradients
            One for each parameter, of its shape.
        epsilon
            Smallest denominator, added after the correction for the first steps.
        """
        adam(
            self._parameters,
            list(gradients),
            self._means,
            self._squares,
            [],
            self._steps,
            fused=True,
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=self._rate,
            weight_decay=0.0,
            eps=epsilon,
            maximize=False,
        )

    def is_finite(self) -> bool:
        """Whether the square of no gradient has grown beyond all bounds."""
        return all(bool(each.isfinite().all()) for each in self._squares)

    def state(self, number: int) -> Arrays:
        """What it knows of a parameter, by names."""
        return {
            "step": self._steps[number].reshape(1).numpy(),
            "exp_avg": self._means[number].numpy(),
            "exp_avg_sq": self._squares[number].numpy(),
        }

    def restore(self, number: int, state: Arrays) -> None:
        """Know of a parameter what `state` says. Raises KeyError or ValueError."""
        self._steps[number].fill_(float(state["step"][0]))
        for name, tensor in (
            ("exp_avg", self._means[number]),
            ("exp_avg_sq", self._squares[number]),
        ):
            if state[name].shape != tuple(tensor.shape):
                raise ValueError(f"{name} of shape {state[name].shape}, expected {tensor.shape}")
            tensor.copy_(torch.from_numpy(state[name].copy()))

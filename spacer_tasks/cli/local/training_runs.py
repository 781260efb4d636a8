"""What `train` does around a training: go on where one was interrupted, and repeat it by seeds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from spacer_tasks import storage
from spacer_tasks.messages.specs import TrainerSpec
from spacer_tasks.messages.tasks import TrainClassifierMsg

if TYPE_CHECKING:
    from spacer_tasks.training.checkpoints import Checkpoints

#: feature files that are asked for their version at once
AT_ONCE = 8


def checkpoints_of(message: TrainClassifierMsg) -> Checkpoints:
    """Where the training is kept between epochs: beside its classifier, under a name that is
    another one if a label, an option or a feature file is.

    Raises as `storage.version`.
    """
    from spacer_tasks.training.checkpoints import Checkpoints

    places = [loc for some in message.labels.sets().values() for loc in some.keys()]  # noqa: SIM118 -- no dict
    with ThreadPoolExecutor(AT_ONCE) as pool:
        versions = list(pool.map(storage.version, places))
    training = f"{message.model_dump_json()}\n{versions}"
    digest = hashlib.sha256(training.encode()).hexdigest()[:12]
    return Checkpoints(message.model_loc.with_suffix(f".{digest}.checkpoint"))


def accuracies_of_seeds(
    message: TrainClassifierMsg, seeds: int, on_seed: Callable[[int], None]
) -> list[float]:
    """The accuracies of so many more trainings, with random numbers of their own.

    Labels are divided as they are in the message; nothing is stored.

    Raises as `operations.train_classifier`.
    """
    from spacer_tasks.training.run import train

    found = []
    for seed in range(1, seeds + 1):
        trainer = TrainerSpec.model_validate(
            {**message.trainer.model_dump(mode="json"), "random_state": seed}
        )
        result = train(message.labels, trainer, message.nbr_epochs, message.clf_type)
        found.append(result.metrics.accuracy)
        on_seed(seed)
    return found


def chance_text(accuracies: list[float], points: int) -> str:
    """How far an accuracy is chance: the spread over seeds, and Wilson's interval for the size of
    the validation set.
    """
    import numpy as np

    from spacer_tasks.cover.estimates import wilson

    mean = float(np.mean(accuracies))
    low, high = wilson(np.array([mean]), points)
    return (
        f"{mean:.1%} on average of {len(accuracies)} seeds, standard deviation"
        f" {np.std(accuracies, ddof=1):.1%}, from {min(accuracies):.1%} to {max(accuracies):.1%};"
        f" for {points:,} validation points alone, 95 % interval {low[0]:.1%} to {high[0]:.1%}"
    )

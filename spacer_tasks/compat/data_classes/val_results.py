"""The reference's `ValResults`."""

from __future__ import annotations

from spacer_tasks.compat.data_classes.annotations import LabelId
from spacer_tasks.compat.data_classes.base import DataClass


class ValResults(DataClass):
    """What a classifier said of the validation set: `gt` and `est` are places in `classes`."""

    def __init__(
        self, scores: list[float], gt: list[int], est: list[int], classes: list[LabelId]
    ) -> None:
        assert len(scores) == len(gt) == len(est)
        assert 0 <= min(gt) <= max(gt) < len(classes)
        assert 0 <= min(est) <= max(est) < len(classes)
        self.scores = scores
        self.gt = gt
        self.est = est
        self.classes = classes

    @classmethod
    def example(cls) -> ValResults:
        return cls([0.9, 0.8, 0.7], [0, 1, 0], [0, 1, 1], [121, 1222])

"""The reference's answers to its tasks."""

from __future__ import annotations

from typing import Any, ClassVar

from spacer_tasks.compat.data_classes.annotations import LabelId
from spacer_tasks.compat.data_classes.message import Message, Readers, as_it_is


class ExtractFeaturesReturnMsg(Message):
    """`runtime` is in seconds."""

    READERS: ClassVar[Readers] = {"extractor_loaded_remotely": as_it_is, "runtime": as_it_is}

    def __init__(self, extractor_loaded_remotely: bool, runtime: float) -> None:
        self.extractor_loaded_remotely = extractor_loaded_remotely
        self.runtime = runtime

    @classmethod
    def example(cls) -> ExtractFeaturesReturnMsg:
        return cls(True, 2.1)


class TrainClassifierReturnMsg(Message):
    """Accuracies are shares of 1; `runtime` is in seconds."""

    READERS: ClassVar[Readers] = {
        "acc": as_it_is,
        "pc_accs": as_it_is,
        "ref_accs": as_it_is,
        "runtime": as_it_is,
    }

    def __init__(
        self, acc: float, pc_accs: list[float], ref_accs: list[float], runtime: float
    ) -> None:
        self.acc = acc
        self.pc_accs = pc_accs
        self.ref_accs = ref_accs
        self.runtime = runtime

    @classmethod
    def example(cls) -> TrainClassifierReturnMsg:
        return cls(0.7, [0.4, 0.5, 0.6], [0.55, 0.65, 0.64, 0.67, 0.70], 123.4)


def _scores(data: Any) -> list[tuple[int, int, list[float]]]:
    return [(row, col, scores) for row, col, scores in data]


class ClassifyReturnMsg(Message):
    """`scores` are (row, column, probabilities in the order of `classes`)."""

    READERS: ClassVar[Readers] = {
        "runtime": as_it_is,
        "scores": _scores,
        "classes": as_it_is,
        "valid_rowcol": as_it_is,
    }

    def __init__(
        self,
        runtime: float,
        scores: list[tuple[int, int, list[float]]],
        classes: list[LabelId],
        valid_rowcol: bool,
    ) -> None:
        self.runtime = runtime
        self.scores = scores
        self.classes = classes
        self.valid_rowcol = valid_rowcol

    def __getitem__(self, rowcol: tuple[int, int]) -> list[float]:
        if not self.valid_rowcol:
            raise ValueError("Method requires valid rows and columns")
        return {(row, col): scores for row, col, scores in self.scores}[rowcol]

    @classmethod
    def example(cls) -> ClassifyReturnMsg:
        return cls(
            1.1, [(10, 20, [0.1, 0.2, 0.7]), (20, 40, [0.9, 0.06, 0.04])], [100, 12, 44], True
        )

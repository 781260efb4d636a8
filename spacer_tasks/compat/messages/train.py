"""Training of classifiers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from spacer_tasks.compat.data_classes.labels import ImageLabels
from spacer_tasks.compat.data_classes.locations import DataLocation
from spacer_tasks.compat.data_classes.message import Message, Readers, as_it_is
from spacer_tasks.messages import tasks

if TYPE_CHECKING:
    from spacer_tasks.compat.train_classifier import ClassifierTrainer

SETS = ("train", "ref", "val")


@dataclass
class TrainingTaskLabels:
    """Labels to learn from, to calibrate on, and to evaluate on."""

    train: ImageLabels
    ref: ImageLabels
    val: ImageLabels

    def __getitem__(self, item: str) -> ImageLabels:
        if item not in SETS:
            raise KeyError(item)
        labels: ImageLabels = getattr(self, item)
        return labels

    def __setitem__(self, item: str, value: ImageLabels) -> None:
        if item not in SETS:
            raise KeyError(item)
        setattr(self, item, value)

    @property
    def label_count(self) -> int:
        """The labelled points of the three sets together."""
        return sum(self[name].label_count for name in SETS)

    @property
    def has_remote_data(self) -> bool:
        """Whether reading some features crosses a network."""
        return any(self[name].has_remote_data for name in SETS)

    def set_filesystem_cache(self, dir_path: str) -> None:
        """Keep features that are loaded from afar in this folder."""
        for name in SETS:
            self[name].set_filesystem_cache(dir_path)

    def ours(self) -> tasks.TrainingTaskLabels:
        """The same as this project writes it, checked."""
        return tasks.TrainingTaskLabels(**{name: self[name].ours() for name in SETS})

    @classmethod
    def of_ours(cls, labels: tasks.TrainingTaskLabels) -> TrainingTaskLabels:
        """The inverse of `ours`."""
        return cls(**{name: ImageLabels.of_ours(some) for name, some in labels.sets().items()})

    def serialize(self) -> dict[str, Any]:
        return {name: self[name].serialize() for name in SETS}

    @classmethod
    def deserialize(cls, data: Any) -> TrainingTaskLabels:
        return cls(**{name: ImageLabels.deserialize(data[name]) for name in SETS})

    @classmethod
    def example(cls) -> TrainingTaskLabels:
        return cls(ImageLabels.example(), ImageLabels.example(), ImageLabels.example())


def _locations(data: Any) -> list[DataLocation]:
    return [DataLocation.deserialize(each) for each in data]


def _trainer(data: Any) -> ClassifierTrainer:
    from spacer_tasks.compat.train_classifier import ClassifierTrainer

    return ClassifierTrainer.deserialize(data)


class TrainClassifierMsg(Message):
    """Asks for a classifier.

    Parameters
    ----------
    trainer
        A trainer, or its name.
    feature_cache_dir
        Where features that are loaded from afar are kept during a training by a trainer of one's
        own; the default trainer reads each once.
    trainer_name
        What 0.13 calls `trainer`.
    """

    READERS: ClassVar[Readers] = {
        "job_token": as_it_is,
        "trainer": _trainer,
        "nbr_epochs": as_it_is,
        "clf_type": as_it_is,
        "labels": TrainingTaskLabels.deserialize,
        "previous_model_locs": _locations,
        "model_loc": DataLocation.deserialize,
        "valresult_loc": DataLocation.deserialize,
        "feature_cache_dir": as_it_is,
    }

    class FeatureCache:
        AUTO = "auto"
        DISABLED = "disabled"

    def __init__(
        self,
        job_token: str,
        trainer: ClassifierTrainer | str | None = None,
        nbr_epochs: int | None = None,
        clf_type: str | None = None,
        labels: TrainingTaskLabels | None = None,
        previous_model_locs: list[DataLocation] | None = None,
        model_loc: DataLocation | None = None,
        valresult_loc: DataLocation | None = None,
        feature_cache_dir: str | Path = FeatureCache.AUTO,
        *,
        trainer_name: str | None = None,
    ) -> None:
        given: dict[str, Any] = {
            "trainer": trainer if trainer_name is None else trainer_name,
            "nbr_epochs": nbr_epochs,
            "clf_type": clf_type,
            "labels": labels,
            "previous_model_locs": previous_model_locs,
            "model_loc": model_loc,
            "valresult_loc": valresult_loc,
        }
        missing = [name for name, value in given.items() if value is None]
        if missing:
            raise TypeError(f"TrainClassifierMsg lacks {', '.join(missing)}")
        trainer = given["trainer"]
        if isinstance(trainer, str):
            from spacer_tasks.compat.train_classifier import trainer_factory

            trainer = trainer_factory(trainer)
        self.job_token = job_token
        self.trainer: Any = trainer
        self.nbr_epochs: Any = nbr_epochs
        self.clf_type: Any = clf_type
        self.labels: Any = labels
        self.previous_model_locs: Any = previous_model_locs
        self.model_loc: Any = model_loc
        self.valresult_loc: Any = valresult_loc
        self.feature_cache_dir = feature_cache_dir

    @classmethod
    def deserialize(cls, data: Any) -> TrainClassifierMsg:
        if "trainer_name" in data:
            from spacer_tasks.compat.train_classifier import trainer_factory

            data = {**data, "trainer": trainer_factory(data["trainer_name"]).serialize()}
        return super().deserialize(data)

    @classmethod
    def example(cls) -> TrainClassifierMsg:
        return cls(
            job_token="123_abc",
            trainer="minibatch",
            nbr_epochs=2,
            clf_type="MLP",
            labels=TrainingTaskLabels.example(),
            previous_model_locs=[
                DataLocation("memory", f"previous_model{number}.pkl") for number in (1, 2)
            ],
            model_loc=DataLocation("memory", "my_new_model.pkl"),
            valresult_loc=DataLocation("memory", "my_valresult.json"),
        )

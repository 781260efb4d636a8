"""What the batch workflows are asked and what they answer.

They are this project's own; the reference has no batches.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    FailFast,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from spacer_tasks.data_classes.labels import Annotation, LabelId, Point
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.messages.parsing import JsonDict
from spacer_tasks.messages.specs import ExtractorSpec, TrainerSpec
from spacer_tasks.messages.tasks import (
    Answer,
    ClassifierType,
    ClassifyFeaturesMsg,
    ExtractFeaturesMsg,
    ImageAnswer,
    JobToken,
    Message,
    TrainClassifierMsg,
    TrainClassifierReturnMsg,
    require_writable,
)

Share = Annotated[float, Field(ge=0, le=1)]


class BatchImage(Message):
    """One image of a batch: with labels, to learn from, or with points, to be classified."""

    written = ("feature_loc", "scores_loc")

    image_loc: DataLocation
    feature_loc: DataLocation
    annotations: Annotated[list[Annotation], Field(fail_fast=True)] | None = None
    rowcols: Annotated[list[Point], Field(fail_fast=True)] | None = None
    #: where the scores of an image without labels go; beside its features where not given
    scores_loc: DataLocation | None = None

    @model_validator(mode="after")
    def _labelled_or_not(self) -> BatchImage:
        if bool(self.annotations) == bool(self.rowcols):
            raise ValueError(
                f"image {self.image_loc}: expected either annotations (to learn from) or"
                " rowcols (to be classified)"
            )
        return self

    @property
    def points(self) -> list[Point]:
        """Each point once: two people may have labelled the same one."""
        if self.rowcols:
            return self.rowcols
        return list(dict.fromkeys((row, col) for row, col, _ in self.annotations or []))

    @property
    def scores_location(self) -> DataLocation:
        """Where the scores go."""
        return self.scores_loc or self.feature_loc.model_copy(
            update={"key": f"{self.feature_loc.key}.scores.json"}
        )


class TrainFromImagesMsg(Message):
    """Asks for features of all images, a classifier from those with labels, and scores for the
    others.

    The batch goes on without images that fail, up to `max_failed_share` of them.
    """

    written = ("model_loc", "valresult_loc")

    job_token: str
    extractor: ExtractorSpec
    images: Annotated[list[BatchImage], Field(min_length=1), FailFast()]
    trainer: TrainerSpec = TrainerSpec(class_path="spacer_tasks.training.MiniBatchTrainer")
    nbr_epochs: Annotated[int, Field(ge=1)] = 10
    clf_type: ClassifierType = "MLP"
    #: shares of the reference and the validation set
    split_ratios: tuple[Share, Share] = (0.1, 0.1)
    split_mode: Literal["vectors", "points", "points_stratified", "labels"] = "vectors"
    accepted_classes: list[LabelId] | None = None
    previous_model_locs: Annotated[list[DataLocation], FailFast()] = Field(default_factory=list)
    model_loc: DataLocation
    valresult_loc: DataLocation
    max_failed_share: Share = 0.1

    @model_validator(mode="after")
    def _writable(self) -> TrainFromImagesMsg:
        require_writable(self, "model_loc")
        require_writable(self, "valresult_loc")
        return self

    def extract_message(self, image: BatchImage) -> ExtractFeaturesMsg:
        """The extraction of one image."""
        return ExtractFeaturesMsg(
            job_token=self.job_token,
            extractor=self.extractor,
            rowcols=image.points,
            image_loc=image.image_loc,
            feature_loc=image.feature_loc,
        )

    def score_message(self, image: BatchImage) -> ScoreImageMsg:
        """The classification of one image, once there is a classifier."""
        return ScoreImageMsg(
            job_token=self.job_token,
            feature_loc=image.feature_loc,
            classifier_loc=self.model_loc,
            scores_loc=image.scores_location,
        )


class ScoreImageMsg(ClassifyFeaturesMsg):
    """Asks for the scores of a feature file, as a JSON object at `scores_loc`: the answer of
    `classify_features`.
    """

    written = ("scores_loc",)

    scores_loc: DataLocation


class ExtractedMsg(ImageAnswer):
    """What one extraction of a batch came to: whether its features were there already."""

    skipped: bool


class ScoredMsg(Answer):
    """What one classification of a batch came to."""

    points: int


class TrainedMsg(Answer):
    """What one training of several came to: validation accuracy, and seconds."""

    acc: float
    runtime: float


class BatchFailure(Answer):
    """One image (or training) that failed, and why."""

    name: str
    kind: str
    type: str
    message: str


class IncompleteImage(Answer):
    """One image that was damaged or cut short, and was read as far as it went; `reason` says how.

    It is named as in `BatchFailure`.
    """

    name: str
    reason: str


class TrainFromImagesReturnMsg(Answer):
    """What became of a batch. `skipped` images had current features already.

    `incomplete_images` were extracted, now or before; they are left out where there are none.
    """

    training: TrainClassifierReturnMsg
    model_loc: DataLocation
    valresult_loc: DataLocation
    metrics_loc: DataLocation
    images: int
    extracted: int
    skipped: int
    classified: int
    failures: list[BatchFailure]
    incomplete_images: list[IncompleteImage] = Field(default_factory=list)

    @model_serializer(mode="wrap")
    def _only_if_incomplete(self, handler: SerializerFunctionWrapHandler) -> JsonDict:
        data: JsonDict = handler(self)
        if not self.incomplete_images:
            del data["incomplete_images"]
        return data


class TrainManyMsg(Message):
    """Asks for several classifiers; the one with the best validation accuracy is published."""

    written = ("publish_loc", "summary_loc")

    job_token: str
    trainings: Annotated[list[TrainClassifierMsg], Field(min_length=1), FailFast()]
    #: where a copy of the best classifier goes
    publish_loc: DataLocation
    #: where the summary (this workflow's answer, as JSON) goes
    summary_loc: DataLocation


class Candidate(Answer):
    """One finished training of several."""

    job_token: JobToken
    model_loc: DataLocation
    valresult_loc: DataLocation
    acc: float
    runtime: float


class TrainManyReturnMsg(Answer):
    """All candidates, best first; of two equal ones the one that was named first."""

    best: Candidate
    publish_loc: DataLocation
    candidates: list[Candidate]
    failures: list[BatchFailure]

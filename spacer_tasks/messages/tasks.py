"""What each task is asked and what it answers, in the reference's JSON, older forms included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    JsonValue,
    ModelWrapValidatorHandler,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from spacer_tasks.data_classes.labels import ImageLabels, LabelId, Point
from spacer_tasks.data_classes.left_out import LeftOut
from spacer_tasks.data_classes.locations import DataLocation, few_unknown
from spacer_tasks.data_classes.plain_values import plain
from spacer_tasks.messages.parsing import JsonDict, parse
from spacer_tasks.messages.specs import ExtractorSpec, TrainerSpec

if TYPE_CHECKING:
    # typing has it from Python 3.11 on
    from typing_extensions import Self

#: fields of answers that the reference does not know
OURS = {"incomplete", "left_out", "other_network"}
ClassifierType = Literal["MLP", "LR"]
ClassifierFormat = Literal["spacer", "pyspacer"]
#: what a caller knows the work by: mostly a text or a number, echoed and never looked at
JobToken = JsonValue
TaskName = Literal["extract_features", "train_classifier", "classify_features", "classify_image"]


class Message(BaseModel):
    """Base of all messages: unknown fields are refused, by name."""

    model_config = ConfigDict(extra="forbid")
    #: names of what says where something is written: fields, and properties made of them
    written: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="wrap")
    @classmethod
    def _numpy_s_values_too(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(data)
        except ValidationError:
            # looked for only now: most have none, and there may be a million labels
            if (without := plain(data)) is data:
                raise
            return handler(without)

    @model_validator(mode="before")
    @classmethod
    def _few_unknown_fields(cls, data: Any) -> Any:
        return few_unknown(cls, data)

    def to_wire(self) -> JsonDict:
        """The message as JSON-ready data, equal to what the reference sends."""
        return self.model_dump(mode="json")

    def to_reference(self) -> JsonDict:
        """As `to_wire`, without what the reference refuses since it does not know it."""
        return self.to_wire()


class Answer(Message):
    """Base of all answers: fields that a newer worker added are left out.

    docs/architecture.md, "Versions side by side", says what that is for.
    """

    model_config = ConfigDict(extra="ignore")


class ImageAnswer(Answer):
    """Base of answers that stem from an image.

    `incomplete` says what of the image was missing, and is left out where it was whole. It is this
    project's own.
    """

    incomplete: str | None = None

    def to_wire(self) -> JsonDict:
        """As every message's, without what says nothing."""
        # no serializer: it would take twice the time for a million scores
        silent = {name for name in OURS if not getattr(self, name, None)}
        return self.model_dump(mode="json", exclude=silent)

    def to_reference(self) -> JsonDict:
        """As every message's."""
        return self.model_dump(mode="json", exclude=OURS)


Points = Annotated[list[Point], Field(min_length=1), FailFast()]


class ExtractFeaturesMsg(Message):
    """Asks for the features of an image at some points."""

    written = ("feature_loc",)

    job_token: JobToken
    extractor: ExtractorSpec
    rowcols: Points
    image_loc: DataLocation
    feature_loc: DataLocation

    @model_validator(mode="after")
    def _writable(self) -> ExtractFeaturesMsg:
        require_writable(self, "feature_loc")
        return self


class ExtractFeaturesReturnMsg(ImageAnswer):
    """`runtime` is in seconds."""

    extractor_loaded_remotely: bool
    runtime: float


class TrainingTaskLabels(Message):
    """Labels to learn from, to calibrate on (and to measure epochs with), and to evaluate on."""

    train: ImageLabels
    ref: ImageLabels
    val: ImageLabels

    def sets(self) -> dict[str, ImageLabels]:
        """The three sets by name, in the reference's order."""
        return {"train": self.train, "ref": self.ref, "val": self.val}

    @property
    def label_count(self) -> int:
        """The labelled points of the three sets together."""
        return sum(labels.label_count for labels in self.sets().values())


def _auto_if_none(feature_cache_dir: Any) -> Any:
    return "auto" if feature_cache_dir is None else feature_cache_dir


class TrainClassifierMsg(Message):
    """Asks for a classifier. Older form: `trainer_name` instead of `trainer`, or before it."""

    written = ("model_loc", "valresult_loc", "metrics_loc")

    job_token: JobToken
    trainer: TrainerSpec
    nbr_epochs: Annotated[int, Field(ge=1)]
    clf_type: ClassifierType
    labels: TrainingTaskLabels
    previous_model_locs: Annotated[list[DataLocation], FailFast()] = Field(default_factory=list)
    model_loc: DataLocation
    valresult_loc: DataLocation
    #: "auto", "disabled" or a folder: where the reference keeps downloaded features during
    #: training. Each file is read once here, so it is accepted, echoed and not needed.
    feature_cache_dir: Annotated[str, BeforeValidator(_auto_if_none)] = "auto"
    #: ours, a data file without code; or a pickle that the reference loads
    classifier_format: ClassifierFormat = "spacer"

    @model_serializer(mode="wrap")
    def _only_what_the_reference_knows(self, handler: SerializerFunctionWrapHandler) -> JsonDict:
        # the reference refuses a message with a field of ours
        data: JsonDict = handler(self)
        if self.classifier_format == "spacer":
            del data["classifier_format"]
        return data

    @model_validator(mode="before")
    @classmethod
    def _older_form(cls, data: Any) -> Any:
        if isinstance(data, dict) and "trainer_name" in data:
            rest = {key: value for key, value in data.items() if key != "trainer_name"}
            return {**rest, "trainer": data["trainer_name"]}
        return data

    @model_validator(mode="after")
    def _writable(self) -> TrainClassifierMsg:
        require_writable(self, "model_loc")
        require_writable(self, "valresult_loc")
        return self

    @property
    def metrics_loc(self) -> DataLocation:
        """Where the metrics JSON goes: beside the validation results."""
        return self.valresult_loc.with_suffix(".metrics.json")


class TrainClassifierReturnMsg(Answer):
    """Accuracies are shares of 1: `acc` of the new classifier on the validation set, `pc_accs` of
    the previous ones there, `ref_accs` on the reference set after each epoch. `runtime` is in
    seconds.
    """

    acc: float
    pc_accs: list[float]
    ref_accs: list[float]
    runtime: float
    #: labels that were given and not learned; this project's own, left out where all were learned
    left_out: LeftOut | None = None

    @model_serializer(mode="wrap")
    def _without_what_says_nothing(self, handler: SerializerFunctionWrapHandler) -> JsonDict:
        data: JsonDict = handler(self)
        if not self.left_out:
            data.pop("left_out", None)
        return data

    def to_reference(self) -> JsonDict:
        """As every message's."""
        return self.model_dump(mode="json", exclude={"left_out"})


class ClassifyFeaturesMsg(Message):
    """Asks for the scores of all points of a feature file."""

    job_token: JobToken
    feature_loc: DataLocation
    classifier_loc: DataLocation


class ClassifyImageMsg(Message):
    """Asks for the scores of points of an image, without keeping its features."""

    job_token: JobToken
    extractor: ExtractorSpec
    rowcols: Points
    image_loc: DataLocation
    classifier_loc: DataLocation


class ClassifyReturnMsg(ImageAnswer):
    """Scores are probabilities, in the order of `classes`; `runtime` is in seconds.

    Row and column are None for old feature files, which say so in `valid_rowcol`. `other_network`
    says that the features are not of the network that the classifier was trained on, and is left
    out where they are, or where one of both does not say; it is this project's own.
    """

    runtime: float
    scores: list[tuple[int | None, int | None, list[float]]]
    classes: list[LabelId]
    valid_rowcol: bool
    other_network: str | None = None


TaskMsg = ExtractFeaturesMsg | TrainClassifierMsg | ClassifyFeaturesMsg | ClassifyImageMsg

MESSAGE_CLASSES: dict[str, type[TaskMsg]] = {
    "extract_features": ExtractFeaturesMsg,
    "train_classifier": TrainClassifierMsg,
    "classify_features": ClassifyFeaturesMsg,
    "classify_image": ClassifyImageMsg,
}


class JobMsg(Message):
    """The reference's job: one or several messages of one task."""

    task_name: TaskName
    tasks: list[TaskMsg]

    @model_validator(mode="before")
    @classmethod
    def _tasks_by_name(cls, data: Any) -> Any:
        name = data.get("task_name") if isinstance(data, Mapping) else None
        # what is no text may not even be looked up
        if not isinstance(name, str) or name not in MESSAGE_CLASSES:
            return data
        message_class = MESSAGE_CLASSES[name]
        tasks = data.get("tasks")
        if not isinstance(tasks, (list, tuple)):
            return data
        return {**data, "tasks": [parse(message_class, task) for task in tasks]}


class JobReturnMsg(Answer):
    """The reference's answer to a job. `original_job` is the dict that was received, unchanged but
    for values of numpy's types, which JSON does not have.
    """

    original_job: Annotated[JsonDict, BeforeValidator(plain)]
    ok: bool
    results: Annotated[list[JsonDict] | None, BeforeValidator(plain)]
    error_message: str | None


def require_writable(message: Message, field: str) -> None:
    """Refuse a place that nothing can be written to, for a validator. Raises ValueError."""
    location: DataLocation = getattr(message, field)
    if not location.is_writable:
        raise ValueError(f"{field}: nothing can be written to a {location.storage_type} location")

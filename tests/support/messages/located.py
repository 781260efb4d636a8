"""One message of each kind, its locations where a test wants them."""

from __future__ import annotations

from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.messages.batches import TrainFromImagesMsg, TrainManyMsg
from spacer_tasks.messages.tasks import (
    ClassifyImageMsg,
    ExtractFeaturesMsg,
    Message,
    TrainClassifierMsg,
)

INSIDE = "s3://reef/x"


def messages(uri: dict[str, str]) -> dict[str, Message]:
    """One of each kind; `uri` gives the location of a field; others lie below `INSIDE`."""

    def loc(name: str) -> dict[str, str | None]:
        return DataLocation.parse(uri.get(name, f"{INSIDE}/{name}")).model_dump()

    extractor = {"class_path": "x", "data_locations": {"weights": loc("weights")}}
    labels = {DataLocation(**loc("labels")).model_dump_json(): [[1, 1, 1]]}
    image = {"image_loc": loc("image_loc"), "feature_loc": loc("feature_loc")}
    training = {
        "job_token": "1",
        "trainer": "minibatch",
        "nbr_epochs": 1,
        "clf_type": "LR",
        "labels": {"train": labels, "ref": labels, "val": labels},
        "previous_model_locs": [loc("previous")],
        "model_loc": loc("model_loc"),
        "valresult_loc": loc("valresult_loc"),
    }
    rowcols = [[1, 1]]
    extraction = {"job_token": "1", "extractor": extractor, "rowcols": rowcols, **image}
    scoring = {key: value for key, value in extraction.items() if key != "feature_loc"}
    batch = {
        **{key: training[key] for key in ("job_token", "model_loc", "valresult_loc")},
        "previous_model_locs": training["previous_model_locs"],
        "extractor": extractor,
        "images": [{**image, "rowcols": rowcols, "scores_loc": loc("scores_loc")}],
    }
    many = {
        "job_token": "1",
        "trainings": [training],
        "publish_loc": loc("publish_loc"),
        "summary_loc": loc("summary_loc"),
    }
    return {
        "extract": ExtractFeaturesMsg.model_validate(extraction),
        "image": ClassifyImageMsg.model_validate({**scoring, "classifier_loc": loc("model_loc")}),
        "train": TrainClassifierMsg.model_validate(training),
        "batch": TrainFromImagesMsg.model_validate(batch),
        "many": TrainManyMsg.model_validate(many),
    }

"""Where messages have something written: lists of their own, and what is never replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spacer_tasks import storage
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import LocationNotAllowedError
from spacer_tasks.messages.batches import TrainFromImagesMsg, TrainManyMsg
from spacer_tasks.messages.parsing import parse
from spacer_tasks.messages.tasks import ExtractFeaturesMsg, JobMsg, TrainClassifierMsg
from spacer_tasks.results import answer_location, checkpoints_location, message_location
from spacer_tasks.storage.policy import permit_all, permitted

Set = Callable[..., None]
REEF = "s3://reef"


@pytest.fixture
def lists(monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]) -> Set:
    """Sets the operator's lists: `lists(write_s3="s3://out")`."""

    def set_(results: str = "s3://own/results", **values: str) -> None:
        monkeypatch.setenv("SPACER_RESULTS_PREFIX", results)
        for name, value in values.items():
            monkeypatch.setenv(f"SPACER_ALLOWED_{name.upper()}", value)
        settings_changed()

    return set_


def wire(uri: str) -> dict[str, Any]:
    return DataLocation.parse(uri).model_dump()


def extract(**uris: str) -> ExtractFeaturesMsg:
    places = {"image_loc": f"{REEF}/1.jpg", "feature_loc": f"{REEF}/1.npz", **uris}
    weights = places.pop("weights", f"{REEF}/weights.pt")
    spec = {"class_path": "dummy", "data_locations": {"weights": wire(weights)}}
    fields = {name: wire(uri) for name, uri in places.items()}
    return parse(
        ExtractFeaturesMsg, {"job_token": 1, "extractor": spec, "rowcols": [[1, 1]], **fields}
    )


def train(*previous: str, **uris: str) -> TrainClassifierMsg:
    places = {"model_loc": f"{REEF}/model", "valresult_loc": f"{REEF}/val.json", **uris}
    features = places.pop("features", f"{REEF}/1.npz")
    labels = {DataLocation.parse(features): [(1, 1, 1)]}
    return parse(
        TrainClassifierMsg,
        {
            "job_token": 1, "trainer": "minibatch", "nbr_epochs": 1, "clf_type": "LR",
            "labels": {"train": labels, "ref": {}, "val": {}},
            "previous_model_locs": [wire(uri) for uri in previous],
            **{name: wire(uri) for name, uri in places.items()},
        },
    )  # fmt: skip


def batch(**uris: str) -> TrainFromImagesMsg:
    image = {"image_loc": f"{REEF}/1.jpg", "feature_loc": f"{REEF}/1.npz"}
    own = {name: wire(uris.pop(name, uri)) for name, uri in image.items()}
    if "scores_loc" in uris:
        own["scores_loc"] = wire(uris.pop("scores_loc"))
    places = {"model_loc": f"{REEF}/model", "valresult_loc": f"{REEF}/val.json", **uris}
    return parse(
        TrainFromImagesMsg,
        {
            "job_token": "1", "extractor": "dummy", "images": [{**own, "rowcols": [[1, 1]]}] * 2,
            **{name: wire(uri) for name, uri in places.items()},
        },
    )  # fmt: skip


def many(publish: str = f"{REEF}/best", summary: str = f"{REEF}/summary.json") -> TrainManyMsg:
    return parse(
        TrainManyMsg,
        {
            "job_token": "1", "trainings": [train().to_wire()], "publish_loc": wire(publish),
            "summary_loc": wire(summary),
        },
    )  # fmt: skip


ALL = [extract(), train(f"{REEF}/old"), batch(), many()]


@pytest.mark.parametrize("message", ALL)
def test_outputs_have_lists_of_their_own(lists: Set, message: Any) -> None:
    lists(s3=REEF)
    permit_all(message)
    lists(s3=REEF, write_s3="s3://out")
    with pytest.raises(LocationNotAllowedError, match="SPACER_ALLOWED_WRITE_S3"):
        permit_all(message)
    lists(s3="s3://*", write_s3=REEF)
    permit_all(message)


def test_what_may_only_be_written_cannot_be_read(lists: Set) -> None:
    lists(s3=REEF, write_s3="s3://out")
    permit_all(extract(feature_loc="s3://out/1.npz"))
    with pytest.raises(LocationNotAllowedError, match="SPACER_ALLOWED_S3"):
        permit_all(extract(feature_loc="s3://out/1.npz", image_loc="s3://out/1.jpg"))


@pytest.mark.parametrize(
    "message",
    [
        train(model_loc="s3://no/m"),
        train(valresult_loc="s3://no/v.json"),
        batch(feature_loc="s3://no/1.npz"),
        batch(scores_loc="s3://no/s"),
        batch(model_loc="s3://no/m"),
        batch(valresult_loc="s3://no/v"),
        many(publish="s3://no/m"),
        many(summary="s3://no/s"),
        JobMsg(task_name="extract_features", tasks=[extract(feature_loc="s3://no/1.npz")]),
    ],
)
def test_each_output_of_each_message_is_looked_at(lists: Set, message: Any) -> None:
    lists(write_s3=REEF)
    with pytest.raises(LocationNotAllowedError, match=r"s3://no/.*SPACER_ALLOWED_WRITE_S3"):
        permit_all(message)


def test_folders_for_what_is_written_have_a_list_of_their_own(lists: Set, tmp_path: Path) -> None:
    lists(write_roots=str(tmp_path / "out"))
    inside, outside = (DataLocation.parse(str(tmp_path / name / "f")) for name in ("out", "in"))
    storage.store(inside, b"reef")
    with pytest.raises(LocationNotAllowedError, match="SPACER_ALLOWED_WRITE_ROOTS"):
        storage.store(outside, b"reef")
    with pytest.raises(LocationNotAllowedError, match="SPACER_ALLOWED_WRITE_ROOTS"):
        storage.store_once(outside, b"reef")
    with pytest.raises(LocationNotAllowedError, match="SPACER_ALLOWED_WRITE_ROOTS"):
        storage.delete(outside)
    assert not storage.exists(outside)


OWN = [
    answer_location, message_location, checkpoints_location,
]  # fmt: skip


@pytest.mark.parametrize("results", ["s3://reef/results", "memory://results", "{tmp}/results"])
@pytest.mark.parametrize("place", OWN)
def test_what_this_package_keeps_is_not_replaced_by_messages(
    lists: Set, place: Callable[[str], DataLocation], results: str, tmp_path: Path
) -> None:
    lists(results.replace("{tmp}", str(tmp_path)))
    uri = place("1").uri
    for message in (extract(feature_loc=uri), train(model_loc=uri), batch(scores_loc=uri)):
        with pytest.raises(LocationNotAllowedError, match="takes nothing from messages"):
            permit_all(message)
    storage_of_our_own = permitted(place("1"), to_write=True)
    assert storage_of_our_own == place("1")


def test_no_way_round_leads_into_our_own_folders(lists: Set, tmp_path: Path) -> None:
    results = tmp_path / "results"
    lists(str(results))
    (results / "answers").mkdir(parents=True)
    (tmp_path / "link").symlink_to(results / "answers")
    for way in ("link/1.json", "results/x/../answers/1.json", "results//answers/1.json"):
        with pytest.raises(LocationNotAllowedError, match="takes nothing from messages"):
            permit_all(extract(feature_loc=f"{tmp_path}/{way}"))
    permit_all(extract(feature_loc=f"{results}/answers2/1.npz"))
    permit_all(extract(feature_loc=f"{results}/1.npz"))


@pytest.mark.parametrize(
    "message",
    [
        extract(feature_loc=f"{REEF}/1.jpg"),
        extract(feature_loc=f"{REEF}/weights.pt"),
        train(model_loc=f"{REEF}/1.npz"),
        train(f"{REEF}/old", valresult_loc=f"{REEF}/old"),
        train(valresult_loc=f"{REEF}/1.npz", features=f"{REEF}/1.metrics.json"),
        batch(feature_loc=f"{REEF}/1.jpg"),
        batch(scores_loc=f"{REEF}/1.jpg"),
        batch(model_loc=f"{REEF}/1.jpg"),
        many(publish=f"{REEF}/1.npz"),
        many(summary=f"{REEF}/1.npz"),
        extract(image_loc="/data/x/../1.jpg", feature_loc="/data/1.jpg"),
        JobMsg(task_name="extract_features", tasks=[extract(feature_loc=f"{REEF}/1.jpg")]),
    ],
)
def test_an_output_never_equals_an_input_of_the_same_task(message: Any) -> None:
    with pytest.raises(LocationNotAllowedError, match="the same task reads it"):
        permit_all(message)


@pytest.mark.parametrize("message", ALL)
def test_messages_as_they_are_meant_pass(lists: Set, message: Any) -> None:
    lists()
    permit_all(message)


@pytest.mark.parametrize(
    "path", ["/dev/zero", "/dev/stdin", "/proc/self/environ", "/proc/1/mem", "/sys/kernel", "/dev"]
)
def test_devices_and_the_kernel_s_files_are_no_storage(path: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(path)
    for way in (path, f"/usr/..{path}", str(tmp_path / "link"), f"//{path}"):
        loc = DataLocation.parse(way)
        for use in (storage.load, storage.version, storage.delete, lambda x: storage.store(x, b"")):
            with pytest.raises(LocationNotAllowedError, match="are not storage"):
                use(loc)
        with pytest.raises(LocationNotAllowedError, match="are not storage"):
            permit_all(extract(image_loc=way))


@pytest.mark.parametrize(
    "key",
    ["results//answers/1.json", "results/./answers/1.json", "/results/answers/1.json",
     "x/../results/answers/1.json", "results/%61nswers/1.json", "results%2fanswers/1.json",
     "results/%252e/answers/1.json", "results/Answers/1.json", "results/answers./1.json",
     "results/answers /1.json", "results\\answers\\1.json", "results/\uff41nswers/1.json",
     "results/ans\u200bwers/1.json"],
)  # fmt: skip
def test_our_own_folders_are_refused_in_every_spelling(lists: Set, key: str) -> None:
    lists()
    with pytest.raises(LocationNotAllowedError, match="takes nothing from messages"):
        permit_all(extract(feature_loc=f"s3://own/{key}"))
    permit_all(extract(feature_loc=f"s3://other/{key}"))


@pytest.mark.parametrize("key", ["a//1.jpg", "a/./1.jpg", "/a/1.jpg"])
def test_an_output_spelled_otherwise_is_still_an_input(lists: Set, key: str) -> None:
    lists()
    with pytest.raises(LocationNotAllowedError, match="the same task reads it"):
        permit_all(extract(image_loc=f"{REEF}/a/1.jpg", feature_loc=f"{REEF}/{key}"))

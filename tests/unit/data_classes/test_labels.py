from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from spacer_tasks.data_classes.labels import ImageLabels
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.data_classes.val_results import ValResults

A = DataLocation(storage_type="memory", key="a")
B = DataLocation(storage_type="memory", key="b")


@pytest.mark.parametrize(
    "uri", ["s3://bucket/a/b.jpg", "https://x.org/a.jpg?b=c", "/a/b.jpg", "a.jpg", "memory://a"]
)
def test_a_written_location_is_read_and_written_again(uri: str) -> None:
    assert DataLocation.parse(uri).uri == uri


def test_a_location_on_s3_needs_a_bucket() -> None:
    with pytest.raises(ValidationError, match="needs a bucket_name"):
        DataLocation(storage_type="s3", key="a")


def test_a_url_s_file_name_has_no_query() -> None:
    assert DataLocation.parse("https://x.org/a/b.pt?v=1").filename == "b.pt"


def test_labels_keep_the_order_of_images_and_the_type_of_labels() -> None:
    labels = ImageLabels({B: [(1, 2, "x"), (3, 4, 5)], A: [(5, 6, 5)]})
    again = ImageLabels.model_validate(labels.model_dump(mode="json"))
    assert list(again.keys()) == [B, A]
    assert again == labels
    assert again.class_counts() == {"x": 1, 5: 2}
    assert again.label_count == 3


@pytest.mark.parametrize(
    "annotation",
    [
        (3.0, 4, 5),
        [3, 4.0, 5],
        [3, 4, 5.0],
        [np.int64(3), np.uint16(4), np.int8(5)],
        [np.float64(3), np.float32(4), np.float16(5)],
    ],
)
def test_integers_are_integers_in_any_type(annotation: Any) -> None:
    labels = ImageLabels.model_validate({A: [(1, 2, 6), annotation]})
    assert labels[A] == [(1, 2, 6), (3, 4, 5)]
    assert {type(value) for value in labels[A][1]} == {int}
    of_json = ImageLabels.model_validate_json(
        json.dumps(
            {
                json.dumps(A.model_dump()): [
                    [1, 2, 6],
                    [float(value) for value in annotation],
                ]
            }
        )
    )
    assert of_json == labels


@pytest.mark.parametrize(
    "value", [2.5, True, None, float("nan"), float("inf"), np.bool_(True), "3"]
)
@pytest.mark.parametrize("place", [0, 1])
def test_what_is_no_integer_is_no_row_and_no_column(value: Any, place: int) -> None:
    annotation = [1, 2, "coral"]
    annotation[place] = value
    with pytest.raises(ValidationError, match="valid integer"):
        ImageLabels.model_validate({A: [annotation]})


@pytest.mark.parametrize("value", [2.5, True, None, [3], np.bool_(True)])
def test_a_label_is_an_integer_or_a_text(value: Any) -> None:
    with pytest.raises(ValidationError, match="valid integer"):
        ImageLabels.model_validate({A: [(1, 2, value)]})


def test_images_are_added_one_by_one() -> None:
    labels = ImageLabels()
    labels.add_image(B, [(1, 2, "x")])
    labels.add_image(A, [(3, 4.0, "y")])  # type: ignore[list-item]
    labels.add_image(B, [(5, 6, "z")])
    assert labels == ImageLabels({B: [(5, 6, "z")], A: [(3, 4, "y")]})
    assert list(labels.keys()) == [B, A]
    with pytest.raises(ValidationError):
        labels.add_image(A, [(1, 2)])  # type: ignore[list-item]


def test_filtering_classes_drops_images_left_empty() -> None:
    labels = ImageLabels({A: [(1, 2, 1), (3, 4, 2)], B: [(5, 6, 1)]})
    assert labels.filter_classes({2}) == ImageLabels({A: [(3, 4, 2)]})


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"gt": [0]}, "same number"),
        ({"est": [0, 2]}, "est has an index outside 0 to 1"),
        ({"gt": [-1, 0]}, "gt has an index outside"),
        ({"classes": []}, "classes is empty"),
    ],
)
def test_validation_results_that_contradict_themselves_are_refused(
    change: dict[str, list[int]], text: str
) -> None:
    data = {"scores": [0.5, 0.6], "gt": [0, 1], "est": [0, 0], "classes": [3, 5], **change}
    with pytest.raises(ValidationError, match=text):
        ValResults.model_validate(data)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://x.org/a.jpg?X-Amz-Signature=hunter2", "https://x.org/a.jpg?…3ebfbc12"),
        ("https://x.org/?a=1?b=hunter2#c?d", "https://x.org/?…ab2452ec"),
        ("https://me:hunter2@x.org/a", "https://***@x.org/a"),
        ("https://x.org/a.jpg", "https://x.org/a.jpg"),
        ("s3://bucket/a?b.jpg", "s3://bucket/a?b.jpg"),
        ("/a?b.jpg", "/a?b.jpg"),
    ],
)
def test_a_url_is_shown_without_what_may_be_a_secret(uri: str, shown: str) -> None:
    assert f"{DataLocation.parse(uri)}" == shown

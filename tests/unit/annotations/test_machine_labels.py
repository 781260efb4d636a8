"""Labels that no person confirmed are noticed in the columns of any tool, by any usual word."""

from __future__ import annotations

import pytest

from spacer_tasks.annotations.points import ReadOptions
from spacer_tasks.annotations.reading import read_points_file


def warnings_of(text: str, *, labels_needed: bool = True, truth: bool = False) -> str:
    given = ReadOptions(labels_needed=labels_needed, truth=truth)
    return " ".join(read_points_file(text.encode(), "s", options=given).warnings)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("annotator_name", "robot"),
        ("Observer", "AI"),
        ("user.username", "Robot 12"),
        ("created_by", "model"),
        ("Type", "automatic"),
        ("Confirmed?", "No"),
        ("Verified", "0.0"),
        ("Validated", "0"),
        ("validé", "non"),
        ("annotation.needs_review", "True"),
        ("machine_created", "true"),
        ("auto", "1"),
        ("review_status", "Pending"),
        ("status", "predicted"),
        ("Annotation status", "Not confirmed"),
    ],
)
def test_a_column_says_that_a_label_is_a_machine_s(column: str, value: str) -> None:
    text = f"Name,Row,Column,Label,{column}\nA.jpg,1,2,Sand,{value}\nA.jpg,3,4,Sand,jo\n"
    assert f"1 of 2 labels have {column} = {value}" in warnings_of(text)
    assert warnings_of(text, labels_needed=False) == ""


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("Verified", "True"),
        ("Annotator", "Imported"),
        ("Annotation Type", "PatchAnnotation"),
        ("image quality", "0"),
        ("Status", "Confirmed"),
    ],
)
def test_people_s_labels_need_no_word(column: str, value: str) -> None:
    assert warnings_of(f"Name,Row,Column,Label,{column}\nA.jpg,1,2,Sand,{value}\n") == ""


def test_labels_on_photos_that_somebody_excluded_are_counted() -> None:
    header = "image_name,image_disabled,point_coordinate,point_human_classification\n"
    text = header + 'A.jpg,t,"30.0, 12.0",Sand\nB.jpg,f,"30.0, 12.0",Sand\n'
    said = warnings_of(text)
    assert "1 of 2 labels have image_disabled = t: excluded by whoever made the file" in said
    assert "--where 'image_disabled!=t'" in said


def test_an_export_whose_labels_are_all_the_machine_s_suggestions_is_asked_about() -> None:
    header = "Name,Row,Column,Label,Machine suggestion 1,Machine confidence 1\n"
    rows = [f"A.jpg,{row},2,Sand,Sand,90\n" for row in range(10)]
    said = "all 10 labels are the machine's own, as in 'Machine suggestion 1'"
    assert said in warnings_of(header + "".join(rows))
    assert warnings_of(header + "".join(rows[1:])) == ""
    assert warnings_of(header + "".join([*rows, "A.jpg,99,2,Turf,Sand,60\n"])) == ""


def test_what_classify_predicted_is_no_truth_and_told_where_it_is_learned_from() -> None:
    plain = "image,row,column,label,probability\nA.jpg,1,2,Sand,0.9\n"
    assert "are what `spacer-tasks classify` predicted" in warnings_of(plain, truth=True)
    assert warnings_of(plain) == ""
    reviewed = "image,row,column,label,probability,machine_label,status\n"
    reviewed += "A.jpg,1,2,Sand,0.9,Sand,machine\nA.jpg,3,4,Turf,0.4,Sand,person\n"
    assert "1 of 2 labels have status = machine" in warnings_of(reviewed, truth=True)
    assert warnings_of(reviewed) == ""

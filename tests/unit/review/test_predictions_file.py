"""Predictions read, the points for people, and their answers."""

from __future__ import annotations

import pytest

from spacer_tasks.exceptions import PointsFileError
from spacer_tasks.review.predictions_file import (
    left_to_people,
    read_predictions,
    take_corrections,
)

HEADER = "image,row,column,label,probability,label_2,probability_2\n"
PLAIN = (
    HEADER
    + "a.jpg,1,2,sand,0.9,coral,0.1\na.jpg,3,4,coral,0.5,sand,0.4\nb.jpg,1,2,'=x,0.6,sand,0.4\n"
)
OPEN = (
    HEADER.strip()
    + ",machine_label,status\na.jpg,1,2,sand,0.9,coral,0.1,sand,machine\n"
    + "a.jpg,3,4,,0.5,sand,0.4,coral,review\n"
)


def test_the_least_sure_come_first() -> None:
    file = read_predictions(PLAIN.encode(), "p.csv")
    chosen = left_to_people(file, 0.7)
    assert [(point.image, point.row, point.machine_label) for point in chosen] == [
        ("a.jpg", 3, "coral"),
        ("b.jpg", 1, "=x"),
    ]
    assert chosen[0].others == [("sand", 0.4)]
    # a point that is as sure as is wanted stays the machine's
    assert len(left_to_people(file, 0.6)) == 1
    assert left_to_people(file, 0) == []


def test_without_a_threshold_those_are_taken_that_were_left_open() -> None:
    (point,) = left_to_people(read_predictions(OPEN.encode(), "p.csv"), None)
    assert (point.row, point.label, point.machine_label) == (3, "", "coral")
    with pytest.raises(PointsFileError, match=r"p\.csv: written without --threshold; give one"):
        left_to_people(read_predictions(PLAIN.encode(), "p.csv"), None)


def test_answers_stand_in_the_place_of_the_machine_s_labels() -> None:
    file = read_predictions(PLAIN.encode(), "p.csv")
    answers = {("a.jpg", 3, 4): "sand", ("b.jpg", 1, 2): "=x", ("a.jpg", 1, 2): None}
    done = take_corrections(file, answers, "s.csv")
    assert (done.answered, done.changed, done.unanswered, done.unknown) == (2, 1, 1, {})
    rows = list(done.file.rows())
    assert rows[0] == [*HEADER.strip().split(","), "machine_label", "status"]
    assert rows[1] == ["a.jpg", "1", "2", "sand", "0.9", "coral", "0.1", "sand", "machine"]
    assert rows[2] == ["a.jpg", "3", "4", "sand", "0.5", "sand", "0.4", "coral", "person"]
    assert rows[3][3:] == ["=x", "0.6", "sand", "0.4", "=x", "person"]


def test_what_people_labelled_is_not_asked_again_and_stays() -> None:
    file = read_predictions(OPEN.encode(), "p.csv")
    once = take_corrections(file, {("a.jpg", 3, 4): "sand"}, "s.csv").file
    text = "\n".join(",".join(row) for row in once.rows())
    again = read_predictions(text.encode(), "p2.csv")
    assert left_to_people(again, 1) == [again.points[0]]
    assert list(again.rows()) == list(once.rows())


def test_a_label_that_no_point_has_is_counted() -> None:
    file = read_predictions(PLAIN.encode(), "p.csv")
    done = take_corrections(file, {("a.jpg", 3, 4): "corall"}, "s.csv")
    assert done.unknown == {"corall": 1}


def test_answers_for_other_predictions_are_refused() -> None:
    file = read_predictions(PLAIN.encode(), "p.csv")
    with pytest.raises(PointsFileError, match=r"s\.csv: 1 answered points .* first z.jpg row 1"):
        take_corrections(file, {("z.jpg", 1, 1): "sand"}, "s.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        (HEADER, "no points below the first line"),
        ("Name,Row,Column,Label\na,1,1,x\n", "not what classify writes: no column 'image'"),
        (HEADER + "a,1,1,x,0.5\n", "line 2 has 5 fields, expected 7"),
        (HEADER + "a,1,1,x,high,y,0\n", "line 2, column probability: found 'high'"),
        (HEADER + "a,1,1,x,nan,y,0\n", "found 'nan', expected a probability"),
        (HEADER + "a,1,1,x,0.5,y,7\n", "column probability_2: found '7'"),
        (HEADER + "a,-1,1,x,0.5,y,0\n", "column row: found '-1', expected an integer from 0"),
        (HEADER + "a,1,1,x,0.5,y,0\na,1,1,x,0.5,y,0\n", "lines 2 and 3 are the same point"),
        (HEADER + "a,1,1,,0.5,y,0\n", "line 2 has no label"),
    ],
)
def test_what_classify_does_not_write_is_refused(text: str, message: str) -> None:
    with pytest.raises(PointsFileError, match=f"p.csv: .*{message}|p.csv: {message}"):
        read_predictions(text.encode(), "p.csv")

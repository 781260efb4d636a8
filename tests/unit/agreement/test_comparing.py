"""Two sets of labels compared."""

from __future__ import annotations

import numpy as np
import pytest

from spacer_tasks.agreement.comparing import compare
from spacer_tasks.exceptions import InputError

Labels = dict[str, dict[tuple[int, int], str]]


def of(**photos: str) -> Labels:
    """Photos and a letter for the label of each point."""
    return {
        name: {(0, i): label for i, label in enumerate(labels) if label != "-"}
        for name, labels in photos.items()
    }


def test_kappa_is_the_textbook_s() -> None:
    # Cohen's kappa of 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no is 0.4
    first = of(a="y" * 25 + "n" * 25)
    second = of(a="y" * 20 + "n" * 5 + "y" * 10 + "n" * 15)
    found = compare(first, second)
    assert found.agreement.value == pytest.approx(0.7)
    assert found.kappa is not None
    assert found.kappa.value == pytest.approx(0.4)
    assert found.confusion == [[15, 10], [5, 20]]
    # one photo shows no spread
    assert found.agreement.interval is None


def test_the_photos_that_differ_most_come_first() -> None:
    found = compare(of(a="xxxx", b="xyxy", c="yyyy"), of(a="xxxy", b="yxyx", c="yyyy"))
    assert [(each.name, each.same, each.points) for each in found.photos] == [
        ("b", 0, 4),
        ("a", 3, 4),
        ("c", 4, 4),
    ]
    assert [(each.label, each.first, each.second, each.both) for each in found.labels] == [
        ("x", 6, 5, 3),
        ("y", 6, 7, 4),
    ]


def test_points_of_one_file_alone_are_counted_by_photo() -> None:
    found = compare(of(a="xy", b="x"), of(a="x-y", c="yy"))
    assert found.points == 1
    assert found.only_first == {"a": 1, "b": 1}
    assert found.only_second == {"a": 1, "c": 2}


def test_one_label_everywhere_has_no_kappa() -> None:
    found = compare(of(a="xx", b="x"), of(a="xx", b="x"))
    assert found.agreement.value == 1
    assert found.kappa is None


def test_intervals_hold_the_number_and_follow_the_seed() -> None:
    random = np.random.default_rng(0)
    first: Labels = {}
    second: Labels = {}
    for i in range(40):
        labels = random.choice(["x", "y"], 20)
        other = np.where(random.random(20) < random.uniform(0.5, 1), labels, "z")
        first |= of(**{str(i): "".join(labels)})
        second |= of(**{str(i): "".join(other)})
    found = compare(first, second)
    assert found.kappa is not None
    for share in (found.agreement, found.kappa):
        assert share.interval is not None
        assert share.interval[0] < share.value < share.interval[1]
    assert compare(first, second) == found
    assert compare(first, second, seed=1) != found


def test_files_without_a_common_point_are_refused() -> None:
    with pytest.raises(InputError, match="no photo in common: the first has 'a', the second 'b'"):
        compare(of(a="x"), of(b="x"))
    with pytest.raises(InputError, match=r"1 photos in common, but no point: of a.*\(0, 0\)"):
        compare(of(a="x"), of(a="-x"))

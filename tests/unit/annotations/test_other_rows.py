"""Rows that are no points, and rows that only look so."""

from __future__ import annotations

import pytest

from spacer_tasks.annotations.reading import read_points_file


@pytest.mark.parametrize("label", ["", "Sand"])
def test_a_photo_whose_name_begins_with_a_hash_is_no_remark(label: str) -> None:
    text = f"Name,Row,Column,Label\n#1.jpg,10,20,{label}\n"
    file = read_points_file(text.encode(), "s")
    assert list(file.images) == ["#1.jpg"]
    assert file.warnings == []


@pytest.mark.parametrize("remark", ["# checked by jo", "# 2024,,,", "#,12 points,,"])
def test_a_remark_is_left_out_and_counted(remark: str) -> None:
    text = f"Name,Row,Column,Label\nA.jpg,10,20,Sand\n{remark}\n"
    file = read_points_file(text.encode(), "s")
    assert list(file.images) == ["A.jpg"]
    assert "1 line of remarks (#) left out" in " ".join(file.warnings)

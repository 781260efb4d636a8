"""Numbers of all languages' spreadsheets, and those that may mean two things."""

from __future__ import annotations

import pytest

from spacer_tasks.annotations.numbers import Thousands, number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("+12", 12),
        ("-3", -3),
        ("0012", 12),
        ("126.0", 126),
        ("12,5", 12.5),
        ("1.2E+02", 120),
        ("3e1", 30),
        ("1 234", 1234),
        ("1\u202f234", 1234),
        ("2\u00a0345,5", 2345.5),
        ("1'234", 1234),
        ("1.234,0", 1234),
        ("1,234.5", 1234.5),
        ("1,234,567", 1234567),
        ("1.234.567", 1234567),
    ],
)
def test_a_number_is_read_as_its_language_writes_it(text: str, value: float) -> None:
    assert number(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "x", "12px", "1 23", "1.2.3", "1,23,4", "0x1f", "nan", "inf", "1_0", "²", "12. Mrz"],
)
def test_what_is_no_number_is_none(text: str) -> None:
    assert number(text) is None


@pytest.mark.parametrize(
    ("texts", "clear"),
    [
        (["1.234"], False),
        (["1,234", "12"], False),
        (["1.234", "450"], False),
        # English thousands beside decimals with a point
        (["1,234", "450.5"], False),
        (["1.234", "2.5"], True),
        (["12,500", "30,25"], True),
        (["1.234,0", "12,500"], True),
        (["0.234", "12"], True),
    ],
)
def test_a_separator_of_thousands_is_told_by_the_other_numbers(
    texts: list[str], clear: bool
) -> None:
    thousands = Thousands()
    for text in texts:
        thousands.take(text, "line 2")
    assert (thousands.problem() == "") is clear

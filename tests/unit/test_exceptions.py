"""The tree of errors as it is drawn at the top of the module, and as it is."""

from __future__ import annotations

import inspect

import pytest

from spacer_tasks import exceptions
from spacer_tasks.exceptions import (
    MAX_TEXT,
    InputError,
    PointsFileError,
    SpacerError,
    TransientError,
    WeightsError,
)

#: columns by which a level of the drawing is indented
STEP = 3
ERRORS = [
    cls
    for _, cls in inspect.getmembers(exceptions, inspect.isclass)
    if issubclass(cls, BaseException)
]


def drawn() -> list[tuple[str, str | None]]:
    """Each error of the drawing with the one above it."""
    text = inspect.getdoc(exceptions)
    assert text is not None
    _, _, drawing = text.partition("::\n\n")
    found: list[tuple[str, str | None]] = []
    above: list[str] = []
    for line in inspect.cleandoc(drawing).splitlines():
        name = line.lstrip("│├└─ ")
        del above[(len(line) - len(name)) // STEP :]
        found.append((name, above[-1] if above else None))
        above.append(name)
    return found


def test_the_drawing_shows_every_error_once_under_its_base() -> None:
    bases = {
        cls.__name__: None if cls is SpacerError else cls.__bases__[0].__name__ for cls in ERRORS
    }
    assert len(drawn()) == len(bases)
    assert dict(drawn()) == bases


@pytest.mark.parametrize("cls", ERRORS)
def test_every_error_says_what_it_means_and_whether_trying_again_can_help(
    cls: type[SpacerError],
) -> None:
    assert "__doc__" in vars(cls)
    assert issubclass(cls, SpacerError)
    kinds = {InputError: "input", TransientError: "transient"}
    assert cls.kind == next((kinds[base] for base in cls.__mro__ if base in kinds), "bug")


@pytest.mark.parametrize("cls", ERRORS)
def test_every_error_is_made_from_one_text(cls: type[SpacerError]) -> None:
    """So it comes back from the result backend, which keeps class and text, as it was."""
    assert str(cls("row 5: why")) == "row 5: why"


def test_an_error_s_text_forges_no_line_and_moves_no_cursor() -> None:
    error = WeightsError("a tensor named \x1b[2J\r\nINFO all is well")
    assert str(error) == r"a tensor named \x1b[2J\r\nINFO all is well"
    assert str(WeightsError(str(error))) == str(error)


@pytest.mark.parametrize("text", ["x" * 10**6, "\n" * 9_000])
def test_an_error_s_text_has_a_largest_size(text: str) -> None:
    error = WeightsError(text)
    assert len(str(error)) <= MAX_TEXT
    assert str(WeightsError(str(error))) == str(error)


def test_a_list_of_problems_keeps_its_lines_and_nothing_else_begins_one() -> None:
    error = PointsFileError("points.csv: 2 problems\n  line 2: a\x1b[1m\n  line 3: b\nERROR forged")
    assert str(error).splitlines() == [
        "points.csv: 2 problems",
        "  line 2: a\\x1b[1m",
        "  line 3: b\\nERROR forged",
    ]

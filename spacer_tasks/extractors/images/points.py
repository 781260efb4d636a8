"""Whether points can be cut out of an image."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.labels import Point
from spacer_tasks.exceptions import DataLimitError, RowColumnInvalidError


def check_points(rowcols: Sequence[Point], width: int, height: int, name: str) -> None:
    """Refuse points that are not inside the image; `name` says which image in errors.

    Parameters
    ----------
    rowcols
        (row, column), 0-based; row is y.
    width, height
        The image's, in pixels.

    Raises
    ------
    RowColumnInvalidError
        There are no points, or one is not a pair of integers inside the image. The text names the
        point's position in the list (from 0), what was found and what is valid.
    DataLimitError
        More points than `SPACER_MAX_POINTS_PER_IMAGE`.
    """
    limit = get_settings().max_points_per_image
    if not len(rowcols):
        raise RowColumnInvalidError(f"{name}: no points; expected 1 to {limit}")
    if len(rowcols) > limit:
        raise DataLimitError(
            f"{name}: {len(rowcols)} points, more than the {limit} of SPACER_MAX_POINTS_PER_IMAGE"
        )
    for position, point in enumerate(rowcols):
        if not _is_pair_of_integers(point):
            raise RowColumnInvalidError(
                f"{name}: point {position} is {point!r}; expected a pair of integers (row, column)"
            )
        for axis, value, length in zip(("row", "column"), point, (height, width), strict=True):
            if not 0 <= value < length:
                raise RowColumnInvalidError(
                    f"{name}: point {position} has {axis} {value};"
                    f" expected 0 to {length - 1}, the image has {width} x {height} pixels"
                )


def _is_pair_of_integers(point: object) -> bool:
    # a message's points are; a notebook's, which come here by themselves, may be anything
    return (
        isinstance(point, Sequence)
        and len(point) == 2
        and all(isinstance(value, Integral) and not isinstance(value, bool) for value in point)
    )

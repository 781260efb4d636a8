"""numpy's arrays, types and numbers in a pickle, put together without numpy's own loader.

numpy's loader takes arrays of objects and shapes of any size. Here the type is one of a few by
its text, and an array is exactly as large as its bytes in the file.

Source: `array_reduce` and `arraydescr_reduce` in numpy's `methods.c` and `descriptor.c`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: truth, integers, floats, and texts as bytes (Python 2) or characters; never objects or fields
_TYPE = re.compile(r"b1|[iu][1248]|f[248]|[SU][1-9][0-9]{0,5}")
#: weights have two
_MAX_DIMENSIONS = 4


class NotAnArrayError(ValueError):
    """What stands in the file is no array, type or number that a classifier consists of."""


class PickledType:
    """A type, such as little-endian float64; its byte order follows in a second step."""

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        code = arguments[0] if arguments else None
        if not isinstance(code, str) or not _TYPE.fullmatch(code):
            found = ascii(code[:40]) if isinstance(code, str) else "no name"
            raise NotAnArrayError(f"it has an array of type {found}, expected numbers or texts")
        self.value: np.dtype[Any] = np.dtype(code).newbyteorder("<")

    def set_state(self, state: object) -> None:
        """Take the byte order from `(version, order, subtype, names, fields, sizes…)`."""
        if (
            not isinstance(state, tuple)
            or len(state) < 5
            or not (isinstance(state[1], str) and state[1] in ("<", ">", "|", "="))
            or any(part is not None for part in state[2:5])
        ):
            raise NotAnArrayError("it has an array type with fields or parts, expected a plain one")
        self.value = self.value.newbyteorder(">" if state[1] == ">" else "<")


class PickledArray:
    """An array, empty until its state follows."""

    def __init__(self) -> None:
        self.value: NDArray[Any] | None = None

    def set_state(self, shape: object, dtype: object, fortran: object, raw: object) -> None:
        """Fill it; the bytes are shared with the file's, not copied."""
        if not isinstance(dtype, PickledType) or not isinstance(shape, tuple):
            raise NotAnArrayError("it has an array without type and shape")
        if len(shape) > _MAX_DIMENSIONS or not all(type(n) is int and n >= 0 for n in shape):
            raise NotAnArrayError(f"it has an array of shape {_short(shape)}")
        if not isinstance(raw, bytes | bytearray):
            raise NotAnArrayError("it has an array of objects, expected numbers or texts")
        expected = math.prod(shape) * dtype.value.itemsize
        if len(raw) != expected:
            raise NotAnArrayError(
                f"it has an array of {_short(shape)} {dtype.value} in {len(raw)} bytes,"
                f" expected {_short([expected])[1:-1]}"
            )
        if not raw:
            # whatever else its shape claims
            self.value = np.empty(0, dtype.value)
            return
        flat = np.frombuffer(raw, dtype.value)
        self.value = flat.reshape(shape, order="F" if fortran is True else "C")


def scalar(dtype: object, raw: object) -> bool | int | float | str | bytes:
    """One number or text."""
    if not isinstance(dtype, PickledType) or not isinstance(raw, bytes | bytearray):
        raise NotAnArrayError("it has a number without type and bytes")
    if len(raw) != dtype.value.itemsize:
        raise NotAnArrayError(f"it has a {dtype.value} in {len(raw)} bytes")
    value: bool | int | float | str | bytes = np.frombuffer(raw, dtype.value)[0].item()
    return value


def _short(shape: Sequence[object]) -> str:
    # int to text is slow for numbers of thousands of digits, and nobody reads them
    sizes = [
        str(n) if isinstance(n, int) and abs(n) < 10**20 else "an impossible number"
        for n in shape[:_MAX_DIMENSIONS]
    ]
    more = ["…"] if len(shape) > _MAX_DIMENSIONS else []
    return f"({', '.join([*sizes, *more])})"

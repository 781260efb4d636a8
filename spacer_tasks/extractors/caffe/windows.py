"""Windows that slide over an image: their options as Caffe reads them, and how many there are."""

from __future__ import annotations

from dataclasses import dataclass

from spacer_tasks.extractors.caffe.formats.fields import Fields

#: rows or columns of a window and its padding; larger ones are in no net
MAX_LENGTH = 2**16
Pair = tuple[int, int]


@dataclass(frozen=True)
class Windows:
    """Rows and columns of each."""

    kernel: Pair
    stride: Pair
    pad: Pair
    dilation: Pair = (1, 1)


def pair(
    fields: Fields, name: str, rows: str, columns: str, *, default: int | None, least: int
) -> Pair:
    """An option that is one number for both directions, or one for each.

    Parameters
    ----------
    name
        The field for both; where it is repeated, its two values are rows and columns.
    rows, columns
        The fields for one each.
    default
        Where nothing is set; None if something must be.
    least
        The least value.
    """
    both = fields.integers(name, least)
    each = [fields.integer(one, least - 1, least) for one in (rows, columns)]
    if fields.has(rows) or fields.has(columns):
        if both:
            raise fields.error(f"{name} and {rows}, {columns} are both set")
        # of padding, one alone leaves the other zero
        if least - 1 in each and default != 0:
            raise fields.error(f"of {rows} and {columns} only one is set")
        found = (max(each[0], least), max(each[1], least))
    elif len(both) in (1, 2):
        found = (both[0], both[-1])
    elif not both and default is not None:
        found = (default, default)
    else:
        raise fields.error(f"{name} is set {len(both)} times, expected once or twice")
    if max(found) > MAX_LENGTH:
        raise fields.error(f"{name} is {max(found)}, more than {MAX_LENGTH}")
    return found


def convolved(length: int, windows: Windows, axis: int) -> tuple[int, int]:
    """How many windows lie in a padded length (axis 0: rows, 1: columns), and what it lacks.

    Source: Caffe, `conv_layer.cpp`, whose division rounds towards zero: a window that is larger by
    less than the stride is still taken, with zeros where the image lacks.
    """
    extent = windows.dilation[axis] * (windows.kernel[axis] - 1) + 1
    room, stride = length + 2 * windows.pad[axis] - extent, windows.stride[axis]
    return (room // stride if room >= 0 else -(-room // stride)) + 1, max(0, -room)


def pooled(length: int, windows: Windows, axis: int, *, ceil: bool) -> int:
    """How many windows Caffe pools: the last may lie partly beyond the padding.

    Source: Caffe, `pooling_layer.cpp`. Where there is padding in either direction, the last window
    must begin within the image or the padding before it.
    """
    kernel, stride, pad = windows.kernel[axis], windows.stride[axis], windows.pad[axis]
    room = length + 2 * pad - kernel
    count = (-(-room // stride) if ceil else room // stride) + 1
    if any(windows.pad) and (count - 1) * stride >= length + pad:
        count -= 1
    return count

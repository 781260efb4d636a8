"""Weights files in Caffe's formats: every way to store numbers, and what is refused."""

from __future__ import annotations

import struct
from io import BytesIO

import numpy as np
import pytest
import torch

from spacer_tasks.exceptions import WeightsError
from spacer_tasks.extractors.caffe.formats.weights_file import WeightsFile
from tests.support.files.caffemodels import (
    FIXTURES,
    blob,
    caffemodel,
    integer,
    layer,
    message,
    older_blob,
    older_layer,
    varint,
)

VALUES = np.arange(6, dtype=np.float32).reshape(2, 3) / 7
SHAPE = message(7, message(1, b"\x02\x03"))


def read(data: bytes) -> WeightsFile:
    return WeightsFile(BytesIO(data), "net.caffemodel")


def tensor_in(content: bytes, shape: tuple[int, ...] = (2, 3)) -> np.ndarray:
    """The weights of a file of one layer with one blob of this content."""
    file = read(layer("fc", [content]))
    return file.tensor(file.layers["fc"][0], shape, "layer fc: weights 0").numpy()


@pytest.mark.parametrize(
    "content",
    [
        blob(VALUES),
        older_blob(VALUES),
        # the older dimensions go before a shape
        blob(VALUES, (9, 9)) + older_blob(VALUES)[:8],
        SHAPE + message(5, VALUES[0].tobytes()) + message(5, VALUES[1].tobytes()),
        SHAPE + b"".join(b"\x2d" + struct.pack("<f", each) for each in VALUES.flat),
        SHAPE + message(8, VALUES.astype("<f8").tobytes()),
        SHAPE + b"".join(b"\x41" + struct.pack("<d", each) for each in VALUES.flat),
        # doubles where there are any
        SHAPE + message(5, bytes(24)) + message(8, VALUES.astype("<f8").tobytes()),
        # dimensions one by one; the gradients beside
        message(7, integer(1, 2))
        + message(7, integer(1, 3))
        + message(6, bytes(24))
        + message(5, VALUES.tobytes()),
    ],
)
def test_every_way_to_store_numbers(content: bytes) -> None:
    np.testing.assert_array_equal(tensor_in(content), VALUES)


def test_of_layers_with_one_name_the_last_counts() -> None:
    file = read(caffemodel({"fc": [VALUES]}) + caffemodel({"fc": [-VALUES]}))
    found = file.tensor(file.layers["fc"][0], (2, 3), "fc")
    np.testing.assert_array_equal(found.numpy(), -VALUES)


def test_a_file_may_have_both_formats_and_what_is_not_known() -> None:
    data = (
        message(1, b"a net")
        + older_layer("old", [older_blob(VALUES)])
        + integer(5, 1)
        + layer("new", [blob(VALUES)])
        + varint(200 << 3 | 1)
        + bytes(8)
    )
    assert sorted(read(data).layers) == ["new", "old"]


def test_older_dimensions_are_filled_up_with_ones_in_front() -> None:
    bias = np.arange(4, dtype=np.float32)
    assert tensor_in(older_blob(bias), (4,)).shape == (4,)
    assert tensor_in(older_blob(bias[:1]), ()).shape == ()
    with pytest.raises(WeightsError, match=r"have shape \(1, 1, 1, 4\) in .*, expected \(4, 1\)"):
        tensor_in(older_blob(bias), (4, 1))
    with pytest.raises(WeightsError, match=r"have shape \(4, 1, 1, 1\)"):
        tensor_in(older_blob(bias, (4, 1, 1, 1)), (4,))


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (SHAPE, "are 0 numbers"),
        (SHAPE + message(5, bytes(20)), "are 5 numbers in net.caffemodel, expected 6"),
        (SHAPE + message(5, bytes(28)), "are 7 numbers in net.caffemodel, expected 6"),
        (SHAPE + message(5, bytes(26)), "end within a number"),
        (SHAPE + message(8, bytes(24)), "are 3 numbers"),
        (SHAPE + integer(5, 1), "field 5 is of another kind"),
        (integer(7, 1), "field 7 is of another kind"),
        (message(1, b"\x01"), "field 1 is of another kind"),
        (message(7, message(1, b"\x01" * 33)), "over 32 dimensions"),
        (blob(VALUES, (3, 2)), r"have shape \(3, 2\)"),
        (blob(VALUES, (2, 2**63 + 1)), r"have shape \(2, 9223372036854775809\)"),
        (blob(VALUES * np.nan), "numbers that are not finite"),
        (SHAPE + message(8, np.full(6, 1e300).tobytes()), "numbers that are not finite"),
    ],
)
def test_weights_that_do_not_fit_are_named(content: bytes, fault: str) -> None:
    with pytest.raises(WeightsError, match=fault):
        tensor_in(content)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "has no layers"),
        (b"hello", "at byte 3, a field of the unknown kind 4"),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "is in HDF5"),
        (message(1, b"a net"), "has no layers"),
        (b"\xff" * 20, "at byte 0, an integer without an end"),
        (b"\x0b", "at byte 1, a field of the unknown kind 3"),
        (b"\x02\x00", "a field without a number"),
        (varint(100 << 3 | 2) + varint(2**62), "a field longer than the rest"),
        (message(2, message(1, b"")), "is in the format V0"),
        (integer(100, 5), "field 100 is of another kind"),
        (message(100, integer(7, 5)), "field 7 is of another kind"),
        (message(100, message(1, b"n" * 1001)), "a name of 1001 bytes"),
        (message(100, message(7, b"") * 65), "over 64 weights"),
        (integer(5, 1) * 200_001, "it has more than 200000 fields"),
    ],
    ids=range(14),
)
def test_what_is_no_weights_file_is_told_with_its_byte(data: bytes, fault: str) -> None:
    with pytest.raises(WeightsError, match=f"net.caffemodel.*{fault}"):
        read(data)


def test_a_file_cut_anywhere_is_damaged_or_lacks_what_was_cut() -> None:
    data = (FIXTURES / "tiny_vgg16_v1.caffemodel").read_bytes()
    whole = read(data).layers
    refused = 0
    for end in [*range(1, 300), *range(300, len(data), 997)]:
        try:
            found = read(data[:end]).layers
        except WeightsError:
            refused += 1
            continue
        assert len(found) < len(whole)
    assert refused > 300


def test_a_file_that_is_cut_while_it_is_read_is_damaged() -> None:
    stream = BytesIO(caffemodel({"fc": [VALUES]}))
    file = WeightsFile(stream, "net.caffemodel")
    stream.truncate(30)
    with pytest.raises(WeightsError, match="it ends too early"):
        file.tensor(file.layers["fc"][0], (2, 3), "fc")


def test_weights_are_float32_and_laid_out_as_torch_wants_them() -> None:
    file = read(caffemodel({"fc": [VALUES]}))
    found = file.tensor(file.layers["fc"][0], (2, 3), "fc")
    assert found.dtype == torch.float32
    assert found.is_contiguous()
    assert found.data_ptr() % 4 == 0

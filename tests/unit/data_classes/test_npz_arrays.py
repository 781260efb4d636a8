"""The list of a file's entries is counted before anything is made of it."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from spacer_tasks.data_classes import npz_arrays
from spacer_tasks.data_classes.npz_arrays import MAX_ENTRIES, DamagedEntryError, NpzArrays

#: of a record that says that another one, in front of it, holds the true numbers
LOCATOR = b"PK\6\7" + bytes(16)


def archive(entries: int, comment: bytes = b"") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        for index in range(entries):
            content = io.BytesIO()
            np.save(content, np.arange(index + 1))
            made.writestr(f"{index}.npy", content.getvalue())
        made.comment = comment
    return stream.getvalue()


@pytest.mark.parametrize("comment", [b"", b"a comment", b"ends in zeros\0\0"])
def test_as_many_entries_as_there_may_be_are_read_and_one_more_is_refused(comment: bytes) -> None:
    whole = NpzArrays(archive(MAX_ENTRIES, comment))
    assert len(whole.entries) == MAX_ENTRIES
    assert whole.read("2.npy", 1000).tolist() == [0, 1, 2]
    with pytest.raises(DamagedEntryError, match="more than 100 entries"):
        NpzArrays(archive(MAX_ENTRIES + 1, comment))


@pytest.mark.parametrize("size", [0, 46, 2**17, 2**17 + 1, 2**31, 2**32 - 1])
def test_an_end_that_lies_about_its_list_hides_no_entries(size: int) -> None:
    data = archive(MAX_ENTRIES + 1)
    lying = data[:-10] + size.to_bytes(4, "little") + data[-6:]
    try:
        found = NpzArrays(lying)
    except (DamagedEntryError, zipfile.BadZipFile):
        return
    assert len(found.entries) <= MAX_ENTRIES


def test_an_end_before_which_another_stands_hides_no_entries() -> None:
    data = archive(MAX_ENTRIES + 1)
    with pytest.raises((DamagedEntryError, zipfile.BadZipFile)):
        NpzArrays(data[:-22] + LOCATOR + data[-22:])


def test_only_the_list_is_searched_where_a_file_ends_as_usual() -> None:
    # features may hold these bytes
    stream = io.BytesIO()
    values = np.frombuffer(npz_arrays._ENTRY * 2 * MAX_ENTRIES, np.uint8)
    np.savez(stream, values=values)
    assert NpzArrays(stream.getvalue()).read("values.npy", 10**6).tolist() == values.tolist()

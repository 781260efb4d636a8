"""Tables of two columns that people write by hand."""

from __future__ import annotations

import pytest

from spacer_tasks.data_classes.small_tables import read_pairs
from spacer_tasks.exceptions import PointsFileError


def pairs(data: bytes) -> dict[str, str]:
    return read_pairs(data, "map.csv", ("old", "label"), ("new",), ("old label", "new label"))


@pytest.mark.parametrize(
    "data",
    [
        b"old,new\na,b\n",
        b"\xef\xbb\xbfOLD;New\r\na;b\r\n",
        b"note\told\tnew\n1\ta\tb\n2\ta\tb\n",
        "old,new\na,b\n".encode("utf-16"),
        b"Label,New\n\n a , b \n",
    ],
)
def test_what_spreadsheets_write_is_read(data: bytes) -> None:
    assert pairs(data) == {"a": "b"}


def test_accents_are_one_however_they_are_written() -> None:
    assert pairs("old,new\nre\u0301cif,b\n".encode()) == {"récif": "b"}
    assert pairs("old,new\nrécif,b\n".encode("cp1252")) == {"récif": "b"}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "the file is empty"),
        (b"old,new\n", "no line below the first"),
        (b"a,b\nc,d\n", "no column for old label: expected 'old' or 'label'.*has 'a', 'b'"),
        (b"old,new,new\na,b,c\n", "2 columns are named 'new'"),
        (b"old,new\na,\n", "line 2 has no new label"),
        (b"old,new\na,b\n\na\n", "line 4 has no new label"),
        (b"old,new\na,b\na,c\n", "line 3: old label 'a' has new label 'c', and 'b' in a line bef"),
        (b"PK\x03\x04\x00\x00", "not a text file"),
        (b'old,new\n"a,b\n', "not a CSV"),
    ],
)
def test_what_is_wrong_is_named(data: bytes, text: str) -> None:
    with pytest.raises(PointsFileError, match=f"map.csv: {text}"):
        pairs(data)

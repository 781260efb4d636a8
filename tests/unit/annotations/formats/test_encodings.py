"""Text in the encodings of spreadsheets, of all systems, with marks wherever they stand."""

from __future__ import annotations

import pytest

from spacer_tasks.annotations.formats.encodings import decoded
from spacer_tasks.exceptions import PointsFileError

TEXT = "Name,Row,Column,Label\nÎle.jpg,12,30,Hêtre\n"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"]
)
def test_unicode_is_read_without_a_word(encoding: str) -> None:
    mark = "\ufeff" if encoding == "utf-32-be" else ""
    assert decoded((mark + TEXT).encode(encoding), "s") == (TEXT, [])


def test_utf16_without_its_mark_is_known_by_its_zeros_also_behind_an_accent() -> None:
    text = "Étiquette;Name\nSable;A.jpg\n"
    assert decoded(text.encode("utf-16-le"), "s") == (text, [])


def test_marks_of_byte_order_are_left_out_where_files_were_joined() -> None:
    data = b"\xef\xbb\xbf\xef\xbb\xbfa,b\n" + b"\xef\xbb\xbf1,2\n"
    assert decoded(data, "s") == ("a,b\n1,2\n", [])


def test_a_macintosh_csv_is_known_by_its_line_ends_and_its_words_are_shown() -> None:
    text, warnings = decoded(TEXT.replace("\n", "\r").encode("mac_roman"), "s")
    assert text == TEXT
    assert warnings == [
        "s: not UTF-8 (line 1); read as Mac Roman: check names with accents ('Île.jpg', 'Hêtre');"
        " if they are wrong, give --encoding"
    ]


@pytest.mark.parametrize("encoding", ["cp1251", "gbk", "shift_jis", "mac_roman"])
def test_an_encoding_that_is_named_is_used(encoding: str) -> None:
    text = {"cp1251": "Песок", "mac_roman": "Hêtre"}.get(encoding, "砂")
    assert decoded(text.encode(encoding), "s", encoding) == (text, [])


def test_an_encoding_that_is_wrong_or_unknown_is_an_input_error() -> None:
    with pytest.raises(PointsFileError, match="not in the encoding utf-8"):
        decoded(b"\xe9", "s", "utf-8")
    with pytest.raises(PointsFileError, match="--encoding klingon: no such encoding"):
        decoded(b"a", "s", "klingon")


def test_letters_of_no_encoding_tried_ask_for_one_instead_of_becoming_others() -> None:
    with pytest.raises(PointsFileError, match="say what it is with --encoding, as"):
        decoded("Label\n砂\n".encode("shift_jis"), "s")

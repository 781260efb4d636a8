"""The text of a file in any of the encodings that spreadsheets and editors save."""

from __future__ import annotations

import codecs
import re

from spacer_tasks.exceptions import PointsFileError

#: the marks at a file's begin, the longer ones first
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: bytes by which UTF-16 without a mark is known
LOOKED_AT = 512
#: share of them that is zero: each ASCII letter stands beside one
ZEROS = 0.25
NEWLINE = b"\n"
#: a word with other than ASCII letters, looked for from its beginning only, and how many a warning
#: shows
WORD = re.compile(r"(?<![^\s,;|\"])[^\s,;|\"]*[^\x00-\x7f][^\s,;|\"]*")
WORDS = 3


def decoded(data: bytes, name: str, encoding: str | None = None) -> tuple[str, list[str]]:
    """The text of a file, and what to check in it.

    Parameters
    ----------
    encoding
        What the text is in, where it is known.

    Raises
    ------
    PointsFileError
        It is not in that encoding, or in none of those that are tried.
    """
    if encoding:
        try:
            return _plain(data.decode(encoding)), []
        except LookupError:
            raise PointsFileError(
                f"--encoding {encoding}: no such encoding; expected one that Python knows, as"
                " mac_roman, cp1251, gbk or shift_jis"
            ) from None
        except UnicodeError as error:
            raise PointsFileError(f"{name}: not in the encoding {encoding}: {error}") from error
    guess = next((guess for mark, guess in MARKS if data.startswith(mark)), _without_mark(data))
    try:
        return _plain(data.decode(guess)), []
    except UnicodeDecodeError as error:
        if guess != "utf-8":
            raise PointsFileError(
                f"{name}: looks like {guess.upper()}, but is damaged at byte {error.start}"
            ) from error
        line = data.count(NEWLINE, 0, error.start) + 1
    # a return alone ends lines in what Excel saves as "CSV (Macintosh)"
    macintosh = b"\r" in data and NEWLINE not in data
    taken, called = ("mac_roman", "Mac Roman") if macintosh else ("cp1252", "cp1252 (Windows)")
    try:
        text = _plain(data.decode(taken))
    except UnicodeDecodeError as error:
        raise PointsFileError(
            f"{name}: neither UTF-8 nor {called} (byte 0x{data[error.start]:02x}, line"
            f" {data.count(NEWLINE, 0, error.start) + 1}): save it as UTF-8, or say what it is with"
            " --encoding, as mac_roman, cp1251, gbk or shift_jis"
        ) from None
    words = list(dict.fromkeys(WORD.findall(text)))[:WORDS]
    seen = f" ({', '.join(map(repr, words))})" if words else ""
    return text, [
        f"{name}: not UTF-8 (line {line}); read as {called}: check names with accents{seen}; if"
        " they are wrong, give --encoding"
    ]


def _without_mark(data: bytes) -> str:
    """UTF-16 without its mark, or else UTF-8."""
    start = data[:LOOKED_AT]
    high, low = start[::2].count(0), start[1::2].count(0)
    if max(high, low) > ZEROS * len(start) / 2 and min(high, low) == 0:
        return "utf-16-be" if high else "utf-16-le"
    return "utf-8"


def _plain(text: str) -> str:
    """Without marks of byte order, which stand where files were joined; lines end as elsewhere."""
    text = text.replace("\ufeff", "")
    # Excel on old Macs ends lines with a return alone, and some editors add one other end
    return text if "\n" in text else text.replace("\r", "\n")

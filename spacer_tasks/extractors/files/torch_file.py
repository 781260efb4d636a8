"""What a file of torch's holds, looked at before torch takes memory for it.

torch stores its entries as they are, but its reader inflates those of other writers: 400 kB become
400 MB before an error. Its older format, without a zip, is read from the file as it goes: there a
tensor that claims more than the file holds is an error, and the memory is never written to.
In the pickles of both, torch lets a file call `bytearray` with any size, and encode one text any
number of times.
"""

from __future__ import annotations

import pickletools
import struct
import zipfile
from io import BytesIO

from spacer_tasks.exceptions import WeightsError

#: what errors say where nothing more is known
EXPECTED = "expected what torch.save writes"
OTHER_ZIP = "a zip that is cut short, or that another program wrote"
#: characters of another library's error that ours shows
SHOWN = 200
#: torch's own test of whether a file is a zip
ZIP = b"PK\3\4"
#: bytes of the list of entries; the 366 of an EfficientNet-B0 take 22 kB
MAX_DIRECTORY = 2**20
#: bytes of a pickle, which has no numbers of tensors in it; that of an EfficientNet-B0 has 42 kB
MAX_PICKLE = 2**20
#: characters of a text in it: names, and the bytes of a number. Each call that encodes one takes 6
#: bytes of the pickle, so all together make at most 200 MB
MAX_TEXT = 1000
#: of the older format: what it is, its version, the machine, the content, the tensors' names
OLD_PICKLES = 5
#: bytes of the records at a zip's end (PKWARE APPNOTE 6.3.10, 4.3.14 to 4.3.16)
_END, _END64, _LOCATOR64 = 22, 56, 20


class _UnlikeTorchError(Exception):
    """torch did not write the file; the text says how that shows."""


def check_torch_file(data: bytes, name: str, expected: str = EXPECTED) -> None:
    """Refuse a file of which torch would make more than the file is long.

    Parameters
    ----------
    name, expected
        Which file, and what it should be, in errors.

    Raises
    ------
    WeightsError
        An entry of a zip is compressed, all of them together are larger than the file, their list
        is not where torch and Python both look for it; or a pickle is large, has a large text, or
        makes an array of bytes.
    """
    try:
        if data.startswith(ZIP):
            _check_zip(data, name)
            return
        at = 0
        for _ in range(OLD_PICKLES):
            at += _check_pickle(data[at : at + MAX_PICKLE], name)
    except _UnlikeTorchError as error:
        raise WeightsError(f"{name} is not a weights file; {expected} ({error})") from error


def _check_zip(data: bytes, name: str) -> None:
    start, end = _directory(data)
    if end - start > MAX_DIRECTORY:
        raise WeightsError(
            f"{name}: {end - start} bytes list what is in the file, expected at most"
            f" {MAX_DIRECTORY}"
        )
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            entries = archive.infolist()
            # where Python found the list
            found = archive.start_dir
            # torch does not tell capitals from small letters
            pickles = [e for e in entries if e.filename.lower().endswith("data.pkl")]
    # it raises more than BadZipFile on what is damaged
    except Exception as error:
        raise _UnlikeTorchError(f"a damaged zip: {error}"[:SHOWN]) from error
    if found != start:
        raise _UnlikeTorchError(OTHER_ZIP)
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
            raise WeightsError(
                f"{name}: {entry.filename[:100]!r} in it is compressed, {entry.compress_size} bytes"
                f" for {entry.file_size}; expected entries as torch.save stores them,"
                " uncompressed"
            )
    total = sum(entry.file_size for entry in entries)
    if total > len(data):
        raise WeightsError(
            f"{name}: {total} bytes in a file of {len(data)}; expected no more than the file has"
        )
    for entry in pickles:
        _check_pickle(_head(data, entry), name)


def _head(data: bytes, entry: zipfile.ZipInfo) -> bytes:
    """The first bytes of an entry, as many as a pickle may have."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive, archive.open(entry) as stream:
            return stream.read(MAX_PICKLE)
    except Exception as error:
        raise _UnlikeTorchError(f"a damaged zip: {error}"[:SHOWN]) from error


def _directory(data: bytes) -> tuple[int, int]:
    """Where the list of entries begins and ends, by torch's way of looking for it.

    Readers differ in files that are put together to show each another list, so only files are
    taken in which there is no choice.
    """
    end = len(data) - _END
    if end < 0 or data[end : end + 4] != b"PK\5\6" or data[-2:] != b"\0\0":
        raise _UnlikeTorchError(OTHER_ZIP)
    (start,) = struct.unpack_from("<I", data, end + 16)
    locator = end - _LOCATOR64
    if locator >= _END64 and data[locator : locator + 4] == b"PK\6\7":
        end = locator - _END64
        (said,) = struct.unpack_from("<Q", data, locator + 8)
        if said != end or data[end : end + 4] != b"PK\6\6":
            raise _UnlikeTorchError(OTHER_ZIP)
        (start,) = struct.unpack_from("<Q", data, end + 48)
    if start > end:
        raise _UnlikeTorchError(OTHER_ZIP)
    return start, end


def _check_pickle(data: bytes, name: str) -> int:
    """The length of the pickle that `data` begins with."""
    end = 0
    try:
        for instruction, argument, at in pickletools.genops(data):
            end = (at or 0) + 1
            if instruction.name == "GLOBAL" and "bytearray" in str(argument):
                raise WeightsError(f"{name}: it makes a bytearray; expected tensors and numbers")
            if isinstance(argument, (str, bytes)) and len(argument) > MAX_TEXT:
                raise WeightsError(
                    f"{name}: a text of {len(argument)} characters in it; expected at most"
                    f" {MAX_TEXT}"
                )
    except ValueError as error:
        raise _UnlikeTorchError(f"a damaged pickle, or a large one: {error}"[:SHOWN]) from error
    return end

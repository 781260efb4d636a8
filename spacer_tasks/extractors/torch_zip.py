"""What a zip of torch's holds, looked at before torch takes memory for it.

torch stores its entries as they are, but its reader inflates those of other writers: 400 kB become
400 MB before an error. Its older format, without a zip, is read from the file as it goes: there a
tensor that claims more than the file holds is an error, and the memory is never written to.
"""

from __future__ import annotations

import struct
import zipfile
from io import BytesIO

from spacer_tasks.exceptions import WeightsError

#: torch's own test of whether a file is a zip
ZIP = b"PK\3\4"
#: bytes of the list of entries; the 360 of an EfficientNet-B0 take 30 kB
MAX_DIRECTORY = 2**20
#: bytes of the records at a zip's end (PKWARE APPNOTE 6.3.10, 4.3.14 to 4.3.16)
_END, _END64, _LOCATOR64 = 22, 56, 20


def check_torch_zip(data: bytes, name: str) -> None:
    """Refuse a zip whose entries would be larger than they are in the file. Others pass.

    Raises
    ------
    WeightsError
        An entry is compressed, all of them together are larger than the file, or their list is
        not where torch and Python both look for it.
    """
    if not data.startswith(ZIP):
        return
    start, end = _directory(data, name)
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
    # it raises more than BadZipFile on what is damaged
    except Exception as error:
        raise WeightsError(f"{name} is not a weights file: a damaged zip ({error})") from error
    if found != start:
        raise _unlike_torch(name)
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


def _directory(data: bytes, name: str) -> tuple[int, int]:
    """Where the list of entries begins and ends, by torch's way of looking for it.

    Readers differ in files that are put together to show each another list, so only files are
    taken in which there is no choice.
    """
    end = len(data) - _END
    if end < 0 or data[end : end + 4] != b"PK\5\6" or data[-2:] != b"\0\0":
        raise _unlike_torch(name)
    (start,) = struct.unpack_from("<I", data, end + 16)
    locator = end - _LOCATOR64
    if locator >= _END64 and data[locator : locator + 4] == b"PK\6\7":
        end = locator - _END64
        (said,) = struct.unpack_from("<Q", data, locator + 8)
        if said != end or data[end : end + 4] != b"PK\6\6":
            raise _unlike_torch(name)
        (start,) = struct.unpack_from("<Q", data, end + 48)
    if start > end:
        raise _unlike_torch(name)
    return start, end


def _unlike_torch(name: str) -> WeightsError:
    return WeightsError(
        f"{name} is not a weights file: a zip that is cut short, or not as torch.save writes it"
    )

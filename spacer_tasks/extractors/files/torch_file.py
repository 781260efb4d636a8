"""What a file of torch's holds, looked at before torch takes memory for it.

torch stores its entries as they are, but its reader inflates those of other writers: 400 kB become
400 MB before an error. Its older format, without a zip, is read from the file as it goes: there a
tensor that claims more than the file holds is an error, and the memory is never written to.
What the pickles of both may do is looked at in `torch_pickle.py`.
"""

from __future__ import annotations

import struct
import zipfile
from io import BytesIO

from spacer_tasks.exceptions import WeightsError
from spacer_tasks.extractors.files.torch_pickle import (
    MAX_PICKLE,
    UnlikeTorchError,
    Walked,
    is_plain,
    walked,
)

#: what errors say where nothing more is known
EXPECTED = "expected what torch.save writes"
OTHER_ZIP = "a zip that is cut short, or that another program wrote"
#: characters of another library's error that ours shows
SHOWN = 200
#: torch's own test of whether a file is a zip
ZIP = b"PK\3\4"
#: bytes of the list of entries; the 366 of an EfficientNet-B0 take 22 kB
MAX_DIRECTORY = 2**20
#: of the older format: what it is, its version, the machine, the content, the tensors' names
OLD_PICKLES = 5
#: the first of them
OLD_MAGIC = 0x1950A86A20F9469CFC6C
#: bytes of the records at a zip's end (PKWARE APPNOTE 6.3.10, 4.3.14 to 4.3.16)
_END, _END64, _LOCATOR64 = 22, 56, 20


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
        is not where torch and Python both look for it; or a pickle is large, has a large text,
        makes an array of bytes, hashes tuples, or calls what rebuilds no tensor.
    """
    try:
        if data.startswith(ZIP):
            _check_zip(data, name)
            return
        _check_old(data, name)
    except UnlikeTorchError as error:
        raise WeightsError(f"{name} is not a weights file; {expected} ({error})") from error


def _check_old(data: bytes, name: str) -> None:
    """The pickles of a file from before zips."""
    at, found, storages = 0, [], set[object]()
    for _ in range(OLD_PICKLES):
        pickle = _check_pickle(data[at : at + MAX_PICKLE], name)
        found.append(pickle.content)
        storages |= pickle.storages
        at += pickle.length
    # where this is not there, torch looks for a tar and more
    if type(found[0]) is not int or found[0] != OLD_MAGIC:
        raise UnlikeTorchError("neither a zip nor what torch wrote before zips")
    # torch looks tensors up by them
    names = found[-1]
    if type(names) is not list or not all(map(is_plain, names)):
        raise UnlikeTorchError("the tensors' names are no texts")
    # of others torch takes memory and reads no numbers into it: what was there before would be used
    if not storages <= set(names):
        raise UnlikeTorchError("there are tensors without their numbers")


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
        raise UnlikeTorchError(f"a damaged zip: {error}"[:SHOWN]) from error
    if found != start:
        raise UnlikeTorchError(OTHER_ZIP)
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
        raise UnlikeTorchError(f"a damaged zip: {error}"[:SHOWN]) from error


def _directory(data: bytes) -> tuple[int, int]:
    """Where the list of entries begins and ends, by torch's way of looking for it.

    Readers differ in files that are put together to show each another list, so only files are
    taken in which there is no choice.
    """
    end = len(data) - _END
    if end < 0 or data[end : end + 4] != b"PK\5\6" or data[-2:] != b"\0\0":
        raise UnlikeTorchError(OTHER_ZIP)
    (start,) = struct.unpack_from("<I", data, end + 16)
    locator = end - _LOCATOR64
    if locator >= _END64 and data[locator : locator + 4] == b"PK\6\7":
        end = locator - _END64
        (said,) = struct.unpack_from("<Q", data, locator + 8)
        if said != end or data[end : end + 4] != b"PK\6\6":
            raise UnlikeTorchError(OTHER_ZIP)
        (start,) = struct.unpack_from("<Q", data, end + 48)
    if start > end:
        raise UnlikeTorchError(OTHER_ZIP)
    return start, end


def _check_pickle(data: bytes, name: str) -> Walked:
    """The pickle that `data` begins with."""
    try:
        return walked(data, name)
    except UnlikeTorchError:
        raise
    except ValueError as error:
        raise UnlikeTorchError(f"a damaged pickle, or a large one: {error}"[:SHOWN]) from error

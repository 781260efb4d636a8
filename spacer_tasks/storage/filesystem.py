"""Objects as files. A file is written beside its place and renamed into it."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from spacer_tasks.exceptions import (
    ObjectNotFoundError,
    StorageAccessError,
    StorageUnavailableError,
)
from spacer_tasks.storage.base import Storage, check_size
from spacer_tasks.storage.fence import pass_fence

#: characters of a file's name that the name has which it is written by
NAMED = 40


class _ExistsError(Exception):
    """There is a file of this name."""


class FilesystemStorage(Storage):
    """A key is a path; folders are made as needed."""

    def load(self, key: str) -> bytes:
        return self.load_version(key)[0]

    def load_version(self, key: str) -> tuple[bytes, str | None]:
        with file_errors(key), _opened(key) as stream:
            status = os.fstat(stream.fileno())
            check_size(status.st_size, key)
            return stream.read(), _version_of(status)

    def open(self, key: str) -> BinaryIO:
        """The file, open for reading: for files too large to be held whole."""
        with file_errors(key):
            stream = _opened(key)
            try:
                check_size(os.fstat(stream.fileno()).st_size, key)
            except BaseException:
                stream.close()
                raise
            return stream

    def store(self, key: str, data: bytes) -> None:
        self._store(key, data, os.replace)

    def store_once(self, key: str, data: bytes) -> bool:
        try:
            # unlike a renaming, this fails where there is one
            self._store(key, data, os.link)
        except _ExistsError:
            return False
        return True

    def _store(self, key: str, data: bytes, place: Callable[[str, Path], None]) -> None:
        path = Path(key)
        with file_errors(key):
            # renaming a file to the name of a folder is refused in other words for each folder
            if key.endswith(os.sep) or path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), key)
            path.parent.mkdir(parents=True, exist_ok=True)
            # of a name as long as they may be, only the beginning: more is added
            prefix = f".{path.name[:NAMED]}."
            descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=prefix)
            try:
                with os.fdopen(descriptor, "wb") as stream:
                    stream.write(data)
                    stream.flush()
                    # a crash of the machine must not leave the new name with half a content
                    os.fsync(stream.fileno())
                pass_fence()
                os.chmod(temporary, 0o666 & ~_umask())  # noqa: PTH101 -- a name, not a Path
                try:
                    place(temporary, path)
                except FileExistsError:
                    raise _ExistsError from None
            finally:
                # gone already where it was renamed
                Path(temporary).unlink(missing_ok=True)

    def delete(self, key: str) -> None:
        pass_fence()
        with file_errors(key):
            Path(key).unlink(missing_ok=True)

    def version(self, key: str) -> str | None:
        with file_errors(key):
            try:
                status = os.stat(key)  # noqa: PTH116 -- by its name, as in `_opened`
            except (FileNotFoundError, NotADirectoryError):
                return None
            return _version_of(status)


def _opened(key: str) -> BinaryIO:
    # by its name: a Path forgets a slash at the end, by which a file is asked for as a folder
    stream = open(key, "rb", opener=_at_once)  # noqa: SIM115 -- as above; it is returned
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise StorageAccessError(f"{key}: a pipe or a device, expected a file")
    return stream


def _at_once(key: str, flags: int) -> int:
    """Open without waiting: a pipe that nobody writes to would take for ever."""
    return os.open(key, flags | getattr(os, "O_NONBLOCK", 0))


def _version_of(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns}-{status.st_size}"


def _umask() -> int:
    """The process's umask, read without changing it (mkstemp makes files for the owner only)."""
    with suppress(OSError):  # a system without /proc
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return 0o022


@contextmanager
def file_errors(key: str) -> Iterator[None]:
    """Turn the system's errors into this package's, which name the file."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ObjectNotFoundError(f"no file {key}") from error
    except (PermissionError, IsADirectoryError, FileExistsError) as error:
        raise StorageAccessError(f"{key}: {error.strerror}") from error
    except ValueError as error:
        raise StorageAccessError(f"{key!r} is no path: {error}") from error
    except OSError as error:
        # the last: a socket
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.ENXIO):
            raise StorageAccessError(f"{key}: {error.strerror}") from error
        # a full disk, a network mount that went away: it may come back
        raise StorageUnavailableError(f"{key}: {error.strerror or error}") from error

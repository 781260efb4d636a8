"""The reference's storages, over this project's: keys to streams of bytes."""

from __future__ import annotations

import abc
import logging
import pickle
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from spacer_tasks import storage
from spacer_tasks.compat import config
from spacer_tasks.compat.caching import loaded
from spacer_tasks.compat.data_classes.locations import DataLocation
from spacer_tasks.compat.exceptions import URLDownloadError
from spacer_tasks.compat.raising import as_the_reference
from spacer_tasks.data_classes.locations import DataLocation as Location
from spacer_tasks.data_classes.locations import StorageType
from spacer_tasks.exceptions import TransientError
from spacer_tasks.messages.parsing import parse
from spacer_tasks.storage.memory import MEMORY

if TYPE_CHECKING:
    from PIL import Image
    from sklearn.calibration import CalibratedClassifierCV

logger = logging.getLogger(__name__)


class Storage(abc.ABC):
    """Objects by key. A stored object is whole or absent."""

    storage_type: StorageType
    bucket_name: str | None = None

    def _at(self, key: str) -> Location:
        where = {"storage_type": self.storage_type, "key": key, "bucket_name": self.bucket_name}
        return parse(Location, where)

    def load(self, key: str) -> BytesIO:
        """The object, from its beginning."""
        with as_the_reference():
            return BytesIO(storage.load(self._at(key)))

    def store(self, key: str, stream: BytesIO) -> None:
        """Write the whole stream, wherever it stands."""
        with as_the_reference():
            storage.store(self._at(key), bytes(stream.getbuffer()))

    def delete(self, key: str) -> None:
        """Remove the object."""
        with as_the_reference():
            storage.delete(self._at(key))

    def exists(self, key: str) -> bool:
        """Whether there is an object."""
        with as_the_reference():
            return storage.exists(self._at(key))


class RemoteStorage(Storage):
    """Where loading crosses a network: a folder may keep what was loaded."""

    def load(self, key: str, filesystem_cache: str | None = None) -> BytesIO:
        """The object, from the folder if it is there, which else gets it."""
        if not filesystem_cache:
            return self._load_remote(key)
        return BytesIO(loaded(self._at(key), filesystem_cache))

    def _load_remote(self, key: str) -> BytesIO:
        return super().load(key)


class URLStorage(RemoteStorage):
    """Reads what is behind URLs."""

    storage_type = "url"
    #: seconds; `SPACER_URL_TIMEOUT_S` is what counts
    TIMEOUT = 20.0

    def _load_remote(self, key: str) -> BytesIO:
        try:
            return super()._load_remote(key)
        except URLDownloadError as error:
            reason = error.original_error
            if not urlsplit(key).scheme:
                reason = ValueError(f"unknown url type: {key!r}")
            raise URLDownloadError(f"Failed to download from the URL '{key}'.", reason) from error

    def store(self, url: str, stream: BytesIO) -> None:
        raise TypeError("Store operation not supported for URL storage.")

    def delete(self, url: str) -> None:
        raise TypeError("Delete operation not supported for URL storage.")

    def exists(self, url: str) -> bool:
        """Whether the URL's server says that there is something."""
        try:
            return super().exists(url)
        except (URLDownloadError, TransientError):
            return False


class S3Storage(RemoteStorage):
    """The objects of a bucket."""

    storage_type = "s3"

    def __init__(self, bucket_name: str) -> None:
        self.bucket_name = bucket_name


class FileSystemStorage(Storage):
    """Files, by their paths."""

    storage_type = "filesystem"

    def delete(self, path: str) -> None:
        # no file is an error, as it is to the reference
        Path(path).stat()
        super().delete(path)


class MemoryStorage(Storage):
    """This process's memory, for tests."""

    storage_type = "memory"

    def delete(self, path: str) -> None:
        if not self.exists(path):
            raise KeyError(path)
        super().delete(path)


def clear_memory_storage() -> None:
    """Forget all that is stored in memory."""
    MEMORY.clear()


def storage_factory(storage_type: str, bucket_name: str | None = None) -> Any:
    """The storage of a type."""
    assert storage_type in config.STORAGE_TYPES
    if storage_type == "s3":
        if bucket_name is None:
            raise ValueError("bucket_name must be a string for s3 storage")
        return S3Storage(bucket_name)
    if storage_type == "url":
        return URLStorage()
    return FileSystemStorage() if storage_type == "filesystem" else MemoryStorage()


def store_image(loc: DataLocation, img: Image.Image) -> None:
    """Write an image as a JPEG."""
    with BytesIO() as stream:
        img.save(stream, "JPEG")
        storage_factory(loc.storage_type, loc.bucket_name).store(loc.key, stream)


def load_image(loc: DataLocation) -> Image.Image:
    """The image, opened and not decoded, in any format of Pillow's; workers take fewer."""
    from PIL import Image

    return Image.open(storage_factory(loc.storage_type, loc.bucket_name).load(loc.key))


def store_classifier(loc: DataLocation, clf: CalibratedClassifierCV) -> None:
    """Write a fitted classifier as a pickle that the reference loads.

    One with an estimator of another kind than the reference trains is pickled as it is, for those
    who load it by themselves: nothing here loads it, because that would run what is in it.
    """
    if not hasattr(clf, "calibrated_classifiers_"):
        raise ValueError("Only fitted classifiers can be stored.")
    from spacer_tasks.classifiers.codec import encoded
    from spacer_tasks.classifiers.from_sklearn import from_sklearn
    from spacer_tasks.compat.sklearn_classifier import is_known

    if is_known(clf):
        data = encoded(from_sklearn(clf), "pyspacer", str(loc))
    else:
        logger.warning("%s: a classifier that load_classifier does not read", loc.key)
        data = pickle.dumps(clf, protocol=2)
    storage_factory(loc.storage_type, loc.bucket_name).store(loc.key, BytesIO(data))


class _LoadClassifier:
    """The last classifiers are kept while they are not replaced where they are stored."""

    def __call__(self, loc: DataLocation) -> CalibratedClassifierCV:
        """A stored classifier as scikit-learn's class.

        Raises
        ------
        ClassifierFileError
            It is no classifier, or one of a kind that the reference does not train.
        """
        from spacer_tasks.classifiers import load_classifier
        from spacer_tasks.compat.sklearn_classifier import to_sklearn

        with as_the_reference():
            return to_sklearn(load_classifier(loc.ours()))

    def cache_clear(self) -> None:
        """Forget those that are kept."""
        from spacer_tasks.classifiers.loading import forget_classifiers

        forget_classifiers()


load_classifier = _LoadClassifier()

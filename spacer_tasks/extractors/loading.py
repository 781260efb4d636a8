"""One load of an extractor per process, whatever number of threads ask for it.

What is loaded stays loaded, known by its name, options and files. A file is known by the SHA-256
that the message gives; without one, by its storage's version, which is looked up again after
`RECHECK_S`: a message without hashes costs no request per image, and a file that was replaced is
taken up within that time.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections import OrderedDict
from concurrent.futures import Future
from contextlib import ExitStack
from threading import Lock

from spacer_tasks import storage
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import ConfigError, MessageError, SpacerError
from spacer_tasks.extractors.base import Extractor, Options
from spacer_tasks.extractors.files.weights import ExtractorFile, OpenedFile, load_file, open_file
from spacer_tasks.messages.specs import ExtractorSpec, options_of
from spacer_tasks.registry import canonical_name, registered_class

log = logging.getLogger(__name__)

#: a site runs one extractor and, while it moves to another, two; each may take 0.6 GB
MAX_LOADED = 3
#: seconds; an operator who replaces a file expects it within minutes, images come several a second
RECHECK_S = 60.0


def load_extractor(spec: ExtractorSpec) -> Extractor:
    """The extractor that a message names, made at the first call and shared from then on.

    Raises
    ------
    UnknownExtractorError
        Nothing is registered under its name.
    MessageError
        An option or a data location is unknown or missing; the text names it.
    HashMismatchError, WeightsError
        A file is not the one that the message states, or not this extractor's.
    StorageError, StorageUnavailableError, ConfigError
        A file cannot be read, a setting does not fit this machine, or the extractor's own code
        does not work.
    """
    extractor_class = class_named(spec.class_path)
    return _LOADED.get(spec, extractor_class, check_spec(spec, extractor_class))


def class_named(name: str) -> type[Extractor]:
    """The class of an extractor by its name or an alias of it.

    Raises
    ------
    UnknownExtractorError
        Nothing is registered under it.
    ConfigError
        What is registered is no extractor, or cannot be imported.
    """
    found = registered_class("spacer_tasks.extractors", name)
    if not (isinstance(found, type) and issubclass(found, Extractor)):
        raise ConfigError(
            f"extractor {name}: {found!r} is registered, expected a subclass of"
            " spacer_tasks.extractors.Extractor"
        )
    return found


def forget_extractors() -> None:
    """Load anew from now on: after the settings changed."""
    _LOADED.clear()


def check_spec(spec: ExtractorSpec, extractor_class: type[Extractor]) -> Options:
    """The options in a message, once it has all files that the extractor takes and no others.

    Raises
    ------
    MessageError
        An option or a data location is unknown, malformed or missing; the text names it.
    """
    keys = set(extractor_class.file_keys)
    for found, what in (
        (spec.data_locations, "data location"),
        # a hash that belongs to no file would check nothing
        (spec.data_hashes, "data hash"),
    ):
        unknown = sorted(set(found) - keys)
        if unknown:
            raise MessageError(
                f"extractor {spec.class_path}: unknown {what} {', '.join(unknown)};"
                f" it takes {', '.join(sorted(keys)) or 'none'}"
            )
    options = options_of(spec, extractor_class.options_type, "extractor")
    missing = sorted(keys - set(spec.data_locations))
    if missing:
        raise MessageError(
            f"extractor {spec.class_path}: data_locations lacks {', '.join(missing)}"
        )
    return options


class _Loaded:
    """Extractors by key, the longest unused one dropped when there are too many."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._extractors: OrderedDict[str, Future[Extractor]] = OrderedDict()
        self._versions: dict[DataLocation, tuple[float, str | None]] = {}

    def get(
        self, spec: ExtractorSpec, extractor_class: type[Extractor], options: Options
    ) -> Extractor:
        key = self._key(spec)
        with self._lock:
            future = self._extractors.get(key)
            first = future is None
            if future is None:
                future = self._extractors[key] = Future()
            self._extractors.move_to_end(key)
            dropped = len(self._extractors) - MAX_LOADED
            for _ in range(dropped):
                self._extractors.popitem(last=False)
        if first:
            try:
                if dropped > 0:
                    # a device that is lost fails here, too
                    _release_memory()
                future.set_result(_load(spec, extractor_class, options))
            except BaseException as error:
                # who waits gets the same error; who comes later tries again
                with self._lock:
                    if self._extractors.get(key) is future:
                        del self._extractors[key]
                future.set_exception(error)
                raise
        return future.result()

    def clear(self) -> None:
        with self._lock:
            self._extractors.clear()
            self._versions.clear()

    def _key(self, spec: ExtractorSpec) -> str:
        files = {
            name: (loc.model_dump(), spec.data_hashes.get(name) or self._version(loc))
            for name, loc in spec.data_locations.items()
        }
        return json.dumps([canonical_name(spec.class_path), spec.options, files], sort_keys=True)

    def _version(self, loc: DataLocation) -> str | None:
        # a file's or a memory object's version is no request
        if not loc.is_remote:
            return storage.version(loc)
        now = time.monotonic()
        checked, version = self._versions.get(loc, (-RECHECK_S, None))
        if now - checked >= RECHECK_S:
            version = storage.version(loc)
            # a file that is not there may come at any moment
            if version is not None:
                self._versions[loc] = (now, version)
        return version


#: of this process
_LOADED = _Loaded()


def _release_memory() -> None:
    # where torch was not loaded there is nothing to release
    if "torch" in sys.modules:
        from spacer_tasks.extractors.runtime.cuda_network import release_memory

        release_memory()


def _load(spec: ExtractorSpec, extractor_class: type[Extractor], options: Options) -> Extractor:
    files: dict[str, ExtractorFile | OpenedFile] = {}
    with ExitStack() as opened:
        for name, loc in spec.data_locations.items():
            sha256 = spec.data_hashes.get(name)
            if name in extractor_class.opened_keys:
                file = files[name] = open_file(loc, sha256)
                opened.enter_context(file.stream)
            else:
                files[name] = load_file(loc, sha256)
        return _made(extractor_class, canonical_name(spec.class_path), files, options)


def _made(
    extractor_class: type[Extractor],
    name: str,
    files: dict[str, ExtractorFile | OpenedFile],
    options: Options,
) -> Extractor:
    """The extractor; what its code may raise is an error that names it."""
    try:
        try:
            return extractor_class.made(name, files, options)
        except RuntimeError:
            # imported here: extractors without a network need no torch
            from spacer_tasks.extractors.runtime.devices import device_errors

            with device_errors():
                raise
    except (SpacerError, OSError, MemoryError):
        raise
    # an installed package's code: it may raise anything, and an exit would end the worker
    except (Exception, SystemExit) as error:
        log.info("extractor %s cannot be made", name, exc_info=True)
        kind = extractor_class
        raise ConfigError(
            f"extractor {name}: {kind.__module__}.{kind.__qualname__} does not work, with patches"
            f" of {kind.crop_size} × {kind.crop_size}: {type(error).__name__}: {error}"
        ) from error

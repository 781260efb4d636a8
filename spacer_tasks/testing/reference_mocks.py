"""What a site's test puts in place of the reference's functions is called in place of ours.

CoralNet's tests replace functions of `spacer.tasks`, so that an extraction fails as they want, and
`URLStorage.load` of `spacer.storage`, so that an image need not be downloaded. Its jobs are run by
this package, which does not call those functions: so the replacement is looked for, and put into
`operations` and the storage while a job runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from inspect import signature
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any
from unittest import mock

from spacer_tasks import storage
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.messages.parsing import parse
from spacer_tasks.messages.tasks import (
    Answer,
    ClassifyReturnMsg,
    ExtractFeaturesReturnMsg,
    TaskMsg,
    TrainClassifierMsg,
    TrainClassifierReturnMsg,
)
from spacer_tasks.storage.base import Storage
from spacer_tasks.storage.url import URLStorage

if TYPE_CHECKING:
    from spacer_tasks.extractors import Photo

#: functions of `spacer.tasks` that take the message of a task, and what they answer
TASKS: dict[str, type[Answer]] = {
    "extract_features": ExtractFeaturesReturnMsg,
    "train_classifier": TrainClassifierReturnMsg,
    "classify_features": ClassifyReturnMsg,
    "classify_image": ClassifyReturnMsg,
}
#: one that takes a location and gives a PIL image
LOAD_IMAGE = "load_image"
#: others that the reference's tasks call; a replacement of one could not take effect here
NOT_CALLED = ("check_extract_inputs", "load_classifier", "preprocess_labels", "store_classifier")

_CACHED = type(lru_cache(len))


@contextmanager
def mocks_of_the_reference() -> Iterator[None]:
    """Within the block, what replaces functions of the reference now is called in place of ours.

    Raises
    ------
    RuntimeError
        A function is replaced that has no counterpart here.
    """
    with ExitStack() as stack:
        if (tasks := sys.modules.get("spacer.tasks")) is not None:
            stack.enter_context(_tasks_of(tasks))
        if (downloads := sys.modules.get("spacer.storage")) is not None:
            stack.enter_context(_downloads_of(downloads))
        yield


@contextmanager
def _tasks_of(theirs: ModuleType) -> Iterator[None]:
    for name in NOT_CALLED:
        if _replaced(getattr(theirs, name, None)):
            raise RuntimeError(
                f"spacer.tasks.{name} is replaced, and jobs in this process never call it; what can"
                f" be replaced is {', '.join((*TASKS, LOAD_IMAGE))}"
            )
    names = [name for name in (*TASKS, LOAD_IMAGE) if _replaced(getattr(theirs, name, None))]
    if not names:
        yield
        return
    # what a base install lacks
    from spacer_tasks import operations

    instead: dict[str, Any] = {}
    for name in names:
        if name == LOAD_IMAGE:
            instead["_photo"] = _photo_by(theirs.load_image)
            # of an image that is nowhere
            instead["_origin"] = lambda *_: {}
        else:
            instead[name] = _task_by(theirs, name)
    if "classify_features" in instead:
        scored = instead["classify_features"]
        instead["classify_many"] = lambda messages: map(scored, messages)
    with mock.patch.multiple(operations, **instead):
        yield


@contextmanager
def _downloads_of(theirs: ModuleType) -> Iterator[None]:
    if not _replaced(getattr(getattr(theirs, "URLStorage", None), "load", None)):
        yield
        return

    ours = storage.storage_for

    def storage_for(loc: DataLocation, *, to_write: bool = False) -> tuple[Storage, str]:
        # before it is asked whether the URL is one, and may be read: nothing is downloaded
        if loc.storage_type == "url" and not to_write:
            return _Downloads(theirs.URLStorage()), loc.key
        return ours(loc, to_write=to_write)

    with mock.patch.object(storage, "storage_for", storage_for):
        yield


class _Downloads(URLStorage):
    """By a storage of the reference's whose `load` is replaced."""

    def __init__(self, theirs: Any) -> None:
        self._theirs = theirs

    def load(self, key: str) -> bytes:
        stream = self._theirs.load(key)
        # one that was written to stands at its end
        stream.seek(0)
        data: bytes = stream.read()
        return data

    def version(self, key: str) -> str | None:
        return None


def _replaced(function: Any) -> bool:
    if function is None:
        return False
    if isinstance(function, _CACHED):
        # the reference's own, which it keeps the results of
        function = function.__wrapped__
    # a mock with `autospec` is a function, and may say that it is of the same module
    return (
        not isinstance(function, FunctionType)
        or not str(function.__module__).startswith("spacer.")
        or hasattr(function, "mock")
    )


def _task_by(theirs: ModuleType, name: str) -> Callable[..., Answer]:
    def run(msg: TaskMsg, *_: Any) -> Answer:
        from spacer import messages

        if isinstance(msg, TrainClassifierMsg):
            # the reference does not know this field
            msg = msg.model_copy(update={"classifier_format": "spacer"})
        cls = getattr(messages, type(msg).__name__)
        data = msg.to_wire()
        if "trainer" in data and "trainer_name" in signature(cls).parameters:
            # 0.13 has one trainer, without options
            data["trainer_name"] = "minibatch"
            del data["trainer"]
        return parse(TASKS[name], getattr(theirs, name)(cls.deserialize(data)))

    return run


def _photo_by(load_image: Callable[[Any], Any]) -> Callable[[DataLocation], tuple[Photo, None]]:
    def photo(image_loc: DataLocation) -> tuple[Photo, None]:
        import numpy as np
        from spacer import data_classes

        from spacer_tasks.extractors import Photo

        given = data_classes.DataLocation.deserialize(image_loc.model_dump())
        return Photo(np.asarray(load_image(given).convert("RGB")), incomplete=None), None

    return photo

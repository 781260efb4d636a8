"""What a site's test puts in place of the reference's functions is called in place of ours.

CoralNet's tests replace functions of `spacer.tasks`, so that an extraction fails as they want, or
an image need not be downloaded. Its jobs are run by this package, which does not call those
functions: so the replacement is looked for, and put into `operations` while a job runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any
from unittest import mock

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


@contextmanager
def mocks_of_the_reference() -> Iterator[None]:
    """Within the block, `operations` calls what replaces functions of `spacer.tasks` now."""
    theirs = sys.modules.get("spacer.tasks")
    names = [name for name in (*TASKS, LOAD_IMAGE) if _replaced(getattr(theirs, name, None))]
    if theirs is None or not names:
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
    with ExitStack() as stack:
        stack.enter_context(mock.patch.multiple(operations, **instead))
        yield


def _replaced(function: Any) -> bool:
    if function is None:
        return False
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
        given = getattr(messages, type(msg).__name__).deserialize(msg.to_wire())
        return parse(TASKS[name], getattr(theirs, name)(given))

    return run


def _photo_by(load_image: Callable[[Any], Any]) -> Callable[[DataLocation], tuple[Photo, None]]:
    def photo(image_loc: DataLocation) -> tuple[Photo, None]:
        import numpy as np
        from spacer import data_classes

        from spacer_tasks.extractors import Photo

        given = data_classes.DataLocation.deserialize(image_loc.model_dump())
        return Photo(np.asarray(load_image(given).convert("RGB")), incomplete=None), None

    return photo

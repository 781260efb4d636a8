"""Where a training stands after an epoch, kept so that another worker can go on from there.

A checkpoint is a safetensors file, with no code in it: the learner's arrays, the accuracies so far,
the state of the random numbers, and a description of the training that it is of. It is written
whole, and removed when the training has ended.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from spacer_tasks import storage
from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import ObjectNotFoundError, SpacerError
from spacer_tasks.version import __version__

logger = logging.getLogger(__name__)

Arrays = dict[str, NDArray[Any]]
#: names of what is not the learner's
ABOUT, ACCURACIES, KEYS, PLACE = "about", "ref_accs", "random.keys", "random.place"


@dataclass(frozen=True)
class Standing:
    """Where a training stands after some epochs.

    Attributes
    ----------
    ref_accs
        Accuracy on the reference set after each epoch so far.
    learner
        The learner's arrays.
    random
        The generator that goes through the whole training, where there is one.
    """

    ref_accs: list[float]
    learner: Arrays
    random: np.random.RandomState | None = None


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoint of one training.

    Attributes
    ----------
    loc
        Where it is kept.
    check
        Raises if the training is another worker's by now: before something is stored.
    saved
        Called after each checkpoint.
    about
        What the training is, by which a checkpoint of another one is told.
    """

    loc: DataLocation
    check: Callable[[], None] = lambda: None
    saved: Callable[[], None] = lambda: None
    about: str = ""

    def part(self, number: int) -> Checkpoints:
        """Those of one training of several in a task."""
        return replace(self, loc=self.loc.joined(f"{number}.safetensors"))

    def of(self, *training: Any) -> Checkpoints:
        """Those of a training that is described so, by values that JSON can hold."""
        text = json.dumps([__version__, *training], sort_keys=True, default=str)
        return replace(self, about=hashlib.sha256(text.encode()).hexdigest())

    def load(self) -> Standing | None:
        """Where the training stands; None at its beginning.

        Raises
        ------
        StorageUnavailableError
            The storage did not answer.
        """
        try:
            data = storage.load(self.loc)
        except ObjectNotFoundError:
            return None
        try:
            standing = _read(data, self.about)
        except (SafetensorError, KeyError, ValueError, TypeError) as error:
            logger.warning("%s is no checkpoint that can be used: %s", self.loc, error)
            return None
        if standing is None:
            logger.warning("%s is of another training: it begins anew", self.loc)
        else:
            logger.info("%s: %d epochs are done", self.loc, len(standing.ref_accs))
        return standing

    def save(self, standing: Standing) -> None:
        """Keep where the training stands. A storage that fails costs the checkpoint only."""
        self.check()
        arrays = {**standing.learner, ACCURACIES: np.array(standing.ref_accs, np.float64)}
        if standing.random is not None:
            _, keys, position, has_gauss, gauss = standing.random.get_state(legacy=True)
            arrays[KEYS] = np.asarray(keys)
            arrays[PLACE] = np.array([position, has_gauss, gauss], np.float64)
        whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        try:
            storage.store(self.loc, save(whole, metadata={ABOUT: self.about}))
        except SpacerError as error:
            logger.warning("no checkpoint after epoch %d: %s", len(standing.ref_accs), error)
        else:
            self.saved()

    def remove(self) -> None:
        """The training has ended."""
        try:
            storage.delete(self.loc)
        except SpacerError as error:
            logger.warning("a checkpoint is left behind: %s", error)


class Interval:
    """Tells when the next checkpoint is due, so that short trainings make none."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether the last one, or the beginning, is long enough ago."""
        now = time.monotonic()
        if now - self._last < get_settings().checkpoint_every_s:
            return False
        self._last = now
        return True


def _read(data: bytes, about: str) -> Standing | None:
    # the library reads the header's own words from files only; they stand behind its length
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    if header["__metadata__"][ABOUT] != about:
        return None
    arrays = load(data)
    accuracies = arrays.pop(ACCURACIES).tolist()
    random = None
    if KEYS in arrays:
        position, has_gauss, gauss = arrays.pop(PLACE).tolist()
        random = np.random.RandomState()
        random.set_state(("MT19937", arrays.pop(KEYS), int(position), int(has_gauss), gauss))
    return Standing(accuracies, arrays, random)

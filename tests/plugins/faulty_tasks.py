"""Tasks that take long, hang, eat memory or kill their worker, for workers of the tests.

Installed as any package that brings an extractor or a trainer: this folder is on a test worker's
path, and its entry points name them.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from spacer_tasks.extractors.base import Extractor
from spacer_tasks.extractors.weights import ExtractorFile
from spacer_tasks.training.minibatch import MiniBatchTrainer

#: what "grow" takes: more than a worker of the tests has in all
GROWTH = 600 * 2**20
_GROWN: list[bytearray] = []


def begun(folder: str) -> int:
    """Note in the folder that a task began, and by whom. How many began before."""
    before = len(list(Path(folder).iterdir()))
    (Path(folder) / f"{time.time():.3f}-{os.getpid()}-{threading.get_ident()}").touch()
    return before


def misbehave(fault: str) -> None:
    """Do it."""
    if fault.startswith("sleep"):
        time.sleep(float(fault.removeprefix("sleep ")))
    elif fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault == "grow":
        _GROWN.append(bytearray(GROWTH))


class FaultyExtractor(Extractor):
    """Misbehaves in the first `times` tasks; then gives vectors of zeros."""

    option_names: ClassVar[frozenset[str]] = frozenset({"fault", "times", "folder"})

    def __init__(
        self, name: str, files: Mapping[str, ExtractorFile], fault: str, times: int, folder: str
    ) -> None:
        super().__init__(name, files, fault=fault, times=times, folder=folder)
        self._fault, self._times, self._folder = fault, times, folder

    @property
    def feature_dim(self) -> int:
        return 4

    def forward(self, patches: Any) -> Any:
        if begun(self._folder) < self._times:
            misbehave(self._fault)
        return np.zeros((len(patches), 4), np.float32)


class FaultyTrainer(MiniBatchTrainer):
    """Waits after each epoch, which it notes; misbehaves after an epoch, the first time."""

    folder: str
    epoch_s: float = 0
    fault: str = ""
    fault_epoch: int = 0

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        first = begun(self.folder) == 0
        *others, on_epoch = args[:6]

        def told(done: int, total: int, accuracy: float) -> None:
            name = f"epoch-{done}-{time.time():.3f}-{os.getpid()}"
            (Path(self.folder).parent / f"{Path(self.folder).name}-epochs" / name).touch()
            if on_epoch:
                on_epoch(done, total, accuracy)
            time.sleep(self.epoch_s)
            if done == self.fault_epoch and first:
                misbehave(self.fault)

        return super().fit(*others, told, **kwargs)

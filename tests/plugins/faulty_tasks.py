"""Tasks that take long, hang, eat memory or kill their worker, for workers of the tests.

Installed as any package that brings an extractor or a trainer: this folder is on a test worker's
path, and its entry points name them.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from spacer_tasks.concurrency import device_watch
from spacer_tasks.concurrency.decoding import decoding
from spacer_tasks.exceptions import DeviceLostError
from spacer_tasks.extractors import Extractor, Options
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
    elif fault.startswith("kill"):
        # so long after its start
        time.sleep(float(fault.removeprefix("kill") or 0))
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault == "grow":
        _GROWN.append(bytearray(GROWTH))
    elif fault == "hold":
        # a loop in C that never gives the interpreter back, and no signal ends
        re.match("(?:a+)+$", "a" * 60 + "b")
    elif fault == "decode":
        with decoding():
            time.sleep(3600)
    elif fault == "lose":
        # as after an assertion on the GPU: it was found not to answer
        device_watch.lose("simulated")
        raise DeviceLostError("simulated")


class FaultyOptions(Options):
    """What to do, how often, and where to note it."""

    fault: str
    times: int
    folder: str


class FaultyExtractor(Extractor):
    """Misbehaves in the first `times` tasks; then gives vectors of zeros."""

    options_type: ClassVar[type[Options]] = FaultyOptions
    options: FaultyOptions

    @property
    def feature_dim(self) -> int:
        return 4

    def forward(self, patches: Any) -> Any:
        if begun(self.options.folder) < self.options.times:
            misbehave(self.options.fault)
        return np.zeros((len(patches), 4), np.float32)


class FaultyTrainer(MiniBatchTrainer):
    """Waits after each epoch, which it notes; misbehaves after one of them in the first starts,
    or after each so many of them."""

    folder: str
    epoch_s: float = 0
    fault: str = ""
    fault_epoch: int = 0
    fault_every: int = 0
    times: int = 1

    def fit(
        self,
        train: Any,
        ref: Any,
        classes: Any,
        nbr_epochs: int,
        clf_type: Any,
        on_epoch: Any = None,
        checkpoints: Any = None,
    ) -> Any:
        before = begun(self.folder)
        if not (self.fault_epoch or self.fault_every) and before < self.times:
            misbehave(self.fault)

        def told(done: int, total: int, accuracy: float) -> None:
            (Path(self.folder + "-epochs") / f"{done}-{time.time():.3f}-{os.getpid()}").touch()
            if on_epoch:
                on_epoch(done, total, accuracy)
            time.sleep(self.epoch_s)
            if done % (self.fault_every or total + 1) == 0:
                misbehave(self.fault)
            if done == self.fault_epoch and before < self.times:
                misbehave(self.fault)

        return super().fit(train, ref, classes, nbr_epochs, clf_type, told, checkpoints)

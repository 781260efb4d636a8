"""Run a net in Caffe itself, through its Python interface.

No index of Python packages has Caffe (the package of its name is empty): docs/caffe.md says how to
compile it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import UnsupportedOperation
from threading import Lock
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from spacer_tasks.exceptions import ConfigError


class CaffeRuntime:
    """A net in Caffe, on the CPU. A call waits for the one before it: a net has one set of blobs.

    Parameters
    ----------
    definition, weights
        The open files. Caffe ends the process over files that it cannot take: check them before.

    Raises
    ------
    ConfigError
        Caffe cannot be imported.
    """

    def __init__(self, definition: BinaryIO, weights: BinaryIO) -> None:
        self._caffe = _caffe()
        self._lock = Lock()
        self._caffe.set_mode_cpu()
        with _path(definition) as definition_path, _path(weights) as weights_path:
            self._net = self._caffe.Net(definition_path, weights_path, self._caffe.TEST)
        (self._input,) = self._net.inputs

    def __call__(self, batch: NDArray[np.float32], blob: str) -> NDArray[np.float32]:
        """A blob's content after the net has run on a batch, whatever batch size its file says."""
        with self._lock:
            # the mode is each thread's own
            self._caffe.set_mode_cpu()
            given = self._net.blobs[self._input]
            if given.data.shape != batch.shape:
                given.reshape(*batch.shape)
                self._net.reshape()
            given.data[...] = batch
            self._net.forward()
            # the next run writes to the same memory
            return np.array(self._net.blobs[blob].data, dtype=np.float32)


def _caffe() -> Any:
    try:
        import caffe
    except ImportError as error:
        raise ConfigError(
            f"SPACER_CAFFE_RUNTIME is caffe, which cannot be imported ({error}); leave it out to"
            " run such nets without Caffe"
        ) from error
    if not hasattr(caffe, "Net"):
        raise ConfigError(
            "SPACER_CAFFE_RUNTIME is caffe, but the installed package `caffe` is not Caffe: it has"
            " no Net"
        )
    return caffe


@contextmanager
def _path(stream: BinaryIO) -> Iterator[str]:
    """A path by which Caffe opens the very file that is open here, which was checked."""
    try:
        yield f"/proc/self/fd/{stream.fileno()}"
    except UnsupportedOperation:
        # in memory
        with tempfile.NamedTemporaryFile() as copy:
            stream.seek(0)
            copy.write(stream.read())
            copy.flush()
            yield copy.name

"""Run an ONNX model over patches on the CPU's cores with ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import ceil

import numpy as np
from numpy.typing import NDArray

# ONNX Runtime 1.32 sends its maker reports of use unless this is set before it is imported
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

#: patches of one run on one thread: measured best of 1 to 64, its layers' outputs stay in cache
PATCHES_A_RUN = 4
#: of ONNX Runtime's log: errors, which are also raised
ERRORS_ONLY = 3


class OnnxNetwork:
    """A model whose one input is uint8 patches and whose one output is float32 vectors.

    A run takes one thread; patches are spread over threads instead, which is faster than several
    threads in one layer (measured on two cores: 170 patches a second beside 130). So this starts
    no threads of its own that would wait, spinning, beside those of other callers.

    Parameters
    ----------
    model
        A serialized ONNX model.
    threads
        How many threads one call takes, asked at each call.
    """

    def __init__(self, model: bytes, threads: Callable[[], int]) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = ERRORS_ONLY
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name
        self._threads = threads

    def __call__(self, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Vectors, float32 (n, dimensions), of patches, uint8 (n, rows, columns, 3)."""
        threads = max(1, min(self._threads(), len(patches)))
        # each thread gets as many runs as the others, of nearly the same size
        runs = max(1, threads * ceil(len(patches) / (threads * PATCHES_A_RUN)))
        parts = np.array_split(patches, min(runs, max(1, len(patches))))
        if threads == 1:
            vectors = [self._run(part) for part in parts]
        else:
            with ThreadPoolExecutor(threads) as pool:
                vectors = list(pool.map(self._run, parts))
        return np.concatenate(vectors)

    def _run(self, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        vectors: NDArray[np.float32] = self._session.run(None, {self._input: patches})[0]
        return vectors

"""Run an ONNX model over patches with ONNX Runtime: on the CPU's cores, or on a GPU."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import ceil

import numpy as np
from numpy.typing import NDArray

# ONNX Runtime 1.32 sends its maker reports of use unless this is set before it is imported
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

from spacer_tasks.concurrency.device_watch import running_pass
from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import ConfigError

log = logging.getLogger(__name__)

#: patches of one run on one thread: measured best of 1 to 64, its layers' outputs stay in cache
PATCHES_A_RUN = 4
#: of ONNX Runtime's log: errors, which are also raised
ERRORS_ONLY = 3
CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"


def session_of(
    model: bytes, *, on_cuda: bool = False, keep_memory: bool = True
) -> onnxruntime.InferenceSession:
    """A session of one thread.

    Parameters
    ----------
    model
        Serialized. It names no other file: a runtime would look for one in the working directory.
    on_cuda
        Whether it runs on a GPU, in float32 without TF32.
    keep_memory
        Whether memory of a run is kept for the next one.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    options.enable_cpu_mem_arena = keep_memory
    providers = [(CUDA, {"use_tf32": "0"}), CPU] if on_cuda else [CPU]
    return onnxruntime.InferenceSession(model, options, providers=providers)


def runs_on_cuda(name: str) -> bool:
    """Whether the settings and what is installed have ONNX files run on a GPU.

    Raises
    ------
    ConfigError
        A GPU is asked for, and ONNX Runtime has no provider for it.
    """
    wanted = get_settings().device
    if wanted == "cpu" or CUDA in onnxruntime.get_available_providers():
        return wanted != "cpu"
    if wanted == "cuda":
        raise ConfigError(
            f"SPACER_DEVICE is cuda, and {name} runs in ONNX Runtime, which has no CUDA provider"
            " here; install onnxruntime-gpu in place of onnxruntime, or set it to cpu or auto"
        )
    import torch

    if torch.cuda.is_available():
        log.warning(
            "%s runs on the CPU: ONNX Runtime has no CUDA provider here; onnxruntime-gpu, in place"
            " of onnxruntime, has it",
            name,
        )
    return False


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
    a_run
        Patches of a run on one thread, at most.
    """

    def __init__(
        self, model: bytes, threads: Callable[[], int], a_run: int = PATCHES_A_RUN
    ) -> None:
        self._session = session_of(model)
        self._input = self._session.get_inputs()[0].name
        self._threads = threads
        self._a_run = a_run

    def __call__(self, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Vectors, float32 (n, dimensions), of patches, uint8 (n, rows, columns, 3)."""
        threads = max(1, min(self._threads(), len(patches)))
        # each thread gets as many runs as the others, of nearly the same size
        runs = max(1, threads * ceil(len(patches) / (threads * self._a_run)))
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


class CudaOnnxNetwork:
    """The same on a GPU, one pass at a time.

    Parameters
    ----------
    model
        A serialized ONNX model.
    a_run
        Patches of a pass, at most.

    Raises
    ------
    ConfigError
        The provider for CUDA does not start.
    """

    def __init__(self, model: bytes, a_run: int) -> None:
        self._session = session_of(model, on_cuda=True)
        # it goes on without what does not start
        if self._session.get_providers()[0] != CUDA:
            raise ConfigError(
                "ONNX Runtime's CUDA provider does not start: its version and those of CUDA and"
                " cuDNN may not fit; SPACER_DEVICE=cpu goes without it"
            )
        self._input = self._session.get_inputs()[0].name
        self._a_run = a_run

    def __call__(self, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        """As `OnnxNetwork`."""
        starts = range(0, max(1, len(patches)), self._a_run)
        with running_pass():
            return np.concatenate(
                [
                    self._session.run(None, {self._input: patches[at : at + self._a_run]})[0]
                    for at in starts
                ]
            )

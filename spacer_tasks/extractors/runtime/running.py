"""What runs a torch network over patches, as the settings and the machine have it.

On a GPU: torch, by CUDA graphs. On a CPU: ONNX Runtime, unless a setting, a precision or the
network itself is against it; else torch. Every network is tried on a few patches first: what it
gives must be one vector for each, of numbers, and depend on no other patch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spacer_tasks.concurrency.device_counts import counted_pass
from spacer_tasks.concurrency.device_watch import running_pass
from spacer_tasks.concurrency.one_thread import one_torch_thread
from spacer_tasks.config.settings import Precision, get_settings
from spacer_tasks.exceptions import ConfigError, WeightsError
from spacer_tasks.extractors.preprocessing import Preprocessing
from spacer_tasks.extractors.runtime.cuda_network import CudaNetwork
from spacer_tasks.extractors.runtime.devices import allow_tf32, chosen_device, device_errors
from spacer_tasks.extractors.runtime.float32_again import Float32Again
from spacer_tasks.extractors.runtime.micro_batcher import IN_FLIGHT, Forward
from spacer_tasks.extractors.runtime.patch_network import PatchNetwork
from spacer_tasks.extractors.runtime.precision import DTYPES, is_taken, sample_patches, usable

log = logging.getLogger(__name__)

#: patches of one pass in torch: beyond 10 a CPU is no faster, and its caches hold no more
CPU_BATCH = 10
#: patches handed to ONNX Runtime, which takes few of them at a time: 15 MB of bytes
ONNX_BATCH = 100
#: of the vector of a patch, in ONNX Runtime beside torch, or alone beside with others
MAX_RELATIVE_ERROR = 1e-4
#: patches that a network is tried on in torch
TRIED = 2


#: the network's own ONNX model, if it has one
OwnModel = Callable[[nn.Module], "bytes | None"]


class Runner(NamedTuple):
    """What computes vectors of patches, and what is known of it."""

    #: patches, uint8 (n, size, size, 3), to vectors, float32 (n, feature_dim); for several threads
    forward: Forward
    feature_dim: int
    #: patches of a call at most
    batch_size: int
    precision: Precision = "float32"
    #: whether a pass over the patches of several images takes little more time than over one's
    merges: bool = False
    #: whether what is not finite in this precision is computed again in float32
    tries_float32: bool = False


def runner_of(
    network: nn.Module,
    preprocessing: Preprocessing,
    size: int,
    name: str,
    *,
    dimensions: int | None = None,
    in_onnx_runtime: bool = True,
    own_model: OwnModel | None = None,
) -> Runner:
    """What runs a network.

    Parameters
    ----------
    network
        As `TorchExtractor.network` gives it.
    size
        Rows and columns of a patch.
    name
        The extractor's, for errors.
    dimensions
        How many numbers its vectors have, where it is known to give one for each patch alone; then
        it is not tried.
    in_onnx_runtime
        Whether a CPU may run it there.
    own_model
        As `TorchExtractor.onnx_model`; without it, and where it gives None, an ONNX model is made
        of what the network runs.

    Raises
    ------
    ConfigError
        A setting asks for a device, runtime or precision that there is not for this network.
    WeightsError
        It gives numbers that are not finite.
    ValueError
        It does not give one vector for each patch, or one that depends on other patches.
    """
    if not isinstance(network, nn.Module):
        raise TypeError(f"`network` gives a {type(network).__name__}, expected a torch module")
    settings, device = get_settings(), chosen_device()
    network.eval().requires_grad_(False)
    # for convolutions of single channels in float32, cuDNN compiles a kernel for each shape of
    # `channels_last`, which takes 15 s and gives slower ones than torch's own
    layout = torch.contiguous_format if device.type == "cuda" else torch.channels_last
    exact = PatchNetwork(network, preprocessing, layout=layout)
    precision = usable(settings.precision, device)
    if device.type == "cpu" and in_onnx_runtime and settings.cpu_runtime != "torch":
        if precision == "float32":
            runner = _in_onnx_runtime(exact, size, name, own_model)
            if runner is not None:
                return runner
        elif settings.cpu_runtime == "onnxruntime":
            raise ConfigError(
                f"SPACER_CPU_RUNTIME is onnxruntime, which does not compute in {precision};"
                " set SPACER_PRECISION to float32, or the runtime to auto"
            )
    if device.type != "cuda":
        if dimensions is None:
            dimensions = tried(partial(run_in_torch, exact, device), size, name)
        used, precision = _in_precision(exact, preprocessing, precision, device, size)
        in_torch = partial(run_in_torch, used, device)
        tries, forward = _with_float32(in_torch, exact, precision, device, name)
        forward = _any_number(forward, dimensions)
        return Runner(forward, dimensions, CPU_BATCH, precision, tries_float32=tries)
    batch = settings.gpu_batch_patches
    try:
        exact.to(device)
        # torch has TF32 on for convolutions
        allow_tf32(False)
        if dimensions is None:
            dimensions = tried(partial(run_in_torch, exact, device), size, name)
        used, precision = _in_precision(exact, preprocessing, precision, device, size)
    finally:
        # of all networks of the process
        allow_tf32(settings.precision == "tf32")
    on_card = CudaNetwork(used, device, size, batch, lanes=IN_FLIGHT)
    tries, forward = _with_float32(on_card, exact, precision, device, name)
    return Runner(forward, dimensions, batch, precision, merges=True, tries_float32=tries)


def run_in_torch(
    network: Callable[[Tensor], Tensor], device: torch.device, patches: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """A pass of a network from patches to vectors, step by step.

    Errors of the device are those of `device_errors`, and the watchdog sees how long it takes.
    """
    is_watched = device.type == "cuda"
    watched = running_pass() if is_watched else nullcontext()
    counted = counted_pass(len(patches)) if is_watched else nullcontext()
    with watched, counted, device_errors(), torch.inference_mode():
        # bytes cross to the device, four times fewer than floats
        vectors: NDArray[np.float32] = network(torch.from_numpy(patches).to(device)).cpu().numpy()
    return vectors


def _in_onnx_runtime(
    network: PatchNetwork, size: int, name: str, own_model: OwnModel | None
) -> Runner | None:
    """The network in ONNX Runtime; None, and a warning, where that cannot be."""
    is_wanted = get_settings().cpu_runtime == "onnxruntime"
    try:
        from spacer_tasks.extractors.export.model import onnx_model
        from spacer_tasks.extractors.export.recording import MOST, NotExportableError
        from spacer_tasks.extractors.runtime.onnx_network import OnnxNetwork
    except ImportError as error:
        if is_wanted:
            raise ConfigError(
                f"SPACER_CPU_RUNTIME is onnxruntime, which cannot be imported ({error});"
                " install onnxruntime and onnx, or set it to torch"
            ) from error
        log.warning("onnxruntime cannot be imported (%s): the network runs in torch, slower", error)
        return None
    try:
        model = own_model(network.network) if own_model is not None else None
        patches = sample_patches(size, MOST if model is None else TRIED)
        with one_torch_thread():
            if model is None:
                model, expected = onnx_model(network, patches)
            else:
                expected = run_in_torch(network, torch.device("cpu"), patches)
        _check_finite(expected, name)
        # a worker tells torch how many threads each of its tasks may take
        forward = OnnxNetwork(model, threads=torch.get_num_threads)
        # in torch it was with others, here it is alone
        last = len(expected) - 1
        _check_same(forward(patches[last : last + 1]), expected[last:])
    except NotExportableError as error:
        if is_wanted:
            raise ConfigError(
                f"SPACER_CPU_RUNTIME is onnxruntime, which cannot run the network of {name}:"
                f" {error}; set it to auto or torch"
            ) from error
        log.warning("%s runs in torch, slower than in ONNX Runtime: %s", name, error)
        return None
    return Runner(forward, expected.shape[1], ONNX_BATCH)


def _check_same(found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    from spacer_tasks.extractors.export.recording import NotExportableError

    error = _largest_error(found, expected)
    if error > MAX_RELATIVE_ERROR:
        raise NotExportableError(f"its vectors are off by {error:.1e} there")


def _in_precision(
    exact: PatchNetwork,
    preprocessing: Preprocessing,
    precision: Precision,
    device: torch.device,
    size: int,
) -> tuple[PatchNetwork, Precision]:
    """The network in this precision if its error allows it, else in float32; and which it is."""
    if precision == "float32":
        return exact, precision
    expected = run_in_torch(exact, device, sample_patches(size))
    # in this layout a GPU is fastest in all precisions but float32
    reduced = PatchNetwork(
        deepcopy(exact.network), preprocessing, DTYPES[precision], torch.channels_last
    ).to(device)
    allow_tf32(precision == "tf32")
    found = run_in_torch(reduced, device, sample_patches(size))
    if is_taken(precision, device, found, expected):
        return reduced, precision
    return exact, "float32"


def _with_float32(
    forward: Forward, exact: PatchNetwork, precision: Precision, device: torch.device, name: str
) -> tuple[bool, Forward]:
    """Whether float32 can hold more than this precision; then with a second try in it."""
    if DTYPES[precision] == torch.float32:
        return False, forward
    in_float32 = partial(run_in_torch, exact, device)
    return True, Float32Again(forward, in_float32, precision, name)


def tried(forward: Forward, size: int, name: str) -> int:
    """How many numbers its vectors have, once it is seen to give one for each patch alone.

    Raises
    ------
    WeightsError
        It gives numbers that are not finite.
    ValueError
        It does not give one vector for each patch, or one that depends on other patches.
    """
    patches = sample_patches(size, TRIED)
    together = forward(patches)
    if together.ndim != 2 or len(together) != TRIED:
        raise ValueError(
            f"{name}: the network gives an array of shape {together.shape} for {TRIED} patches,"
            f" expected ({TRIED}, dimensions)"
        )
    _check_finite(together, name)
    error = _largest_error(forward(patches[-1:]), together[-1:])
    if error > MAX_RELATIVE_ERROR:
        raise ValueError(
            f"{name}: the vector of a patch depends on the others in its pass (it is off by"
            f" {error:.1e} alone); a network must compute each by itself"
        )
    return int(together.shape[1])


def _check_finite(vectors: NDArray[np.float32], name: str) -> None:
    if not np.isfinite(vectors).all():
        raise WeightsError(
            f"{name}: the network gives numbers that are not finite; its weights are damaged, or"
            " not of this network"
        )


def _largest_error(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Relative L2 error of the worst vector; infinite where one is not of numbers."""
    off = np.linalg.norm(found.astype(np.float64) - expected, axis=1)
    lengths = np.linalg.norm(expected.astype(np.float64), axis=1)
    errors = off / np.maximum(lengths, np.finfo(np.float32).tiny)
    return float(np.where(np.isfinite(errors), errors, np.inf).max())


def _any_number(forward: Forward, dimensions: int) -> Forward:
    """The same, also for no patches, for which some layers are not made."""

    def run(patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        return forward(patches) if len(patches) else np.empty((0, dimensions), np.float32)

    return run

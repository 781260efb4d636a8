"""EfficientNet-B0 from the weights files in use: in ONNX Runtime on a CPU, else in torch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spacer_tasks.config.settings import Precision, get_settings
from spacer_tasks.exceptions import ConfigError, WeightsError
from spacer_tasks.extractors.base import Extractor
from spacer_tasks.extractors.efficientnet.network import FEATURE_DIM, EfficientNetB0
from spacer_tasks.extractors.files.state_dict import state_dict_of
from spacer_tasks.extractors.files.weights import ExtractorFile
from spacer_tasks.extractors.runtime.cuda_network import CudaNetwork
from spacer_tasks.extractors.runtime.devices import allow_tf32, chosen_device
from spacer_tasks.extractors.runtime.micro_batcher import IN_FLIGHT
from spacer_tasks.extractors.runtime.precision import DTYPES, is_taken, sample_patches, usable

log = logging.getLogger(__name__)

#: patches of one pass in torch: beyond 10 a CPU is no faster, and its caches hold no more
CPU_BATCH = 10
#: patches handed to ONNX Runtime, which takes few of them at a time: 15 MB of bytes
ONNX_BATCH = 100
#: not on the way to the features
CLASSIFICATION_LAYER = "_fc."
TRAINING_COUNTER = ".num_batches_tracked"
#: tensors at fault that an error names
SHOWN_FAULTS = 3


class EfficientNetExtractor(Extractor):
    """Features are the global average pool of EfficientNet-B0, 1280 numbers.

    Its one file, `weights`, is what `torch.save({"net": state_dict})` writes; with the prefix
    `module.` or without, and with whatever plain numbers beside `net`.

    Raises
    ------
    WeightsError
        The file is no such file, or its tensors are not of this network.
    ConfigError
        `SPACER_DEVICE` asks for CUDA and there is none, or `SPACER_CPU_RUNTIME` for ONNX Runtime
        where it is not installed.
    """

    file_keys: ClassVar[tuple[str, ...]] = ("weights",)

    def __init__(self, name: str, files: Mapping[str, ExtractorFile]) -> None:
        super().__init__(name, files)
        device = chosen_device()
        net = load_network(files["weights"].data, f"{name}: the file `weights`")
        precision = usable(get_settings().precision, device)
        onnx_network = None
        if device.type == "cpu" and precision == "float32":
            onnx_network = _in_onnx_runtime(net, self.crop_size)
        elif device.type == "cpu" and get_settings().cpu_runtime == "onnxruntime":
            raise ConfigError(
                f"SPACER_CPU_RUNTIME is onnxruntime, which does not compute in {precision};"
                " set SPACER_PRECISION to float32, or the runtime to auto"
            )
        if onnx_network is not None:
            self.batch_size = ONNX_BATCH
            self._features: Callable[[NDArray[np.uint8]], NDArray[np.float32]] = onnx_network
            return
        network, precision = _in_precision(net.to(device), precision, device)
        self.computes_in(precision)
        if device.type == "cuda":
            self.batch_size = get_settings().gpu_batch_patches
            self._features = CudaNetwork(
                network, device, self.crop_size, self.batch_size, lanes=IN_FLIGHT
            )
            self.merge_images()
        else:
            self.batch_size = CPU_BATCH
            self._features = partial(_run_in_torch, network, device)

    @property
    def feature_dim(self) -> int:
        return FEATURE_DIM

    def forward(self, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._features(patches)


def _in_precision(
    net: EfficientNetB0, precision: Precision, device: torch.device
) -> tuple[Callable[[Tensor], Tensor], Precision]:
    """The network in this precision if its error allows it, else in float32; and which it is."""
    # for convolutions of single channels in float32, cuDNN compiles a kernel for each shape of
    # `channels_last`, which takes 15 s and gives slower ones than torch's own
    layout = torch.contiguous_format if device.type == "cuda" else torch.channels_last
    exact = _from_bytes(net, torch.float32, layout)
    # torch has TF32 on for convolutions
    allow_tf32(False)
    if precision == "float32":
        return exact, precision
    expected = _run_in_torch(exact, device, sample_patches())
    reduced = _from_bytes(deepcopy(net), DTYPES[precision], torch.channels_last)
    allow_tf32(precision == "tf32")
    found = _run_in_torch(reduced, device, sample_patches())
    if is_taken(precision, device, found, expected):
        return reduced, precision
    return exact, "float32"


def _from_bytes(
    net: EfficientNetB0, dtype: torch.dtype, layout: torch.memory_format
) -> Callable[[Tensor], Tensor]:
    """From patches, uint8, to features, float32, on the device of the network, which is changed.

    The patches' own layout, (n, row, column, channel), is what torch calls channels_last.
    """
    # torch's stubs leave out this form of `to`
    net = net.to(dtype=dtype, memory_format=layout)  # type: ignore[call-overload]

    def features(patches: Tensor) -> Tensor:
        pixels = patches.permute(0, 3, 1, 2).to(torch.float32, memory_format=layout).div_(255)
        vectors: Tensor = net(pixels.to(dtype))
        return vectors.to(torch.float32)

    return features


def _run_in_torch(
    network: Callable[[Tensor], Tensor], device: torch.device, patches: NDArray[np.uint8]
) -> NDArray[np.float32]:
    with torch.inference_mode():
        # bytes cross to the device, four times fewer than floats
        vectors: NDArray[np.float32] = network(torch.from_numpy(patches).to(device)).cpu().numpy()
    return vectors


def _in_onnx_runtime(net: EfficientNetB0, size: int) -> Callable[..., NDArray[np.float32]] | None:
    """The network in ONNX Runtime, unless the setting or what is installed says torch."""
    wanted = get_settings().cpu_runtime
    if wanted == "torch":
        return None
    try:
        from spacer_tasks.extractors.efficientnet.onnx_graph import onnx_model
        from spacer_tasks.extractors.runtime.onnx_network import OnnxNetwork
    except ImportError as error:
        if wanted == "onnxruntime":
            raise ConfigError(
                f"SPACER_CPU_RUNTIME is onnxruntime, which cannot be imported ({error});"
                " install onnxruntime and onnx, or set it to torch"
            ) from error
        log.warning("onnxruntime cannot be imported (%s): the network runs in torch, slower", error)
        return None
    # a worker tells torch how many threads each of its tasks may take
    return OnnxNetwork(onnx_model(net, size), threads=torch.get_num_threads)


def load_network(data: bytes, name: str) -> EfficientNetB0:
    """The network of a weights file, its batch norms folded, on the CPU in float32."""
    # on the device "meta" nothing is allocated and filled only to be replaced
    with torch.device("meta"):
        net = EfficientNetB0()
    tensors = _tensors(data, name)
    expected = {key: t.shape for key, t in net.state_dict().items() if not _is_unused(key)}
    _check(tensors, expected, name)
    net.load_state_dict(
        {key: tensor.to(torch.float32) for key, tensor in tensors.items()},
        strict=False,
        assign=True,
    )
    net.requires_grad_(False)
    net.fold_batch_norm()
    # torch's stubs leave out this form of `to`
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _tensors(data: bytes, name: str) -> dict[str, Any]:
    """The used entries of the state dict, by the names that the network has for them."""
    return {key: value for key, value in state_dict_of(data, name).items() if not _is_unused(key)}


def _is_unused(key: str) -> bool:
    return key.startswith(CLASSIFICATION_LAYER) or key.endswith(TRAINING_COUNTER)


def _check(tensors: Mapping[str, Any], expected: Mapping[str, torch.Size], name: str) -> None:
    faults = [f"{key} is missing" for key in expected if key not in tensors]
    for key, tensor in tensors.items():
        if key not in expected:
            faults.append(f"{key} is not of this network")
        elif not _is_plain(tensor):
            faults.append(f"{key} is not a tensor of floating-point numbers")
        elif tensor.shape != expected[key]:
            faults.append(f"{key} has shape {tuple(tensor.shape)}, expected {tuple(expected[key])}")
        elif not bool(tensor.isfinite().all()):
            faults.append(f"{key} holds numbers that are not finite")
    if faults:
        more = f"; and {len(faults) - SHOWN_FAULTS} more" if len(faults) > SHOWN_FAULTS else ""
        raise WeightsError(
            f"{name} is not of EfficientNet-B0: {'; '.join(faults[:SHOWN_FAULTS])}{more}"
        )


def _is_plain(value: object) -> bool:
    return (
        isinstance(value, Tensor)
        and value.device.type == "cpu"
        and value.layout == torch.strided
        and value.is_floating_point()
    )

"""A state dict in a file that `torch.save` wrote, and the module that it fills.

Nothing in the file is run, and no more memory taken than the file is long.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from io import BytesIO
from pickle import UnpicklingError
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from spacer_tasks.exceptions import WeightsError
from spacer_tasks.extractors.files.torch_file import check_torch_file

M = TypeVar("M", bound=nn.Module)

#: saved from a data-parallel wrapper
WRAPPER_PREFIX = "module."
#: counts the steps of a training
TRAINING_COUNTERS = "*.num_batches_tracked"
#: tensors at fault that an error names
SHOWN_FAULTS = 3


def load_module(
    make: Callable[[], M],
    data: bytes,
    name: str,
    *,
    network: str = "",
    entry: str | None = None,
    prefix: str = WRAPPER_PREFIX,
    unused: Sequence[str] = (TRAINING_COUNTERS,),
) -> M:
    """The module that `make` gives, with the tensors of a file, in float32 and on the CPU.

    Parameters
    ----------
    make
        The module's class, or a function without arguments.
    data
        The file's content.
    name
        Which file, in errors.
    network
        What errors call the network; the module's class where not given.
    entry
        Under which name the state dict is in what was saved. Where None, it is what was saved.
    prefix
        What is before the name of every tensor, or is not.
    unused
        Patterns of the names of tensors that are not needed, in the module or the file.

    Raises
    ------
    WeightsError
        The file is no such file, or its tensors are not those of the module; the text names them.
    """
    tensors = {
        key: tensor
        for key, tensor in read_state_dict(data, name, entry, prefix).items()
        if not _is_any(key, unused)
    }
    module = _made(make)
    state = module.state_dict()
    expected = {key: tensor for key, tensor in state.items() if not _is_any(key, unused)}
    _check(tensors, expected, name, network or type(module).__name__)
    filled = {
        # `zeros_like` would load torch's compiler, for a second
        key: tensors[key].to(t.dtype) if key in expected else torch.zeros(t.shape, dtype=t.dtype)
        for key, t in state.items()
    }
    module.load_state_dict(filled, assign=True)
    return module.requires_grad_(False)


def _made(make: Callable[[], M]) -> M:
    """The module, with nothing allocated and filled only to be replaced, where that can be."""
    try:
        with torch.device("meta"):
            module = make()
    # it computes something while it is made
    except RuntimeError:
        return make()
    saved = set(module.state_dict())
    buffers = {key for key, _ in module.named_buffers()}
    return module if buffers <= saved else make()


def read_state_dict(
    data: bytes, name: str, entry: str | None = None, prefix: str = WRAPPER_PREFIX
) -> dict[str, Any]:
    """The entries of the state dict in a file, by names without the prefix. See `load_module`."""
    written = "state_dict" if entry is None else f'{{"{entry}": state_dict}}'
    expected = f"expected what torch.save({written}) writes"
    check_torch_file(data, name, expected)
    _allow_numpy_numbers()
    try:
        content = torch.load(BytesIO(data), map_location="cpu", weights_only=True)
    # torch raises nearly anything on what is not its own
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if isinstance(error, UnpicklingError):
            # torch's own text says how to run what is in the file
            reason = "it holds other things than tensors and numbers, such as a whole module"
        raise WeightsError(f"{name} is not a weights file; {expected} ({reason[:200]})") from error
    tensors = content
    if entry is not None:
        tensors = content.get(entry) if isinstance(content, Mapping) else None
    if not isinstance(tensors, Mapping):
        found = sorted(map(str, content)) if isinstance(content, Mapping) else [type(content)]
        what = "state dict" if entry is None else f"state dict `{entry}`"
        raise WeightsError(f"{name} has no {what}; {expected}, found {found[:5]}")
    return {str(key).removeprefix(prefix): value for key, value in tensors.items()}


def _is_any(key: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns)


def _check(
    tensors: Mapping[str, Any], expected: Mapping[str, Tensor], name: str, network: str
) -> None:
    faults = [f"{key} is missing" for key in expected if key not in tensors]
    for key, tensor in tensors.items():
        if key not in expected:
            faults.append(f"{key} is not of this network")
        elif fault := _fault(tensor, expected[key]):
            faults.append(f"{key} {fault}")
    if faults:
        more = f"; and {len(faults) - SHOWN_FAULTS} more" if len(faults) > SHOWN_FAULTS else ""
        raise WeightsError(f"{name} is not of {network}: {'; '.join(faults[:SHOWN_FAULTS])}{more}")


def _fault(found: Any, expected: Tensor) -> str | None:
    """What is wrong with an entry."""
    real = expected.is_floating_point()
    if not _is_plain(found) or found.is_floating_point() != real:
        return f"is not a tensor of {'floating-point numbers' if real else 'integers'}"
    if found.shape != expected.shape:
        return f"has shape {tuple(found.shape)}, expected {tuple(expected.shape)}"
    if real and not bool(found.isfinite().all()):
        return "holds numbers that are not finite"
    return None


def _is_plain(value: object) -> bool:
    return (
        isinstance(value, Tensor)
        and value.device.type == "cpu"
        and value.layout == torch.strided
        and not value.is_complex()
        and not value.is_quantized
    )


@lru_cache(maxsize=1)
def _allow_numpy_numbers() -> None:
    """Let torch unpickle numpy numbers: weights were saved with accuracies beside them."""
    scalar = np.float64(0).__reduce__()[0]
    dtypes = [type(np.dtype(code)) for code in ("f4", "f8", "i4", "i8", "?")]
    # numpy 1 and numpy 2 know the same function by different names
    named = [_under_name(scalar, f"numpy.{core}.multiarray") for core in ("core", "_core")]
    torch.serialization.add_safe_globals([np.dtype, codecs.encode, *dtypes, *named])


def _under_name(function: Any, module: str) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        return function(*args)

    call.__module__, call.__qualname__, call.__name__ = module, "scalar", "scalar"
    return call

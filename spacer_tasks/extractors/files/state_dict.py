"""Weights as `torch.save({"net": state_dict})` writes them; what is in them is not run."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
import torch

from spacer_tasks.exceptions import WeightsError
from spacer_tasks.extractors.files.torch_file import EXPECTED, check_torch_file

#: saved from a data-parallel wrapper
WRAPPER_PREFIX = "module."


def state_dict_of(data: bytes, name: str) -> dict[str, Any]:
    """The state dict `net` in a file, without the prefix of a data-parallel wrapper in its names.

    Raises
    ------
    WeightsError
        It is no such file; `name` says which in the text.
    """
    check_torch_file(data, name)
    _allow_numpy_numbers()
    try:
        content = torch.load(BytesIO(data), map_location="cpu", weights_only=True)
    # torch raises nearly anything on what is not its own
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"{name} is not a weights file; {EXPECTED} ({reason[:200]})") from error
    net = content.get("net") if isinstance(content, Mapping) else None
    if not isinstance(net, Mapping):
        found = sorted(map(str, content)) if isinstance(content, Mapping) else [type(content)]
        raise WeightsError(f"{name} has no state dict `net`; {EXPECTED}, found {found[:5]}")
    return {str(key).removeprefix(WRAPPER_PREFIX): value for key, value in net.items()}


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

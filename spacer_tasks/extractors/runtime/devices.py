"""Where networks run."""

from __future__ import annotations

import torch

from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import ConfigError


def chosen_device() -> torch.device:
    """The device that `SPACER_DEVICE` says; it multiplies in TF32 only if `SPACER_PRECISION` says.

    Raises
    ------
    ConfigError
        It asks for CUDA and there is none.
    """
    wanted = get_settings().device
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise ConfigError("SPACER_DEVICE is cuda, but torch finds no CUDA device on this machine")
    if wanted == "cpu" or not available:
        return torch.device("cpu")
    allow_tf32(get_settings().precision == "tf32")
    return torch.device("cuda")


def allow_tf32(allowed: bool) -> None:
    """Let a GPU multiply with 10 bits of the mantissa, in this whole process."""
    torch.backends.cudnn.allow_tf32 = allowed
    torch.backends.cuda.matmul.allow_tf32 = allowed

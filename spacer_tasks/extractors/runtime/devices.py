"""Where networks run."""

from __future__ import annotations

import torch

from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import ConfigError


def chosen_device() -> torch.device:
    """The device that `SPACER_DEVICE` says, which computes in whole float32.

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
    # TF32 keeps 10 bits of the mantissa: features would differ by 1e-3 from those on a CPU
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    return torch.device("cuda")

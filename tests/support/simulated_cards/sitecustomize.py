"""With this folder in PYTHONPATH, torch has SIMULATED_CARDS CUDA devices, which compute on the CPU.

As many as processes of a test need that have no network: a sum is all that they compute.
"""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import torch


def _ones(*size: int, device: Any = None, **options: Any) -> torch.Tensor:
    card = torch.device(device or "cpu")
    if card.type == "cuda" and card.index == int(os.environ.get("SIMULATED_DEAD_CARD", -1)):
        raise RuntimeError("CUDA error: simulated")
    return _of_cpu(*size, **options)


def _properties(device: Any) -> SimpleNamespace:
    return SimpleNamespace(uuid=f"simulated-{torch.device(device).index}")


_of_cpu = torch.ones
if cards := int(os.environ.get("SIMULATED_CARDS", 0)):
    torch.cuda.is_available = lambda: True
    torch.cuda.device_count = lambda: cards
    torch.cuda.get_device_properties = _properties  # type: ignore[assignment]
    torch.ones = _ones  # type: ignore[assignment]

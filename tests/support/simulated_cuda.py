"""CUDA on a CPU: what `CudaNetwork` asks of torch, done at once.

No graph can be recorded, so networks run step by step.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch


class Event:
    """An event that is over. What was asked of each is kept."""

    made: list[Event] = []  # noqa: RUF012 -- emptied by `simulate`

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.waits = 0
        self.made.append(self)

    def record(self, _stream: Any) -> None:
        """Nothing runs that it could be recorded after."""

    def synchronize(self) -> None:
        """Return at once."""
        self.waits += 1


def _unpinned(make: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    def made(*args: Any, pin_memory: bool = False, **options: Any) -> torch.Tensor:
        return make(*args, **options)

    return made


def _no_graph() -> Any:
    raise RuntimeError("simulated: nothing is recorded")


class _Stream:
    def __init__(self, _device: Any) -> None:
        pass

    def synchronize(self) -> None:
        pass


def simulate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch's CUDA calls succeed on tensors of the CPU."""
    Event.made.clear()
    for name, value in {
        "Stream": _Stream,
        "Event": Event,
        "CUDAGraph": _no_graph,
        "stream": lambda _stream: nullcontext(),
        "synchronize": lambda *_: None,
        "is_initialized": lambda: True,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    for name in ("zeros", "empty"):
        monkeypatch.setattr(torch, name, _unpinned(getattr(torch, name)))

"""CUDA on a CPU: what this package asks of torch's CUDA, done at once.

A card that dies fails at whatever is asked of it, for good in the process that saw it, as after an
assertion on the device. Graphs are recorded and replayed, or cannot be.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

if TYPE_CHECKING:
    import pytest

#: a folder; while it has a file `dead-1`, the second card is dead for whoever asks it
FAULTS = "SIMULATED_FAULTS"
MEMORY = 2**34
#: operations that fetch a number, for which the host waits
WAITING = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.item.default)
#: cards that this process has seen dead
_lost: set[int] = set()


class Event:
    """An event that is over. What was asked of each is kept."""

    made: list[Event] = []  # noqa: RUF012 -- emptied by `simulate`

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.waits = 0
        self._device: Any = None
        self.made.append(self)

    def record(self, stream: Any = None) -> None:
        """Nothing runs that it could be recorded after."""
        self._device = getattr(stream, "device", None)
        check(self._device)

    def synchronize(self) -> None:
        """Return at once."""
        self.waits += 1
        check(self._device)

    def elapsed_time(self, _other: Event) -> float:
        """Milliseconds, of work that took none."""
        return 1.0


class Stream:
    """What is given to it is done already."""

    def __init__(self, device: Any = None) -> None:
        self.device = device

    def synchronize(self) -> None:
        check(self.device)


class Graph:
    """Operations that are done again, with what their inputs hold by then."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, Any, Any, Any]] = []
        self.replays = 0

    def pool(self) -> Graph:
        return self

    def replay(self) -> None:
        self.replays += 1
        for operation, given, named, found in self.done:
            again = operation(*given, **named)
            for new, old in zip(tree_leaves(again), tree_leaves(found), strict=True):
                if isinstance(old, torch.Tensor) and new.data_ptr() != old.data_ptr():
                    old.copy_(new)


class _Recording(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's has no types
    def __init__(self, graph: Graph) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._graph = graph

    def __torch_dispatch__(
        self, operation: Any, _types: Any, given: Any = (), named: Any = None
    ) -> Any:
        if operation in WAITING:
            raise RuntimeError("simulated: not permitted when a stream is capturing")
        found = operation(*given, **(named or {}))
        self._graph.done.append((operation, given, named or {}, found))
        return found


@contextmanager
def _graph(graph: Graph, **_: Any) -> Iterator[None]:
    with _Recording(graph):
        yield


def _no_graph() -> Any:
    raise RuntimeError("simulated: nothing is recorded")


def check(device: Any) -> None:
    """Fail where the card is dead."""
    number = device if isinstance(device, int) else torch.device(device or "cuda").index or 0
    folder = os.environ.get(FAULTS)
    if folder and Path(folder, f"dead-{number}").exists():
        _lost.add(number)
    if number in _lost:
        raise torch.AcceleratorError("CUDA error: device-side assert triggered\nSimulated.")


def _made_on_the_cpu(make: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    def made(*args: Any, pin_memory: bool = False, **options: Any) -> torch.Tensor:
        return make(*args, **{name: _instead(value) for name, value in options.items()})

    return made


def _instead(of: Any) -> Any:
    if isinstance(of, str | torch.device) and torch.device(of).type == "cuda":
        check(of)
        return torch.device("cpu")
    return of


def _calls(*, records: bool) -> dict[str, Any]:
    """By their names in `torch.cuda`."""
    return {
        "Stream": Stream,
        "Event": Event,
        "CUDAGraph": Graph if records else _no_graph,
        "graph": _graph,
        "stream": lambda _stream: nullcontext(),
        "synchronize": lambda device=None: check(device),
        "is_initialized": lambda: True,
    }


def simulate(monkeypatch: pytest.MonkeyPatch, *, records: bool = False) -> None:
    """Let torch's CUDA calls succeed on tensors of the CPU.

    Parameters
    ----------
    records
        Whether graphs can be recorded; else networks run step by step.
    """
    Event.made.clear()
    monkeypatch.setattr(f"{__name__}._lost", set())
    for name, value in _calls(records=records).items():
        monkeypatch.setattr(torch.cuda, name, value)
    for name in ("zeros", "empty"):
        monkeypatch.setattr(torch, name, _made_on_the_cpu(getattr(torch, name)))


def install(cards: int) -> None:
    """Give this process so many cards, from now on."""
    calls = _calls(records=True) | {
        "is_available": lambda: True,
        "device_count": lambda: cards,
        "get_device_properties": _properties,
        "get_device_capability": lambda *_: (9, 0),
        "get_arch_list": lambda: ["sm_90"],
        "mem_get_info": lambda *_: (MEMORY // 2, MEMORY),
        "memory_allocated": lambda *_: 0,
        "memory_reserved": lambda *_: 0,
        "empty_cache": lambda: None,
        "_sleep": lambda _cycles: None,
    }
    for name, value in calls.items():
        setattr(torch.cuda, name, value)
    for name in ("zeros", "empty", "ones", "rand", "tensor"):
        setattr(torch, name, _made_on_the_cpu(getattr(torch, name)))
    to = torch.Tensor.to

    def to_the_cpu(self: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        named = {name: _instead(value) for name, value in options.items()}
        return to(self, *[_instead(each) for each in args], **named)

    torch.Tensor.to = to_the_cpu  # type: ignore[assignment,method-assign]


def _properties(device: Any) -> SimpleNamespace:
    return SimpleNamespace(uuid=f"simulated-{torch.device(device).index}")

"""Where networks run, and what it means when they cannot."""

from __future__ import annotations

from traceback import clear_frames
from types import TracebackType

import torch

from spacer_tasks.concurrency import device_watch
from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import ConfigError, DeviceLostError

#: in the texts of CUDA's libraries that find no memory; torch's own allocator has a class for it
NO_MEMORY = ("out of memory", "ALLOC_FAILED")


def chosen_device() -> torch.device:
    """The device that `SPACER_DEVICE` says; it multiplies in TF32 only if `SPACER_PRECISION` says.

    Raises
    ------
    ConfigError
        It asks for CUDA and there is none, or for a device of an index that there is not.
    """
    wanted = get_settings().device
    available = torch.cuda.is_available()
    if wanted.startswith("cuda") and not available:
        raise ConfigError(
            f"SPACER_DEVICE is {wanted}, but torch finds no CUDA device on this machine"
        )
    if wanted == "cpu" or not available:
        return torch.device("cpu")
    if _index() >= (count := torch.cuda.device_count()):
        raise ConfigError(
            f"SPACER_DEVICE is {wanted}, but torch finds {count} CUDA device(s) on this machine,"
            " counted from 0"
        )
    allow_tf32(get_settings().precision == "tf32")
    # with its index: without one it is whichever the thread has chosen
    return torch.device("cuda", _index())


def _index() -> int:
    """Of this process's card."""
    return int(get_settings().device.partition(":")[2] or 0)


def allow_tf32(allowed: bool) -> None:
    """Let a GPU multiply with 10 bits of the mantissa, in this whole process."""
    torch.backends.cudnn.allow_tf32 = allowed
    torch.backends.cuda.matmul.allow_tf32 = allowed


def check_device() -> torch.device:
    """The chosen device, which has computed something: one that cannot is found before any task is
    taken.

    Raises
    ------
    ConfigError
        There is none, or it fails: torch was built without its architecture, the driver is too
        old, other processes hold its memory.
    """
    device = chosen_device()
    try:
        torch.ones(2, device=device).sum().item()
    # torch's own failures to begin with a device are of several kinds
    except Exception as error:
        raise ConfigError(
            f"SPACER_DEVICE is {get_settings().device}, and torch finds a CUDA device that it"
            f" cannot use ({_first_line(error)}); cpu goes without it"
        ) from error
    return device


class device_errors:  # noqa: N801 -- a context manager, used as a function
    """Around what uses a device: what torch raises of it becomes what this package knows.

    A class, as from Python 3.12 on an error that a generator's context manager turns into another
    stays alive until cycles are looked for, and with it the tensors of the pass that failed: no
    smaller one finds memory then.

    Raises
    ------
    MemoryError
        The device has no memory left.
    DeviceLostError
        The device does not answer any more, and will not in this process: after an assertion on
        the device or an error of its memory every later call fails at once.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if not isinstance(error, RuntimeError):
            return
        if isinstance(error, torch.cuda.OutOfMemoryError):
            raise _out_of_memory(error) from error
        # the stubs leave out its types
        if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            return
        if (reason := _why_lost()) is not None:
            device_watch.lose(reason)
            raise DeviceLostError(f"the CUDA device does not answer: {reason}") from error
        if any(text in str(error) for text in NO_MEMORY):
            raise _out_of_memory(error) from error


def _out_of_memory(error: RuntimeError) -> MemoryError:
    # who keeps the error, as a request does for its task, would keep the tensors of the pass
    clear_frames(error.__traceback__)
    return MemoryError(f"on the CUDA device: {_first_line(error)}")


def _why_lost() -> str | None:
    try:
        # a card that hangs does not answer this either
        with device_watch.running_pass():
            # the first card is another process's, and asking it would take 0.5 GB there
            torch.cuda.synchronize(_index())
    except RuntimeError as error:
        return _first_line(error)
    return None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]

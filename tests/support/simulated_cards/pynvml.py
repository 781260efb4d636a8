"""What nvidia-ml-py says of the simulated cards, each busier and fuller than the one before."""

from __future__ import annotations

from types import SimpleNamespace

NVML_TEMPERATURE_GPU = 0


class NVMLError(Exception):
    """Whatever NVML refuses."""


def nvmlInit() -> None:  # noqa: N802 -- NVIDIA's name, as all below
    """There is nothing to begin."""


def nvmlDeviceGetHandleByUUID(uuid: str) -> int:  # noqa: N802
    """The card's number."""
    name, _, number = uuid.rpartition("-")
    if name != "GPU-simulated":
        raise NVMLError(f"no card {uuid}")
    return int(number)


def nvmlDeviceGetUtilizationRates(handle: int) -> SimpleNamespace:  # noqa: N802
    """In percent."""
    return SimpleNamespace(gpu=10 * (handle + 1))


def nvmlDeviceGetMemoryInfo(handle: int) -> SimpleNamespace:  # noqa: N802
    """In bytes."""
    return SimpleNamespace(used=2**30 * (handle + 1), total=2**34)


def nvmlDeviceGetTemperature(handle: int, _sensor: int) -> int:  # noqa: N802
    """In degrees Celsius; the second card, as a part of a divided one, has none."""
    if handle:
        raise NVMLError("not supported")
    return 40

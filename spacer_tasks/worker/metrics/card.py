"""What NVIDIA's library says of one card.

By nvidia-ml-py, which NVIDIA maintains; it is optional, and comes with the extra `metrics`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reading:
    """One look. What the card does not tell is None: a part of a divided card has no temperature.

    Attributes
    ----------
    busy
        The share of the last second or so in which any process's kernels ran.
    memory_used, memory_total
        Bytes, of all processes.
    temperature
        Degrees Celsius.
    """

    busy: float | None
    memory_used: int | None
    memory_total: int | None
    temperature: float | None


class Card:
    """A card by its UUID: its index is another one to NVML where CUDA_VISIBLE_DEVICES is set."""

    def __init__(self, uuid: str) -> None:
        self._uuid = uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"
        self._nvml: Any = None
        self._said = ""

    def read(self) -> Reading | None:
        """What it says now; None where it cannot be asked, which is logged once."""
        try:
            nvml = self._library()
            handle = nvml.nvmlDeviceGetHandleByUUID(self._uuid)
        # a driver that is being replaced, a card that fell off the bus: metrics end no worker
        except Exception as error:  # noqa: BLE001 -- it is logged
            self._say(f"{type(error).__name__}: {error}")
            self._nvml = None
            return None
        rates = _asked(nvml.nvmlDeviceGetUtilizationRates, handle)
        memory = _asked(nvml.nvmlDeviceGetMemoryInfo, handle)
        return Reading(
            None if rates is None else rates.gpu / 100,
            None if memory is None else memory.used,
            None if memory is None else memory.total,
            _asked(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU),
        )

    def _library(self) -> Any:
        if self._nvml is None:
            import pynvml

            pynvml.nvmlInit()
            self._nvml = pynvml
        return self._nvml

    def _say(self, why: str) -> None:
        if why != self._said:
            self._said = why
            logger.warning("no metrics of the card's use, memory and temperature: %s", why)


def _asked(question: Any, *of: Any) -> Any:
    try:
        return question(*of)
    except Exception:
        logger.debug("NVML does not say", exc_info=True)
        return None

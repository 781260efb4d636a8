"""What becomes of the bytes of a patch before a network takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Preprocessing:
    """How the bytes of a patch become what a network takes: (byte / scale - mean) / deviation.

    Parameters
    ----------
    scale
        255 for numbers from 0 to 1.
    mean, deviation
        Of each channel, in the network's order of channels.
    channels
        In which order the network takes them.
    """

    scale: float = 255
    mean: tuple[float, float, float] = (0, 0, 0)
    deviation: tuple[float, float, float] = (1, 1, 1)
    channels: Literal["RGB", "BGR"] = "RGB"

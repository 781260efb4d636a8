"""The precision that a network runs in: what the setting asks for, where its error allows it.

Features in another precision are other features, so an extractor says in its identity what it
computes in, unless that is float32.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from spacer_tasks.config.settings import Precision

log = logging.getLogger(__name__)

#: on a GPU 16 bits are used only where the worst of the sample's vectors is nearer than this
MAX_RELATIVE_ERROR = 1e-3
MIN_COSINE = 0.9999
#: what torch computes in; TF32 is a way of multiplying numbers of 32 bits
DTYPES: dict[Precision, torch.dtype] = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
SAMPLE_PATCHES = 8
#: pixels; textures of these sizes lie over each other
SAMPLE_GRAINS = (1, 4, 16, 56)
SAMPLE_CONTRAST = 30


@dataclass(frozen=True)
class Deviation:
    """How far vectors are from those in float32, by the worst of them."""

    relative_error: float
    cosine: float

    def __str__(self) -> str:
        return f"relative L2 error {self.relative_error:.1e}, cosine {self.cosine:.5f}"

    @property
    def is_allowed(self) -> bool:
        """Whether features so far off are taken for the same."""
        return self.relative_error < MAX_RELATIVE_ERROR and self.cosine > MIN_COSINE


def deviation(found: NDArray[np.float32], expected: NDArray[np.float32]) -> Deviation:
    """How far `found` is from `expected`, both of shape (n, dimensions)."""
    a, b = found.astype(np.float64), expected.astype(np.float64)
    # float16 can overflow: what is then no number is not allowed
    with np.errstate(all="ignore"):
        lengths = np.linalg.norm(b, axis=1)
        errors = np.linalg.norm(a - b, axis=1) / lengths
        cosines = (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * lengths)
    return Deviation(float(errors.max()), float(cosines.min()))


def usable(wanted: Precision, device: torch.device) -> Precision:
    """What of `wanted` the device can do; float32 otherwise, with a warning.

    A CPU has no TF32, and computes in float16 far slower than in float32.
    """
    if device.type == "cuda" or wanted in ("float32", "bfloat16"):
        return wanted
    log.warning("SPACER_PRECISION is %s, which is for GPUs: float32 is used on this CPU", wanted)
    return "float32"


def is_taken(
    precision: Precision,
    device: torch.device,
    found: NDArray[np.float32],
    expected: NDArray[np.float32],
) -> bool:
    """Whether the error over the sample allows this precision; the error is logged.

    On a GPU, 16 bits must pass `Deviation.is_allowed`: if not, a warning says so. On a CPU, and
    for TF32, the choice is the operator's.

    Parameters
    ----------
    found, expected
        Vectors of `sample_patches()` in this precision and in float32.
    """
    off = deviation(found, expected)
    if precision == "tf32" or device.type != "cuda" or off.is_allowed:
        log.info("features in %s, beside float32 over a sample: %s", precision, off)
        return True
    log.warning(
        "SPACER_PRECISION is %s, but features would be off (%s; allowed: below %g, above %g):"
        " float32 is used",
        precision,
        off,
        MAX_RELATIVE_ERROR,
        MIN_COSINE,
    )
    return False


@lru_cache(maxsize=4)
def sample_patches(size: int = 224, count: int = SAMPLE_PATCHES) -> NDArray[np.uint8]:
    """Patches with texture of several grains, the same in every process."""
    random = np.random.default_rng(0)
    values = np.full((count, size, size, 3), 128.0)
    for grain in SAMPLE_GRAINS:
        side = -(-size // grain)
        coarse = random.standard_normal((count, side, side, 3)) * SAMPLE_CONTRAST
        values += coarse.repeat(grain, axis=1).repeat(grain, axis=2)[:, :size, :size]
    return values.clip(0, 255).astype(np.uint8)

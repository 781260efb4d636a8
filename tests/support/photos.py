"""Small images whose label shows in their colour."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image

from spacer_tasks.messages.specs import ExtractorSpec

DUMMY = ExtractorSpec(class_path="dummy", feature_dim=32)
LABELS = {"sand": (215, 190, 130), "coral": (200, 60, 90), "algae": (60, 140, 60)}


def photo(label: str, seed: int, size: int = 64) -> bytes:
    """A PNG of `size` x `size` pixels."""
    noise = np.random.default_rng(seed).normal(0, 10, (size, size, 3))
    pixels = np.clip(np.array(LABELS[label]) + noise, 0, 255).astype(np.uint8)
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()

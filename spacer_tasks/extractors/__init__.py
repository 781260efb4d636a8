"""An image and points to feature vectors.

`load_extractor` gives the extractor that a message names; `read_photo` and `check_points` turn
what users send into what an extractor takes, or into an error that says what is wrong. `Extractor`
and `TorchExtractor` are the bases of extractors that an installed package brings.

What computes is imported when it is used: a class says what files and options it takes to
processes that have none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spacer_tasks.extractors.base import Extractor, Options
from spacer_tasks.extractors.loading import load_extractor
from spacer_tasks.extractors.preprocessing import Preprocessing
from spacer_tasks.extractors.torch_extractor import TorchExtractor

if TYPE_CHECKING:
    from spacer_tasks.extractors.files.state_dict import load_module
    from spacer_tasks.extractors.images.patches import cut_patches
    from spacer_tasks.extractors.images.points import check_points
    from spacer_tasks.extractors.images.reading import Photo, load_image, load_pixels, read_photo

__all__ = [
    "Extractor",
    "Options",
    "Photo",
    "Preprocessing",
    "TorchExtractor",
    "check_points",
    "cut_patches",
    "load_extractor",
    "load_image",
    "load_module",
    "load_pixels",
    "read_photo",
]
#: by name, the module below this one that has it
_LATER = {
    "Photo": "images.reading",
    "check_points": "images.points",
    "cut_patches": "images.patches",
    "load_image": "images.reading",
    "load_module": "files.state_dict",
    "load_pixels": "images.reading",
    "read_photo": "images.reading",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)

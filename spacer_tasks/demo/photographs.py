"""The photographs that scikit-image and scikit-learn carry in their wheels.

Only files inside the installed packages are read; nothing is downloaded.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spacer_tasks.exceptions import ObjectNotFoundError

#: which of a photograph's two parts: a classifier is tested on pixels that it never saw
Part = Literal["training", "test"]

#: folders of photographs inside the packages
FOLDERS = {"skimage": "data", "sklearn": "datasets/images"}


@dataclass(frozen=True)
class Photograph:
    """A photograph, its place, and the line that parts it.

    Attributes
    ----------
    label
        What its points are labelled.
    package, file
        The package that carries it, and its name there.
    crop
        Left, top, right, bottom of what is used, as shares of the width and height: without sky
        or blurred background, of which nobody could say where it belongs.
    axis
        Whether rows (0) or columns (1) are parted in the middle into training and test part. The
        line goes through what is shown, so that both parts show some of it.
    credit
        Whose it is.
    """

    label: str
    package: str
    file: str
    crop: tuple[float, float, float, float]
    axis: Literal[0, 1]
    credit: str


WHOLE = (0.0, 0.0, 1.0, 1.0)
PHOTOGRAPHS = (
    Photograph("brick", "skimage", "brick.png", WHOLE, 0, "CC0Textures, CC0"),
    Photograph(
        "cat", "skimage", "chelsea.png", (0.1, 0.0, 0.87, 0.95), 1, "Stéfan van der Walt, CC0"
    ),
    Photograph("coffee", "skimage", "coffee.png", WHOLE, 1, "Rachel Michetti, CC0"),
    Photograph("coins", "skimage", "coins.png", WHOLE, 1, "Brooklyn Museum, no known copyright"),
    Photograph(
        "flower", "sklearn", "flower.jpg", (0.3, 0.2, 0.71, 0.8), 1, "Flickr: vultilion, CC BY 2.0"
    ),
    Photograph("grass", "skimage", "grass.png", WHOLE, 1, "DeviantArt: linolafett, CC0"),
    Photograph("gravel", "skimage", "gravel.png", WHOLE, 1, "CC0Textures, CC0"),
    Photograph("moon", "skimage", "moon.png", WHOLE, 1, "NASA, public domain"),
    Photograph(
        "temple",
        "sklearn",
        "china.jpg",
        (0.1, 0.2, 0.62, 1.0),
        1,
        "Flickr: danielbuechele, CC BY 2.0",
    ),
    Photograph("tissue", "skimage", "ihc.png", WHOLE, 0, "CMMI, no known copyright"),
)


@lru_cache(maxsize=2 * len(PHOTOGRAPHS))
def part_of(photograph: Photograph, part: Part) -> NDArray[np.uint8]:
    """The light of one part: some of the photographs are grey, so colour would give them away.

    Returns
    -------
    uint8, shape (rows, columns); read only.

    Raises
    ------
    ObjectNotFoundError
        The package is not installed, or was built without its photographs.
    """
    with Image.open(_path_of(photograph)) as image:
        width, height = image.size
        left, top, right, bottom = photograph.crop
        pixels = np.asarray(image.convert("L"))[
            round(top * height) : round(bottom * height),
            round(left * width) : round(right * width),
        ]
    middle = pixels.shape[photograph.axis] // 2
    first, second = np.split(pixels, [middle], axis=photograph.axis)
    return first if part == "training" else second


def _path_of(photograph: Photograph) -> Path:
    # found, not imported: the folder is all that is needed of a large package
    spec = importlib.util.find_spec(photograph.package)
    if spec is None or spec.origin is None:
        raise ObjectNotFoundError(
            f"the package {photograph.package}, which carries the photograph {photograph.file},"
            " is not installed (pip install 'spacer-tasks[demo]')"
        )
    path = Path(spec.origin).parent / FOLDERS[photograph.package] / photograph.file
    if not path.is_file():
        raise ObjectNotFoundError(
            f"no photograph {path}: this build of {photograph.package} comes without it; the one"
            " on the package index has it"
        )
    return path

"""Photos cut short anywhere, and changed anywhere, are what the reference makes of them.

The reference sets Pillow's LOAD_TRUNCATED_IMAGES for its process; so does the process here that
says what is expected.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import random
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spacer_tasks.config.settings import IMAGE_FORMATS
from spacer_tasks.exceptions import InputError
from spacer_tasks.extractors import load_image, read_photo
from tests.fuzz.mutations import TIMES
from tests.support.files.image_kinds import KINDS, MORE_KINDS, SOME, file_of

ALL_KINDS = {**KINDS, **MORE_KINDS}
#: cuts, and as many changed files, of each kind
EACH = 60 * TIMES
#: seconds
PATIENCE_S = 300
REFERENCE = """
import hashlib, io, json, pickle, sys, warnings
import numpy as np
from PIL import Image, ImageFile

warnings.simplefilter("ignore")
Image.MAX_IMAGE_PIXELS = 10_000 * 10_000 + 20_000
ImageFile.LOAD_TRUNCATED_IMAGES = True

def seen(data):
    try:
        pixels = np.array(Image.open(io.BytesIO(data)).convert("RGB"))
    except Exception as error:
        return None
    return [list(pixels.shape), hashlib.sha256(pixels.tobytes()).hexdigest()]

with open(sys.argv[1], "rb") as stream:
    print(json.dumps([seen(data) for data in pickle.load(stream)]))
"""


def cuts(kind: str) -> list[bytes]:
    data = ALL_KINDS[kind]
    chance = random.Random(kind)
    lengths = {*(len(data) - n for n in range(12)), *chance.sample(range(len(data)), EACH)}
    return [data[:length] for length in sorted(lengths)]


def changed(kind: str) -> list[bytes]:
    data = ALL_KINDS[kind]
    chance = random.Random(kind)
    files = []
    for _ in range(EACH):
        file = bytearray(data)
        for _ in range(chance.choice((1, 1, 3, 10))):
            file[chance.randrange(len(file))] ^= 1 << chance.randrange(8)
        if chance.random() < 0.3:
            del file[chance.randrange(len(file)) :]
        files.append(bytes(file))
    return files


FILES = {kind: [*cuts(kind), *changed(kind)] for kind in ALL_KINDS}

#: what is told of a file that is whole
TOLD = {"PNG of 16 bits": "its greys are from 0 to 65535"}


def as_the_reference(folder: Path, files: list[bytes]) -> list[Any]:
    """The shape and a hash of the pixels of each file, or None where it is an error."""
    path = folder / "files"
    path.write_bytes(pickle.dumps(files))
    command = [sys.executable, "-c", REFERENCE, str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    answers: list[Any] = json.loads(ran.stdout)
    return answers


@pytest.fixture(autouse=True)
def every_format(monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]) -> None:
    """Also those that are off where the operator says nothing."""
    monkeypatch.setenv("SPACER_IMAGE_FORMATS", " ".join(IMAGE_FORMATS))
    settings_changed()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    every = [data for files in FILES.values() for data in files]
    answers = iter(as_the_reference(tmp_path_factory.mktemp("pillow"), every))
    return {kind: [next(answers) for _ in files] for kind, files in FILES.items()}


def seen(pixels: np.ndarray[Any, Any]) -> list[Any]:
    return [list(pixels.shape), hashlib.sha256(pixels.tobytes()).hexdigest()]


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_file_has_the_reference_s_pixels_or_is_an_input_error(
    kind: str, expected: dict[str, list[Any]]
) -> None:
    for number, (data, theirs) in enumerate(zip(FILES[kind], expected[kind], strict=True)):
        try:
            photo = read_photo(data, "reef")
            image = np.asarray(load_image(data, "reef"))
        except InputError as error:
            # the reference reads what holds no pixel at all
            assert theirs is None or "reef: no pixel of the image can be read" in str(error), number
            continue
        assert seen(photo.pixels) == theirs, (number, photo.incomplete)
        assert seen(image) == theirs
        if data == ALL_KINDS[kind]:
            assert (photo.incomplete or "").startswith(TOLD.get(kind, ""))
            assert (photo.incomplete is None) == (kind not in TOLD)
        elif photo.incomplete is not None:
            assert "\n" not in photo.incomplete
            assert len(photo.incomplete) < 400


@pytest.mark.filterwarnings("ignore")
def test_the_files_are_of_all_outcomes(expected: dict[str, list[Any]]) -> None:
    """Otherwise the comparison would show little."""
    outcomes = []
    for kind, files in FILES.items():
        for data, theirs in zip(files, expected[kind], strict=True):
            try:
                outcomes.append("incomplete" if read_photo(data, "").incomplete else "whole")
            except InputError:
                outcomes.append("an error" if theirs is None else "no pixel")
    for outcome in ("incomplete", "whole", "an error", "no pixel"):
        assert outcomes.count(outcome) > len(outcomes) / 50, outcome


@pytest.mark.parametrize("progressive", [False, True])
def test_a_photo_of_12_megapixels_cut_short_has_the_reference_s_pixels(
    progressive: bool, tmp_path: Path
) -> None:
    photo = Image.fromarray(SOME).resize((4000, 3000), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x010E] = "reef " * 1000
    data = file_of(photo, "JPEG", quality=90, progressive=progressive, exif=exif)
    files = [data[:-2], data[: len(data) * 99 // 100], data[: len(data) // 2]]
    for file, theirs in zip(files, as_the_reference(tmp_path, files), strict=True):
        found = read_photo(file, "reef")
        assert found.incomplete is not None
        assert found.incomplete.startswith("cut short: ")
        assert seen(found.pixels) == theirs


def test_an_interlaced_png_is_what_its_maker_put_in() -> None:
    """Pillow writes none, so this one is our own."""
    pixels = np.asarray(Image.open(BytesIO(ALL_KINDS["interlaced PNG"])))
    np.testing.assert_array_equal(pixels, SOME)

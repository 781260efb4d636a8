"""Images made to take memory or time, or to be something else, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.support.files.hostile_images import FILES

#: MB by which a process may grow for a hostile file; the photo of 12 megapixels needs about 100
MEMORY_MB = 300
#: seconds after which a file counts as one that hangs a worker
PATIENCE_S = 120
#: prints what came of each file and by how many MB a process grew that read nothing else
READ = """
import json, os, resource, sys, warnings
warnings.simplefilter("ignore")
from spacer_tasks.exceptions import InputError
from spacer_tasks.extractors import cut_patches, load_pixels

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

for path in sys.argv[1:]:
    if os.fork():
        _, status = os.wait()
        if status:
            print(json.dumps([f"ended with {status}", 0]), flush=True)
        continue
    with open(path, "rb") as stream:
        data = stream.read()
    before = peak()
    try:
        pixels = load_pixels(data, "reef")
        cut_patches(pixels, [(0, 0), (pixels.shape[0] - 1, pixels.shape[1] - 1)], 224)
        outcome = list(pixels.shape)
    except InputError as error:
        outcome = f"{type(error).__name__}: {error}"
    print(json.dumps([outcome, (peak() - before) / 1024]), flush=True)
    os._exit(0)
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, float]]:
    """What came of each file, and the MB that it took."""
    folder = tmp_path_factory.mktemp("hostile")
    paths = []
    for number, (make, _) in enumerate(FILES.values()):
        paths.append(folder / str(number))
        paths[-1].write_bytes(make())
    done = subprocess.run(
        [sys.executable, "-c", READ, *paths],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {name: (*line,) for name, line in zip(FILES, lines, strict=True)}


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_image_is_an_image_or_an_error_and_takes_little(
    name: str, outcomes: dict[str, tuple[Any, float]]
) -> None:
    expected = FILES[name][1]
    outcome, grown = outcomes[name]
    if isinstance(expected, str):
        assert expected in outcome
    else:
        assert outcome == expected
    assert grown < MEMORY_MB, f"{name} took {grown:.0f} MB"


def test_the_measure_sees_what_is_taken(outcomes: dict[str, tuple[Any, float]]) -> None:
    # 20 million pixels in three bytes each, and what Pillow decodes them into
    assert outcomes["one pixel high"][1] > 60

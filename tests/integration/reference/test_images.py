"""The real reference and this project read the same pixels of photos that are cut short."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spacer_tasks import operations
from spacer_tasks.config.settings import IMAGE_FORMATS
from spacer_tasks.exceptions import ImageError
from spacer_tasks.extractors import read_photo
from tests.support.environments.reference import run_reference
from tests.support.files.image_kinds import KINDS, MORE_KINDS

#: what cameras write, and what older surveys are stored as
FORMATS = [
    *("JPEG", "progressive JPEG", "CMYK JPEG", "grey JPEG", "JPEG of best quality", "MPO"),
    *("JPEG that says it is rotated", "JPEG with restart markers", "PNG", "interlaced PNG"),
    *("PNG of a palette", "PNG of 16 bits", "TIFF of three frames", "tiled TIFF", "BMP"),
    *("TIFF, compressed", "GIF of three frames", "WebP"),
]
#: of each file so much is left
SHARES = (1.0, 0.99, 0.9, 0.75, 0.5, 0.3)
CASES = [(kind, share) for kind in FORMATS for share in SHARES]
REFERENCE = """
    import hashlib
    import numpy as np
    from spacer.data_classes import DataLocation
    from spacer.storage import load_image

    answers = []
    for path in args['photos']:
        try:
            pixels = np.array(load_image(DataLocation('filesystem', path)).convert('RGB'))
            answers.append([list(pixels.shape), hashlib.sha256(pixels.tobytes()).hexdigest()])
        except Exception:
            answers.append(None)
    from spacer.data_classes import ImageFeatures
    from spacer.messages import ExtractFeaturesReturnMsg
    features = ImageFeatures.load(DataLocation('filesystem', args['features']))
    ExtractFeaturesReturnMsg.deserialize(args['answer'])
    return {'photos': answers, 'points': [[p.row, p.col] for p in features.point_features]}
"""


@pytest.fixture(autouse=True)
def every_format(monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]) -> None:
    """Also those that are off where the operator says nothing."""
    monkeypatch.setenv("SPACER_IMAGE_FORMATS", " ".join(IMAGE_FORMATS))
    settings_changed()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the reference sees of each photo, and reads of our features of an incomplete one."""
    folder: Path = tmp_path_factory.mktemp("photos")
    photos = []
    for number, (kind, share) in enumerate(CASES):
        data = {**KINDS, **MORE_KINDS}[kind]
        photos.append(folder / f"{number}.photo")
        photos[-1].write_bytes(data[: int(len(data) * share)])
    cut = photos[CASES.index(("JPEG of best quality", 0.75))]
    features = folder / "cut.featurevector"
    message = {
        "job_token": "1",
        "extractor": {"class_path": "dummy", "feature_dim": 24},
        "rowcols": [[2, 3], [30, 40]],
        "image_loc": {"storage_type": "filesystem", "key": str(cut)},
        "feature_loc": {"storage_type": "filesystem", "key": str(features)},
    }
    job = operations.process_job({"task_name": "extract_features", "tasks": [message]})
    assert job.results is not None
    args = {
        "photos": [str(photo) for photo in photos],
        "features": str(features),
        "answer": job.results[0],
    }
    return run_reference(REFERENCE, args)  # type: ignore[no-any-return]


@pytest.mark.parametrize(("kind", "share"), CASES)
def test_a_photo_cut_short_has_the_reference_s_pixels(
    kind: str, share: float, both: dict[str, Any]
) -> None:
    data = {**KINDS, **MORE_KINDS}[kind]
    theirs = both["photos"][CASES.index((kind, share))]
    try:
        photo = read_photo(data[: int(len(data) * share)], "reef")
    except ImageError as error:
        nothing_in_it = "no pixel of the image can be read" in str(error)
        assert theirs is None or nothing_in_it
        return
    seen = hashlib.sha256(photo.pixels.tobytes()).hexdigest()
    assert [list(photo.pixels.shape), seen] == theirs
    if share == 1 and kind == "PNG of 16 bits":
        assert "is cut off" in (photo.incomplete or "")
    else:
        assert share < 1 or photo.incomplete is None


def test_the_reference_reads_our_features_and_answer_of_an_incomplete_photo(
    both: dict[str, Any],
) -> None:
    assert both["points"] == [[2, 3], [30, 40]]

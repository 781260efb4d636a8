"""What `submit` refuses before it sends anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import run
from tests.support.survey import DUMMY, write_photos, write_points

#: of a command, what is written over what, and the words that say so
OVER_A_SOURCE = [
    pytest.param("classify", "-o", "points.csv", "written over", id="predictions over points"),
    pytest.param("classify", "-o", "c.pkl", "written over", id="predictions over the classifier"),
    pytest.param("classify", "-o", "photos", "a folder", id="predictions as a folder"),
    pytest.param(
        "classify", "-o", "photos/0.png", "name of a photo", id="predictions over a photo"
    ),
    pytest.param("batch", "-o", "photos/1.PNG", "name of a photo", id="batch's over a photo"),
    pytest.param("batch", "--classifier", "photos/1.png", "name of a photo", id="trained over one"),
    pytest.param("train", "--classifier", "f/0.png.npz", "of features", id="trained over features"),
    pytest.param("train", "--valresult", "old/0.cpc", "of features", id="scores over a .cpc file"),
    pytest.param("train", "--classifier", "points.csv", "written over", id="trained over points"),
    pytest.param("train", "--classifier", "photos", "a folder", id="trained as a folder"),
    pytest.param("train", "--classifier", "https://a.b/c.pkl", "to a URL", id="trained to a URL"),
    pytest.param("train", "--valresult", "points.csv", "written over", id="scores over points"),
    pytest.param("batch", "-o", "points.csv", "written over", id="batch over points"),
    pytest.param("batch", "--classifier", "points.csv", "written over", id="batch's over points"),
    pytest.param("batch", "--classifier", "https://a.b/c.pkl", "to a URL", id="batch's to a URL"),
    pytest.param("batch", "--features", "points.csv", "a file", id="batch's features as a file"),
    pytest.param("batch", "--features", "https://a.b/c", "to a URL", id="batch's features: a URL"),
    pytest.param("extract", "--features", "points.csv", "a file", id="features as a file"),
    pytest.param("extract", "--features", "https://a.b/c", "to a URL", id="features to a URL"),
    pytest.param("batch", "-o", "c.pkl", "written over", id="predictions over batch's classifier"),
]


@pytest.mark.parametrize(("command", "option", "place", "says"), OVER_A_SOURCE)
def test_no_file_that_is_read_is_written_over(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    option: str,
    place: str,
    says: str,
) -> None:
    # nothing of it is asked
    monkeypatch.setenv("SPACER_BROKER_URL", "redis://127.0.0.1:1/0")
    monkeypatch.chdir(tmp_path)
    points = write_points(tmp_path / "points.csv", write_photos(tmp_path / "photos", 3))
    before = points.read_bytes()
    options = {
        "--points": "points.csv",
        "--features": "features",
        "--classifier": "c.pkl",
        "-o": "predictions.csv",
        option: place,
    }
    if command in ("train", "extract"):
        del options["-o"]
    if command == "extract":
        del options["--classifier"]
    if command == "classify":
        del options["--features"]
    given = [part for pair in options.items() for part in pair]
    images = [] if command == "train" else ["photos", *DUMMY]
    ran = run("submit", command, *images, *given, "--wait")
    assert ran.code == 2
    assert says in ran.err
    assert place.rpartition("/")[2] in ran.err
    assert "Traceback" not in ran.err
    assert points.read_bytes() == before

"""Ctrl-C in the middle of an extraction, and the same command again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from spacer_tasks.data_classes.features import ImageFeatures
from tests.support.survey import POINTS, write_photos, write_points

IMAGES = 60
#: seconds; torch takes some to import on a busy machine
START_S = 90


def command(folder: Path) -> list[str]:
    options = [
        "--points", str(folder / "points.csv"), "--features", str(folder / "features"),
        # large vectors, so that files take some time to write
        "--extractor", "dummy", "--extractor-option", "feature_dim=20000",
    ]  # fmt: skip
    return [sys.executable, "-m", "spacer_tasks.cli", "extract", str(folder / "photos"), *options]


def test_what_is_done_stays_and_the_same_command_goes_on(tmp_path: Path) -> None:
    write_points(tmp_path / "points.csv", write_photos(tmp_path / "photos", IMAGES))
    features = tmp_path / "features"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    first = subprocess.Popen(command(tmp_path), stderr=subprocess.PIPE, text=True, env=environment)
    end = time.monotonic() + START_S
    while len(list(features.glob("*.npz"))) < 5 and time.monotonic() < end:
        time.sleep(0.01)
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=30)
    assert first.returncode == 130, said
    found = re.search(r"Interrupted: the features of (\d+) images are stored", said)
    assert found, said
    assert "the same command again goes on from there" in said
    assert "Traceback" not in said
    done = int(found[1])
    assert 5 <= done < IMAGES
    # a file may have been finished in the instant of the signal; none is half written
    stored = list(features.iterdir())
    assert len(stored) in (done, done + 1)
    for path in stored:
        assert ImageFeatures.from_bytes(path.read_bytes(), path.name).rowcols() == POINTS

    again = subprocess.run(
        command(tmp_path), capture_output=True, text=True, env=environment, check=True, timeout=120
    )
    skipped = len(stored)
    assert f"{IMAGES - skipped} images extracted, {skipped} skipped" in again.stderr
    assert len(list(features.iterdir())) == IMAGES

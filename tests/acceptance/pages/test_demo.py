"""`spacer-tasks demo` as a person starts it: it works, it tells, and it leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "spacer_tasks.cli", "demo", "--images", "12", "--epochs", "3"]
#: seconds; far more than it takes on a busy machine
LIMIT_S = 500
#: seconds; a process that was killed is listed until the system has taken it down
GONE_S = 30


def own_environment(folder: Path) -> Mapping[str, str]:
    """An environment that marks every process below, and settings that must not matter.

    What the demo, its workers and its servers write beside the output comes into `folder`: it is
    their temporary folder and their home, and no variable names another folder for a cache.
    """
    folder.mkdir()
    inherited = {name: value for name, value in os.environ.items() if "CACHE" not in name}
    return {
        **inherited,
        "TMPDIR": str(folder),
        "HOME": str(folder),
        "SPACER_BROKER_URL": "redis://127.0.0.1:1/0",
        "SPACER_S3_ENDPOINT_URL": "http://127.0.0.1:1",
    }


def left_running(folder: Path) -> list[str]:
    """What `running_with` still finds when what was killed has had time to go."""
    end = time.monotonic() + GONE_S
    while (found := running_with(folder)) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def running_with(folder: Path) -> list[str]:
    """Command lines of the processes whose environment names the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"TMPDIR={folder}\0".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_demo_does_the_whole_job_and_stops_everything(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    output = tmp_path / "output"
    done = subprocess.run(
        [*COMMAND, "--output", str(output)],
        env=own_environment(temporary),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = re.search(r"accuracy +([\d.]+)% of 75 test points", done.stdout)
    assert found, done.stdout
    for stage in ("make quadrats", "extract features", "train", "classify"):
        assert stage in done.stdout
    assert "EfficientNet-Lite0, trained on ImageNet" in done.stdout + done.stderr
    # three quarters of 12 quadrats to learn from; the seeded network reaches about a half of it
    assert float(found[1]) > 60
    page = (output / "report.html").read_text(encoding="utf-8")
    assert f"<strong>{found[1]}\N{NO-BREAK SPACE}%</strong>" in page
    assert page.count("<figure>") == 3
    assert (output / "classifier.safetensors").stat().st_size > 1000
    assert left_running(temporary) == []
    assert list(temporary.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_demo_that_is_terminated_stops_everything(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    log = tmp_path / "log"
    with log.open("wb") as stream:
        demo = subprocess.Popen(
            [*COMMAND, "--output", str(tmp_path / "output")],
            env=own_environment(temporary),
            stdout=stream,
            stderr=stream,
        )
        end = time.monotonic() + LIMIT_S
        # in the middle: servers run, workers start
        while "upload to S3" not in log.read_text() and time.monotonic() < end:
            assert demo.poll() is None, log.read_text()
            time.sleep(0.2)
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(60) == 128 + signal.SIGTERM
    assert left_running(temporary) == []
    assert list(temporary.iterdir()) == []


def test_too_few_images_are_refused_before_anything_starts(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND[:4], "--images", "3", "--output", str(tmp_path / "output")],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 2
    assert "3 images: the demo needs at least 12" in done.stderr
    assert not (tmp_path / "output").exists()

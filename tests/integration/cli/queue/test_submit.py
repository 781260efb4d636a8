"""`submit`, `status` and `worker` with real worker processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from PIL import Image
from redis import Redis

from spacer_tasks import storage
from spacer_tasks.app import app
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.processes import process
from spacer_tasks.demo.services import S3Server
from tests.support.command_line import run
from tests.support.s3.buckets import fresh_bucket
from tests.support.sending import empty_queues
from tests.support.settings import settings_in_environment
from tests.support.survey import (
    DUMMY,
    POINTS,
    label_of,
    read_predictions,
    write_photos,
    write_points,
)

#: seconds for a worker process to be there: torch takes some to import on a busy machine
START_S = 90

#: the tag of EXIF; points of a photo of 64 x 48 pixels that is shown a quarter turned
ORIENTATION = 0x0112
SHOWN = [(row, column) for row in (10, 32, 60) for column in (5, 20, 40)]
POOLS = ("features", "training", "classify")


@pytest.fixture(scope="module")
def bucket(s3: S3Server) -> Iterator[str]:
    """One bucket for the module: its workers are started once, which takes seconds each."""
    with fresh_bucket(s3) as name:
        yield name


@pytest.fixture(scope="module")
def settings_env(redis_url: str, s3: S3Server, bucket: str) -> Iterator[dict[str, str]]:
    with settings_in_environment(redis_url, s3, bucket) as env:
        yield env


@pytest.fixture(scope="module")
def workers(
    settings_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """`spacer-tasks worker POOL` for each pool, taking tasks."""
    logs = tmp_path_factory.mktemp("workers")
    with empty_queues(settings_env["SPACER_BROKER_URL"]), ExitStack() as stack:
        for pool in POOLS:
            arguments = ["worker", pool, "--concurrency", "1", f"--hostname={pool}@cli"]
            stack.enter_context(
                process(
                    [sys.executable, "-m", "spacer_tasks.cli", *arguments],
                    env={**os.environ, **settings_env, "OMP_NUM_THREADS": "1"},
                    log_path=logs / f"{pool}.log",
                    name=pool,
                )
            )
        for pool in POOLS:
            wait_for_ping(f"{pool}@cli")
        yield


def wait_for_ping(hostname: str) -> None:
    for _ in range(START_S):
        if app.control.ping(destination=[hostname], timeout=1):
            return
    raise AssertionError(f"{hostname} does not answer")


def table(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_what_is_sent_waits_until_there_is_a_worker(
    redis_url: str, settings_env: dict[str, str], tmp_path: Path
) -> None:
    # another database, where no worker looks; another process, since an application keeps its
    # connections
    url = redis_url.removesuffix("/0") + "/8"
    Redis.from_url(url).flushdb()
    env = {**os.environ, **settings_env, "SPACER_BROKER_URL": url}

    def in_process(*arguments: str) -> str:
        command = [sys.executable, "-m", "spacer_tasks.cli", *arguments]
        ran = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
        return ran.stdout

    names = write_photos(tmp_path / "photos", 3)
    points = str(write_points(tmp_path / "points.csv", names))
    where = ["--points", points, "--features", str(tmp_path / "features")]
    sent = in_process("submit", "extract", str(tmp_path / "photos"), *where, *DUMMY)
    ids = {name: task_id for task_id, name in table(sent)}
    assert sorted(ids) == names
    status = in_process("status")
    assert table(status)[:6] == [
        ["queue", "waiting", "taken", "workers"],
        ["features", "3", "0", "0"],
        ["features.high", "0", "0"],
        ["training", "0", "0", "0"],
        ["training.high", "0", "0"],
        ["classify", "0", "0", "0"],
    ]
    assert "no worker answers" in status
    one = in_process("status", ids["0.png"])
    assert "UNKNOWN: it waits in its queue, or no task has this id" in one


@pytest.mark.usefixtures("workers")
def test_the_whole_job_through_the_queue(tmp_path: Path) -> None:
    names = write_photos(tmp_path / "photos", 9)
    (tmp_path / "photos/8.png").write_bytes(b"no image")
    write_points(tmp_path / "points.csv", names)
    photos, points = str(tmp_path / "photos"), ("--points", str(tmp_path / "points.csv"))
    features = ("--features", str(tmp_path / "features"))
    model = ("--classifier", str(tmp_path / "reef.safetensors"))

    shown = table(run("status").out)
    for pool in POOLS:
        assert [pool, "0", "0", "1"] in shown
        assert [f"{pool}@cli", "0", "1"] in shown

    ran = run("submit", "extract", photos, *points, *features, *DUMMY, "--wait")
    assert ran.code == 1
    assert f"8 images extracted to {tmp_path / 'features'}" in ran.err
    assert "1 failure:\n  8.png: not an image that can be read" in ran.err
    sent = {name: task_id for task_id, name in table(ran.out)}
    assert sorted(sent) == names
    ran = run("status", sent["0.png"])
    assert ["state", "SUCCEEDED"] in table(ran.out)
    ran = run("status", sent["8.png"])
    assert ["state", "FAILED"] in table(ran.out)
    assert "ImageError: " in ran.out

    ran = run("submit", "train", *points, *features, *model, "--epochs", "2", "--wait",
              "--split-mode", "points")  # fmt: skip
    assert ran.code == 1
    assert "8.png: no features in" in ran.err
    assert "balanced accuracy" in ran.out
    task_id = table(ran.out)[0][0]
    app.AsyncResult(task_id).forget()
    ran = run("status", task_id)
    assert ["state", "SUCCEEDED"] in table(ran.out)
    assert "ref_accs" in ran.out

    output = tmp_path / "predictions.csv"
    ran = run("submit", "classify", *features, *model, "--wait", "-o", str(output))
    assert ran.code == 0, ran.err
    assert len(read_predictions(output)) == 8 * len(POINTS)
    ran = run("submit", "classify", photos, *points, *DUMMY, *model, "--wait")
    assert ran.code == 1
    assert "8.png: not an image" in ran.err


@pytest.mark.usefixtures("workers")
def test_a_batch_on_s3_learns_from_labels_and_classifies_the_rest(
    bucket: str, tmp_path: Path
) -> None:
    names = write_photos(tmp_path / "photos", 12)
    (tmp_path / "photos/7.png").write_bytes(b"")
    for name in names:
        location = DataLocation.parse(f"s3://{bucket}/photos/{name}")
        storage.store(location, (tmp_path / "photos" / name).read_bytes())
    points = write_points(tmp_path / "points.csv", names, unlabelled={"0.png", "1.png"})
    with points.open("a") as stream:
        stream.write("2.png,1,1,\n2.png,1,2,\n")
    output = tmp_path / "predictions.csv"
    ran = run(
        "submit", "batch", f"s3://{bucket}/photos", "--points", points, *DUMMY,
        "--features", f"s3://{bucket}/features", "--classifier", f"s3://{bucket}/c.safetensors",
        "--epochs", "1", "--split-mode", "points", "--wait", "-o", output,
    )  # fmt: skip
    assert ran.code == 1
    assert "1 failure:\n  7.png: the file is empty" in ran.err
    assert "12 images extracted, 0 skipped (features are current), 3 classified" in ran.err
    assert "balanced accuracy" in ran.out
    rows = read_predictions(output)
    assert [row["image"] for row in rows] == ["0.png"] * 9 + ["1.png"] * 9 + ["2.png"] * 2
    assert [(row["row"], row["column"]) for row in rows[-2:]] == [("1", "1"), ("1", "2")]
    task = run("status", table(ran.out)[0][0]).out
    assert "failures (1)" in task
    assert f"s3://{bucket}/c.safetensors" in task


@pytest.mark.usefixtures("workers")
def test_a_batch_s_predictions_are_at_the_positions_of_the_sheet(tmp_path: Path) -> None:
    names = write_photos(tmp_path / "photos", 9)
    turned = Image.Exif()
    # shown a quarter to the right, so 48 wide and 64 high, as the sheet's points have it
    turned[ORIENTATION] = 6
    for name in names:
        with Image.open(tmp_path / "photos" / name) as photo:
            photo.save(tmp_path / "photos" / name, exif=turned)
    lines = ["Name,Row,Column,Label"]
    for number, name in enumerate(names):
        label = "" if number == 0 else label_of(number)
        lines += [f"{name},{row},{column},{label}" for row, column in SHOWN]
    (tmp_path / "points.csv").write_text("\n".join(lines) + "\n")
    output = tmp_path / "predictions.csv"
    ran = run(
        "submit", "batch", tmp_path / "photos", "--points", tmp_path / "points.csv", *DUMMY,
        "--features", tmp_path / "features", "--classifier", tmp_path / "c.safetensors",
        "--epochs", "1", "--split-mode", "points", "--apply-exif", "--wait", "-o", output,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    rows = read_predictions(output)
    assert [(int(row["row"]), int(row["column"])) for row in rows] == SHOWN


@pytest.mark.usefixtures("workers")
def test_a_point_without_features_fails_its_image_alone(tmp_path: Path) -> None:
    names = write_photos(tmp_path / "photos", 6)
    points = write_points(tmp_path / "points.csv", names)
    features = ("--features", tmp_path / "features")
    model = ("--classifier", tmp_path / "c.safetensors")
    ran = run("submit", "extract", tmp_path / "photos", "--points", points, *features, *DUMMY,
              "--wait")  # fmt: skip
    assert ran.code == 0, ran.err
    ran = run("submit", "train", "--points", points, *features, *model, "--epochs", "1", "--wait",
              "--split-mode", "points")  # fmt: skip
    assert ran.code == 0, ran.err
    with points.open("a") as stream:
        stream.write("3.png,1,1,\n")
    output = tmp_path / "predictions.csv"
    ran = run("submit", "classify", "--points", points, *features, *model, "--wait", "-o", output)
    assert ran.code == 1
    assert "1 failure:\n  3.png: no features for 1 point, first row 1 column 1" in ran.err
    assert {row["image"] for row in read_predictions(output)} == {*names} - {"3.png"}


@pytest.mark.usefixtures("workers")
def test_a_failed_training_says_why_in_one_line(tmp_path: Path) -> None:
    points = write_points(tmp_path / "points.csv", write_photos(tmp_path / "photos", 6))
    for i in range(6):
        (tmp_path / "features").mkdir(exist_ok=True)
        (tmp_path / f"features/{i}.png.npz").write_bytes(b"no features")
    ran = run(
        "submit", "train", "--points", points, "--features", tmp_path / "features",
        "--classifier", tmp_path / "c.safetensors", "--split-mode", "points", "--wait",
    )  # fmt: skip
    assert ran.code == 2
    assert ".npz: not a feature file; expected" in ran.err.splitlines()[-1]
    assert "Traceback" not in ran.err

"""The first step of the page for CoralNet, over a bucket with CoralNet's names."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from spacer_tasks import storage
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.operations import process_job
from tests.support.checkout import CHECKOUT, FIXTURES_FOLDER
from tests.support.command_line import run
from tests.support.survey import DUMMY, write_photos, write_points

FIXTURES = FIXTURES_FOLDER / "pyspacer"
PAGE = (CHECKOUT / "docs" / "coralnet.md").read_text(encoding="utf-8")
IMAGES = 3


def command(what: str, bucket: str) -> list[str]:
    """As the page has it, over this bucket, and by a network that needs no weights."""
    (line,) = re.findall(rf"^spacer-tasks (verify {what} .*)$", PAGE, re.MULTILINE)
    arguments = shlex.split(line.replace("<bucket>", bucket))
    if "--weights" in arguments:
        at = arguments.index("--weights")
        arguments[at : at + 2] = DUMMY
    return arguments


@pytest.mark.usefixtures("settings_env")
def test_features_and_scores_are_verified_by_the_commands_of_the_page(
    bucket: str, tmp_path: Path
) -> None:
    def at(key: str) -> DataLocation:
        return DataLocation(storage_type="s3", bucket_name=bucket, key=f"media/{key}")

    photos = tmp_path / "photos"
    names = write_photos(photos, IMAGES)
    points = write_points(tmp_path / "points.csv", names)
    where = ("--points", points, "--features", tmp_path / "features")
    assert run("extract", photos, *where, *DUMMY).code == 0
    for name in names:
        storage.store(at(f"images/{name}"), (photos / name).read_bytes())
        made = tmp_path / "features" / f"{name}.npz"
        storage.store(at(f"images/{name}.featurevector"), made.read_bytes())
        # what CoralNet keeps beside them
        storage.store(at(f"images/{name}.150x150_q85.jpg"), (photos / name).read_bytes())
        storage.store(at(f"images/{name}.pointpk7.thumbnail.jpg"), (photos / name).read_bytes())
    ran = run(*command("features", bucket))
    assert ran.code == 0, ran.err
    assert f"{IMAGES} of {IMAGES} files" in ran.out

    expected = json.loads((FIXTURES / "int_lr.expected.json").read_text())
    task = expected["msg"]
    for field in ("feature_loc", "classifier_loc"):
        key = task[field]["key"]
        storage.store(at(f"jobs/{Path(key).name}"), (FIXTURES / key).read_bytes())
        task[field] = at(f"jobs/{Path(key).name}").model_dump()
    job = {"task_name": "classify_features", "tasks": [task]}
    answer = process_job(job).to_wire()
    assert answer["ok"], answer["error_message"]
    for number in range(IMAGES):
        storage.store(at(f"batch_jobs/{number}_job_msg.json"), json.dumps(job).encode())
        storage.store(at(f"batch_jobs/{number}_job_res.json"), json.dumps(answer).encode())
    # most of what CoralNet has there is of other jobs, and some failed
    others = {
        "extract_features": [{"extractor_loaded_remotely": True, "runtime": 1.5}],
        "train_classifier": [{"acc": 0.5, "pc_accs": [], "ref_accs": [0.5], "runtime": 1.5}],
        "classify_image": None,
    }
    for name, results in others.items():
        returned = {
            "original_job": {"task_name": name, "tasks": []},
            "ok": results is not None,
            "results": results,
            "error_message": None if results else "ValueError: x",
        }
        storage.store(at(f"batch_jobs/{name}_job_res.json"), json.dumps(returned).encode())
    ran = run(*command("scores", bucket))
    assert ran.code == 0, ran.err
    for number in range(IMAGES):
        assert f"{number}_job_res.json" in ran.out
    assert re.search(r"^over +0 ", ran.out, re.MULTILINE), ran.out


@pytest.mark.usefixtures("settings_env")
def test_a_report_is_not_written_over_an_object_of_the_prefix(bucket: str) -> None:
    loc = DataLocation.parse(f"s3://{bucket}/answers/1.json")
    storage.store(loc, b"{}")
    ran = run("verify", "scores", f"s3://{bucket}/answers", "-o", loc.uri)
    assert ran.code == 2
    assert "would be written over what it is made of" in ran.err
    assert storage.load(loc) == b"{}"

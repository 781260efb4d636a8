"""The command line on S3, and the listing that it needs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from spacer_tasks import storage
from spacer_tasks.data_classes.features import ImageFeatures
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import BucketNotFoundError, StorageError
from spacer_tasks.storage.listing import list_below
from tests.support.command_line import run
from tests.support.survey import DUMMY, POINTS, write_photos, write_points


def upload(folder: Path, uri: str) -> None:
    for path in folder.iterdir():
        storage.store(DataLocation.parse(f"{uri}/{path.name}"), path.read_bytes())


@pytest.mark.usefixtures("settings_env")
def test_photos_csv_features_and_predictions_can_all_be_on_s3(bucket: str, tmp_path: Path) -> None:
    base = f"s3://{bucket}/reef"
    names = write_photos(tmp_path / "photos", 9)
    upload(tmp_path / "photos", f"{base}/photos")
    points = write_points(tmp_path / "points.csv", names)
    storage.store(DataLocation.parse(f"{base}/points.csv"), points.read_bytes())

    where = ("--points", f"{base}/points.csv", "--features", f"{base}/features/")
    ran = run("extract", f"{base}/photos", *where, *DUMMY)
    assert ran.code == 0, ran.err
    assert "9 images extracted, 0 skipped" in ran.err
    assert "0 images extracted, 9 skipped" in run("extract", f"{base}/photos/", *where, *DUMMY).err

    ran = run("verify", "features", f"{base}/features", "--sample", "3")
    assert ran.code == 0, ran.err
    assert f"3 of 9 files in {base}/features" in ran.out
    assert run("verify", "features", f"{base}/features/3.png.npz").code == 0
    # as CoralNet has it: beside the image, without a word of where it comes from
    stored = storage.load(DataLocation.parse(f"{base}/features/3.png.npz"))
    plain = replace(ImageFeatures.from_bytes(stored, "3"), origin={}).to_bytes()
    storage.store(DataLocation.parse(f"{base}/photos/3.png.featurevector"), plain)
    for folder in (f"{base}/photos/", f"{base}/photos", f"{base}/photos/3.png.featurevector"):
        ran = run("verify", "features", folder, *DUMMY)
        assert ran.code == 0, ran.err
    storage.delete(DataLocation.parse(f"{base}/photos/3.png.featurevector"))
    assert "nothing to verify is there" in run("verify", "scores", f"{base}/none").err

    model = ("--classifier", f"{base}/c.safetensors")
    ran = run("train", *where, *model, "--epochs", "1", "--split-mode", "points")
    assert ran.code == 0, ran.err
    ran = run("classify", *model, "--features", f"{base}/features", "-o", f"{base}/p.csv")
    assert ran.code == 0, ran.err
    written = storage.load(DataLocation.parse(f"{base}/p.csv")).decode()
    assert len(written.splitlines()) == 1 + 9 * len(POINTS)

    ran = run("extract", f"{base}/photos/3.png", *where, *DUMMY, "--again")
    assert "1 image extracted" in ran.err
    ran = run("extract", f"{base}/nothing", *where, *DUMMY)
    assert ran.code == 2
    assert f"error: {base}/nothing: there is no such object, and none below it" in ran.err
    ran = run("extract", "s3://no-such-bucket-here/x", *where, *DUMMY)
    assert ran.code == 2
    assert "there is no bucket 'no-such-bucket-here'" in ran.err


@pytest.mark.usefixtures("settings_env")
def test_a_prefix_is_listed_as_a_folder_is_beyond_one_page(bucket: str, tmp_path: Path) -> None:
    names = {"a/b.jpg", "c d.jpg", "é.jpg", *(f"many/{i:04}" for i in range(1005))}
    for name in [*names, ".hidden", "a/.b.jpg.tmp", "folder/"]:
        storage.store(DataLocation.parse(f"s3://{bucket}/x/{name}"), b"1")
    storage.store(DataLocation.parse(f"s3://{bucket}/xy.jpg"), b"1")
    for text in (f"s3://{bucket}/x", f"s3://{bucket}/x/"):
        found = list_below(DataLocation.parse(text))
        assert list(found) == sorted(names)
        assert storage.load(found["a/b.jpg"]) == b"1"
    assert list_below(DataLocation.parse(f"s3://{bucket}/none")) == {}
    with pytest.raises(BucketNotFoundError):
        list_below(DataLocation.parse("s3://no-such-bucket-here/x"))
    with pytest.raises(StorageError, match="cannot be listed"):
        list_below(DataLocation.parse("https://example.org/x"))

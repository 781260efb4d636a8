"""Classifiers of a bucket are converted in bulk, and back, with CoralNet's names."""

from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path

import pytest

from spacer_tasks import storage
from spacer_tasks.classifiers import load_classifier
from spacer_tasks.classifiers.codec import format_of
from spacer_tasks.classifiers.conversion import difference
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.storage.listing import list_below
from tests.support.checkout import FIXTURES_FOLDER
from tests.support.command_line import run

FIXTURES = FIXTURES_FOLDER / "pyspacer"
KINDS = ["int_lr", "int_mlp", "str_lr", "str_mlp"]
#: a dozen of each
COUNT = 12 * len(KINDS)


@pytest.mark.usefixtures("settings_env")
def test_a_prefix_of_classifiers_is_converted_and_back(bucket: str, tmp_path: Path) -> None:
    base = f"s3://{bucket}/media"
    pickles = [(FIXTURES / f"{kind}.pkl").read_bytes() for kind in KINDS]
    for number in range(COUNT):
        name = f"{base}/classifiers/{number}"
        storage.store(DataLocation.parse(f"{name}.model"), pickles[number % len(KINDS)])
        storage.store(DataLocation.parse(f"{name}.valresult"), b'{"scores": [0.5]}')
    storage.store(DataLocation.parse(f"{base}/classifiers/bad.model"), pickles[0][:900])

    where = (f"{base}/classifiers", f"{base}/classifiers/ours")
    report = f"{base}/report.csv"
    ran = run("convert", *where, "--to", "spacer", "--threads", "8", "--report", report)
    assert ran.code == 1
    assert f"converted   {COUNT} to spacer" in ran.out
    assert f"skipped     {COUNT}, not a classifier" in ran.out
    assert "1 failure:\n  bad.model: a damaged pickle" in ran.err
    rows = list(csv.DictReader(StringIO(storage.load(DataLocation.parse(report)).decode())))
    assert len(rows) == 2 * COUNT + 1
    assert max(float(row["largest_difference"] or 0) for row in rows) <= 1e-6

    ours = list_below(DataLocation.parse(where[1]))
    assert set(ours) == {f"{number}.model" for number in range(COUNT)}
    assert {format_of(storage.load(loc)) for loc in ours.values()} == {"spacer"}
    storage.delete(ours["5.model"])
    ran = run("convert", *where, "--to", "spacer", "--match", "?.model")
    assert ran.code == 0
    assert "converted      1 to spacer" in ran.out
    assert "already there  9" in ran.out

    back = f"{base}/theirs/"
    assert run("convert", f"{where[1]}/7.model", back, "--to", "pyspacer").code == 0
    source = DataLocation.parse(f"{where[0]}/7.model")
    target = DataLocation.parse(f"{back}7.model")
    assert format_of(storage.load(target)) == "pyspacer"
    assert difference(load_classifier(source), load_classifier(target)) == pytest.approx(0)
    ran = run("convert", f"{base}/nothing", back, "--to", "pyspacer")
    assert ran.code == 2
    assert "there is no such object, and none below it" in ran.err

"""What an operator does who switches, and back, with the real reference on the other side.

`convert` makes of each scikit-learn's classifiers what the reference of today loads; `verify`
computes again what the reference stored.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.checkout import FIXTURES_FOLDER
from tests.support.command_line import run
from tests.support.environments.reference import run_reference
from tests.support.survey import DUMMY, read_predictions, write_photos, write_points

FIXTURES = FIXTURES_FOLDER / "pyspacer"
#: of each scikit-learn a classifier of each kind, some of Python 2
VERSIONS = [path.parent.name for path in sorted(FIXTURES.glob("older/*/expected.json"))]
KINDS = ["bytes_lr_2", "int_lr_4", "int_mlp_2", "str_mlp_4", "str_lr_2"]
OLDER = [
    (version, kind)
    for version in VERSIONS
    for kind in KINDS
    if (FIXTURES / "older" / version / f"{kind}.pkl").exists()
]
IMAGES = 4
REFERENCE = """
    import numpy as np
    from spacer.data_classes import DataLocation, ImageFeatures, PointFeatures
    from spacer.messages import ClassifyFeaturesMsg, JobMsg
    from spacer.storage import load_classifier
    from spacer.tasks import process_job

    def at(name):
        return DataLocation('filesystem', args['folder'] + '/' + name)

    answers = {}
    for name, vectors in args['classifiers'].items():
        classifier = load_classifier(at(name))
        answers[name] = [classifier.classes_.tolist(),
                         classifier.predict_proba(np.array(vectors)).tolist()]
    for name, points in args['features'].items():
        made = [PointFeatures(row, col, vector) for row, col, vector in points]
        ImageFeatures(made, True, len(made[0].data), len(made)).store(at(name))
    for number, job in enumerate(args['jobs']):
        tasks = [ClassifyFeaturesMsg('1', at(features), at(clf)) for features, clf in job]
        answer = process_job(JobMsg('classify_features', tasks))
        answer.store(at('batch_jobs/%d_job_res.json' % number))
        answer.original_job.store(at('batch_jobs/%d_job_msg.json' % number))
    return answers
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A folder with what the reference stored, and what it answered with converted classifiers."""
    folder = tmp_path_factory.mktemp("site")
    classifiers = {}
    for version, kind in OLDER:
        (folder / "classifiers").mkdir(exist_ok=True)
        name = f"{version}-{kind}.model"
        shutil.copy(FIXTURES / "older" / version / f"{kind}.pkl", folder / "classifiers" / name)
        expected = json.loads((FIXTURES / "older" / version / "expected.json").read_text())
        classifiers[f"theirs/{name}"] = expected["vectors"]
    for number, kind in enumerate(("int_mlp", "str_lr")):
        shutil.copy(FIXTURES / f"{kind}.pkl", folder / f"{number}.model")
    # there and back, and a rewriting of what an old scikit-learn left
    for source, target, to in (
        ("classifiers", "ours", "spacer"),
        ("ours", "theirs", "pyspacer"),
        ("classifiers", "rewritten", "pyspacer"),
    ):
        ran = run("convert", folder / source, folder / target, "--to", to)
        assert ran.code == 0, ran.err
    for name in list(classifiers):
        classifiers[name.replace("theirs", "rewritten")] = classifiers[name]
    names = write_photos(folder / "media", IMAGES)
    points = write_points(folder / "points.csv", names)
    where = ("--points", points, "--features", folder / "extracted")
    assert run("extract", folder / "media", *where, *DUMMY).code == 0
    features = {f"media/{name}.featurevector": _points(folder, name) for name in names}
    (folder / "batch_jobs").mkdir()
    int_features = [f"{FIXTURES}/features_int/{i:02}.featurevector" for i in range(5)]
    for path in int_features:
        shutil.copy(path, folder)
    jobs = [[(Path(path).name, "0.model")] for path in int_features]
    jobs += [[(Path(path).name, "1.model") for path in int_features], [("none", "0.model")]]
    args = {
        "folder": str(folder),
        "classifiers": classifiers,
        "features": features,
        "jobs": jobs,
    }
    return folder, run_reference(REFERENCE, args)


def _points(folder: Path, name: str) -> list[tuple[int, int, list[float]]]:
    stored = np.load(folder / "extracted" / f"{name}.npz")
    return [
        (int(row), int(col), vector.tolist())
        for row, col, vector in zip(stored["rows"], stored["cols"], stored["feat"], strict=True)
    ]


@pytest.mark.parametrize("how", ["theirs", "rewritten"])
@pytest.mark.parametrize(("version", "kind"), OLDER)
def test_a_converted_classifier_answers_in_the_reference_as_it_did_when_it_was_trained(
    how: str, version: str, kind: str, site: tuple[Path, Any]
) -> None:
    expected = json.loads((FIXTURES / "older" / version / "expected.json").read_text())
    answer = expected["answers"][kind]
    classes, probabilities = site[1][f"{how}/{version}-{kind}.model"]
    assert classes == answer["classes"]
    np.testing.assert_allclose(probabilities, answer["probabilities"], rtol=0, atol=1e-6)


def test_every_older_version_is_among_them() -> None:
    assert {version for version, _ in OLDER} == set(VERSIONS)
    assert len(VERSIONS) == 11


def test_features_that_the_reference_stored_are_verified(site: tuple[Path, Any]) -> None:
    folder, _ = site
    ran = run("verify", "features", folder / "media", *DUMMY, "-o", folder / "features.csv")
    assert ran.code == 0, ran.out + ran.err
    rows = read_predictions(folder / "features.csv")
    assert [row["outcome"] for row in rows] == ["equal"] * IMAGES


def test_scores_that_the_reference_stored_are_verified(site: tuple[Path, Any]) -> None:
    folder, _ = site
    ran = run("verify", "scores", folder / "batch_jobs", "-o", folder / "scores.csv")
    assert ran.code == 0, ran.out + ran.err
    rows = {Path(row["file"]).name: row for row in read_predictions(folder / "scores.csv")}
    for number in range(6):
        row = rows[f"{number}_job_res.json"]
        assert row["outcome"] == "equal"
        assert float(row["difference"]) <= 1e-6
        assert row["labels_changed"] == "0"
    assert rows["6_job_res.json"]["note"].startswith("the job failed: FileNotFoundError")
    assert rows["0_job_msg.json"]["note"] == "a job, not the answer to one"

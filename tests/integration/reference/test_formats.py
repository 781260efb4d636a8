"""The real reference and this project read each other's classifiers, features and results.

Both train from the same messages: a linear classifier and a network, labels as integers and as
texts, two classes and all. One run of the reference does all of its part.
"""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from spacer_tasks import operations
from spacer_tasks.classifiers import load_classifier, store_classifier
from spacer_tasks.data_classes.features import ImageFeatures
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.data_classes.val_results import ValResults
from spacer_tasks.messages.reference_errors import NAMES
from tests.support.checkout import FIXTURES_FOLDER
from tests.support.environments.reference import run_reference

FIXTURES = FIXTURES_FOLDER / "pyspacer"
KINDS = [f"{label}_{clf}_{n}" for label, clf, n in product(["int", "str"], ["lr", "mlp"], "2*")]
DIMENSIONS = 24
POINTS = 7
REFERENCE = """
    from spacer.data_classes import DataLocation, ImageFeatures, PointFeatures, ValResults
    from spacer.messages import ClassifyFeaturesMsg, TrainClassifierMsg
    from spacer.tasks import classify_features, train_classifier

    def at(name):
        return DataLocation('filesystem', args['folder'] + '/' + name)

    def classified(features, classifier):
        msg = ClassifyFeaturesMsg('job', at(features), at(classifier))
        return classify_features(msg).serialize()

    points = [PointFeatures(row, col, vector) for row, col, vector in args['points']]
    dimensions = len(points[0].data)
    ImageFeatures(points, True, dimensions, len(points)).store(at('theirs.featurevector'))
    ours = ImageFeatures.load(at('ours.featurevector'))
    wide = ImageFeatures.load(at('wide.featurevector'))
    kinds = {}
    for kind, message in args['messages'].items():
        trained = train_classifier(TrainClassifierMsg.deserialize(message))
        kinds[kind] = {
            'trained': trained.serialize(),
            'with_ours': classified('ours.featurevector', kind + '.ours.pkl'),
            'with_theirs': classified('ours.featurevector', kind + '.theirs.pkl'),
            'without_rowcols': classified('older.featurevector', kind + '.ours.pkl'),
            'our_valresult': ValResults.load(at(kind + '.ours.valresult')).serialize(),
        }
    return {
        'kinds': kinds,
        'features': [[point.row, point.col, point.data.tolist()] for point in ours.point_features],
        'wide': [[point.row, point.col] for point in wide.point_features],
        'features_as': [bool(ours.valid_rowcol), int(ours.feature_dim), int(ours.npoints)],
    }
"""


class Both(NamedTuple):
    """What both did: the folder with the files of both, and the answers of each."""

    folder: Path
    points: list[tuple[int, int, list[float]]]
    our_accs: dict[str, float]
    theirs: dict[str, Any]

    def at(self, name: str) -> DataLocation:
        return DataLocation(storage_type="filesystem", key=str(self.folder / name))

    def classified(self, features: str, classifier: str) -> Any:
        answer = operations.classify_features(
            {
                "job_token": "job",
                "feature_loc": self.at(features).model_dump(),
                "classifier_loc": self.at(classifier).model_dump(),
            }
        )
        return json.loads(answer.model_dump_json())


def message(kind: str, folder: Path, side: str, previous: list[str]) -> dict[str, Any]:
    """The fixtures' message, for all of its classes or the first two, to be stored in a folder."""
    label, clf, classes = kind.split("_")
    text = (FIXTURES / f"{label}_{clf}.train_msg.json").read_text()
    msg = json.loads(text.replace(f"features_{label}/", f"{FIXTURES}/features_{label}/"))
    if classes == "2":
        found = {label for images in msg["labels"].values() for image in images.values()
                 for _, _, label in image}  # fmt: skip
        kept = sorted(found)[:2]
        for images in msg["labels"].values():
            for loc, image in images.items():
                images[loc] = [point for point in image if point[2] in kept]

    def at(name: str) -> dict[str, Any]:
        key = str(folder / f"{kind}.{name}")
        return {"storage_type": "filesystem", "key": key, "bucket_name": None}

    return {
        **msg,
        "model_loc": at(f"{side}.pkl" if side == "theirs" else f"{side}.model"),
        "valresult_loc": at(f"{side}.valresult"),
        "previous_model_locs": [at(name) for name in previous],
    }


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("formats")
    generator = np.random.default_rng(3)
    vectors = generator.normal(size=(POINTS, DIMENSIONS)).astype(np.float32)
    rowcols = [(int(row), int(col)) for row, col in generator.integers(0, 2**16, (POINTS, 2))]
    points = [
        (row, col, vector.tolist()) for (row, col), vector in zip(rowcols, vectors, strict=True)
    ]
    features = ImageFeatures.of_points(rowcols, vectors, {"image": "a.jpg"})
    (folder / "ours.featurevector").write_bytes(features.to_bytes())
    # the reference writes no rows beyond 65,535, but reads them
    wide = ImageFeatures.of_points([(70_000, 100_000)], vectors[:1], {"image": "a.jpg"})
    (folder / "wide.featurevector").write_bytes(wide.to_bytes())
    (folder / "older.featurevector").write_text(json.dumps(vectors.tolist()))
    accs = {}
    for kind in KINDS:
        accs[kind] = operations.train_classifier(message(kind, folder, "ours", [])).acc
        ours = DataLocation(storage_type="filesystem", key=str(folder / f"{kind}.ours.model"))
        pickled = ours.model_copy(update={"key": str(folder / f"{kind}.ours.pkl")})
        store_classifier(pickled, load_classifier(ours), format="pyspacer")
    messages = {kind: message(kind, folder, "theirs", ["ours.pkl"]) for kind in KINDS}
    args = {"folder": str(folder), "points": points, "messages": messages}
    return Both(folder, points, accs, run_reference(REFERENCE, args))


def check_scores(found: Any, expected: Any) -> None:
    assert found["classes"] == expected["classes"]
    assert found["valid_rowcol"] == expected["valid_rowcol"]
    assert len(found["scores"]) == POINTS
    for (row, col, ours), (their_row, their_col, theirs) in zip(
        found["scores"], expected["scores"], strict=True
    ):
        assert (row, col) == (their_row, their_col)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_classifies_with_our_classifier(kind: str, both: Both) -> None:
    theirs = both.theirs["kinds"][kind]["with_ours"]
    assert len(theirs["classes"]) == 2 or kind.endswith("*")
    check_scores(both.classified("ours.featurevector", f"{kind}.ours.model"), theirs)
    check_scores(both.classified("ours.featurevector", f"{kind}.ours.pkl"), theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_we_classify_with_the_reference_s_classifier(kind: str, both: Both) -> None:
    theirs = both.theirs["kinds"][kind]["with_theirs"]
    check_scores(both.classified("ours.featurevector", f"{kind}.theirs.pkl"), theirs)
    # the same numbers from the reference's feature file
    check_scores(both.classified("theirs.featurevector", f"{kind}.theirs.pkl"), theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_each_evaluates_the_other_s_classifier_alike(kind: str, both: Both, tmp_path: Path) -> None:
    trained = both.theirs["kinds"][kind]["trained"]
    assert trained["pc_accs"] == [both.our_accs[kind]]
    again = operations.train_classifier(message(kind, both.folder, "again", ["theirs.pkl"]))
    assert again.pc_accs == [trained["acc"]]


@pytest.mark.parametrize("kind", KINDS)
def test_each_reads_the_other_s_validation_results(kind: str, both: Both) -> None:
    ours = (both.folder / f"{kind}.ours.valresult").read_text()
    assert both.theirs["kinds"][kind]["our_valresult"] == json.loads(ours)
    stored = (both.folder / f"{kind}.theirs.valresult").read_text()
    theirs = ValResults.model_validate_json(stored)
    assert json.loads(theirs.model_dump_json()) == json.loads(stored)
    right = sum(gt == est for gt, est in zip(theirs.gt, theirs.est, strict=True))
    assert right / len(theirs.gt) == both.theirs["kinds"][kind]["trained"]["acc"]


def test_the_reference_reads_our_features(both: Both) -> None:
    assert both.theirs["features_as"] == [True, DIMENSIONS, POINTS]
    assert [tuple(point) for point in both.theirs["features"]] == both.points
    assert both.theirs["wide"] == [[70_000, 100_000]]


def test_we_read_the_reference_s_features(both: Both) -> None:
    data = (both.folder / "theirs.featurevector").read_bytes()
    features = ImageFeatures.from_bytes(data, "theirs.featurevector")
    assert features.rowcols() == [(row, col) for row, col, _ in both.points]
    expected = np.array([vector for _, _, vector in both.points])
    np.testing.assert_array_equal(features.vectors, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_older_features_without_rows_and_columns_are_classified_alike(
    kind: str, both: Both
) -> None:
    theirs = both.theirs["kinds"][kind]["without_rowcols"]
    assert not theirs["valid_rowcol"]
    check_scores(both.classified("older.featurevector", f"{kind}.ours.model"), theirs)


def test_the_names_of_errors_are_the_reference_s() -> None:
    body = """
    from importlib import import_module
    split = [name.rpartition('.') for name in args]
    return [issubclass(getattr(import_module(module or 'builtins'), cls), Exception)
            for module, _, cls in split]
    """
    assert all(run_reference(body, sorted(set(NAMES.values()))))

"""`spacer-tasks verify scores`: what jobs' answers hold is classified again and compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from spacer_tasks import operations
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import StorageUnavailableError
from spacer_tasks.results import StoredAnswer
from spacer_tasks.verification.checks import Check, Summary, verified
from spacer_tasks.verification.sampling import draw
from tests.support.checkout import FIXTURES_FOLDER
from tests.support.command_line import run
from tests.support.survey import read_predictions, write_photos

FIXTURES = FIXTURES_FOLDER / "pyspacer"


@pytest.fixture(autouse=True)
def in_a_folder(
    settings_changed: Callable[[], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("batch_jobs").mkdir()
    write_photos(tmp_path / "photos", 1)


def at(path: Path | str) -> dict[str, Any]:
    return {"storage_type": "filesystem", "key": str(Path(path).resolve()), "bucket_name": None}


def features_job(kind: str, *images: int) -> dict[str, Any]:
    label = kind[:3]
    tasks = [
        {
            "job_token": "1",
            "feature_loc": at(FIXTURES / f"features_{label}" / f"{image:02}.featurevector"),
            "classifier_loc": at(FIXTURES / f"{kind}.pkl"),
        }
        for image in images
    ]
    return {"task_name": "classify_features", "tasks": tasks}


def image_job(**changes: Any) -> dict[str, Any]:
    task = {
        "job_token": "1",
        # as versions before 0.11 name it
        "extractor": {
            "class_path": "spacer.extract_features.DummyExtractor",
            "data_locations": {},
            "feature_dim": 24,
        },
        "rowcols": [[1, 2], [30, 40]],
        "image_loc": at("photos/0.png"),
        "classifier_loc": at(FIXTURES / "int_mlp.pkl"),
    }
    return {"task_name": "classify_image", "tasks": [{**task, **changes}]}


def answer(job: dict[str, Any]) -> dict[str, Any]:
    return operations.process_job(job).to_wire()


def store(name: str, content: Any) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    Path("batch_jobs", name).write_text(text)


def rows_of(path: str) -> dict[str, dict[str, str]]:
    return {Path(row["file"]).name: row for row in read_predictions(Path(path))}


def test_scores_that_are_as_computed_pass() -> None:
    expected = json.loads((FIXTURES / "str_mlp.expected.json").read_text())
    job = features_job("str_mlp", 0)
    # what the reference itself answered
    store(
        "0_job_res.json",
        {"original_job": job, "ok": True, "results": [expected["return"]], "error_message": None},
    )
    store("1_job_res.json", answer(features_job("int_lr", 1, 2, 3)))
    store("2_job_res.json", answer(image_job()))
    stored = StoredAnswer(
        task_id="a",
        task_name="spacer_tasks.process_job",
        finished_at=datetime.now(timezone.utc),
        worker="w",
        answer=answer(features_job("int_mlp", 4)),
    )
    store("a.json", stored.model_dump_json())
    ran = run("verify", "scores", "batch_jobs", "-o", "report.csv")
    assert ran.code == 0, ran.out + ran.err
    assert "verified    4 files" in ran.out
    assert "0 over the tolerance of 1e-06 (0.001 where scores are of images)" in ran.out
    rows = rows_of("report.csv")
    assert {row["outcome"] for row in rows.values()} == {"equal"}
    assert rows["0_job_res.json"]["points"] == str(len(expected["return"]["scores"]))
    assert float(rows["0_job_res.json"]["difference"]) <= 1e-6
    assert rows["0_job_res.json"]["labels_changed"] == "0"
    assert rows["0_job_res.json"]["computed_from"].endswith("features_str/00.featurevector")
    assert rows["0_job_res.json"]["by"].endswith("str_mlp.pkl")
    assert rows["1_job_res.json"]["points"] == "36"
    assert rows["1_job_res.json"]["computed_from"].endswith(" and 2 more")
    assert rows["2_job_res.json"]["computed_from"].endswith("photos/0.png")


def test_a_probability_that_is_off_is_found_with_its_point() -> None:
    stored = answer(features_job("int_mlp", 0))
    row, column, scores = stored["results"][0]["scores"][3]
    best = max(range(len(scores)), key=scores.__getitem__)
    scores[best] -= 0.9
    store("0.json", stored)
    store("1.json", answer(features_job("int_mlp", 1)))
    ran = run("verify", "scores", "batch_jobs", "-o", "report.csv")
    assert ran.code == 1
    assert f"differs, most at row {row} column {column}" in ran.out
    assert "worst       9.0e-01" in ran.out
    found = rows_of("report.csv")["0.json"]
    assert (found["worst_row"], found["worst_column"]) == (str(row), str(column))
    assert found["labels_changed"] == "1"


def test_scores_of_images_have_a_tolerance_of_their_own() -> None:
    stored = answer(image_job())
    stored["results"][0]["scores"][1][2][0] += 1e-4
    store("0.json", stored)
    assert run("verify", "scores", "batch_jobs").code == 0
    assert run("verify", "scores", "batch_jobs", "--image-tolerance", "1e-5").code == 1


def test_labels_in_another_order_are_the_same_scores() -> None:
    stored = answer(features_job("int_mlp", 0))
    result = stored["results"][0]
    result["classes"].reverse()
    for point in result["scores"]:
        point[2].reverse()
    store("0.json", stored)
    assert run("verify", "scores", "batch_jobs").code == 0


def test_other_points_or_labels_are_an_infinite_difference() -> None:
    points, labels, none = (answer(features_job("int_mlp", 0)) for _ in range(3))
    del points["results"][0]["scores"][5]
    labels["results"][0]["classes"][0] = "3"
    none["results"][0]["scores"][0][2][0] = float("nan")
    for name, stored in (("0.json", points), ("1.json", labels), ("2.json", none)):
        store(name, stored)
    ran = run("verify", "scores", "batch_jobs", "-o", "report.csv")
    assert ran.code == 1
    assert "worst       infinite" in ran.out
    rows = rows_of("report.csv")
    assert [row["difference"] for row in rows.values()] == ["inf"] * 3
    assert rows["0.json"]["note"] == "stored are other points (11) than there are now (12)"
    assert rows["1.json"]["note"] == "stored are other labels (4) than the classifier knows (4)"


def test_damaged_answers_are_failures_and_the_rest_is_verified() -> None:
    few, results, ragged = (answer(features_job("int_mlp", 0)) for _ in range(3))
    few["results"] = []
    results["results"][0]["scores"] = "none"
    del ragged["results"][0]["scores"][2][2][0]
    for number, stored in enumerate((few, results, ragged)):
        store(f"{number}.json", stored)
    store("3.json", answer(features_job("int_mlp", 0)))
    ran = run("verify", "scores", "batch_jobs")
    assert ran.code == 1
    assert "verified    1 file" in ran.out
    assert "3 files failed:" in ran.err
    assert "0 results of 1 tasks" in ran.err
    assert "ClassifyReturnMsg: scores:" in ran.err
    assert "3 scores at row" in ran.err


def reasons() -> dict[str, tuple[Any, str]]:
    job = features_job("int_mlp", 0)
    gone = json.loads(json.dumps(job).replace("int_mlp.pkl", "gone.pkl"))
    good = {"ok": True, "results": [], "error_message": None}
    own: dict[str, Any] = {
        "task_id": "1",
        "finished_at": "2026-01-01T00:00:00Z",
        "worker": None,
        "answer": {},
    }
    failed = {"ok": False, "results": None, "error_message": "Traceback\n\na.B: too bad"}
    return {
        "a.json": (job, "a job, not the answer to one"),
        "b.json": ({**failed, "original_job": job}, "the job failed: a.B: too bad"),
        "c.json": (
            {**good, "original_job": {"task_name": "train_classifier", "tasks": []}},
            "an answer to train_classifier, which holds no scores",
        ),
        "d.json": (
            {**own, "task_name": "spacer_tasks.classify_features"},
            "the answer of spacer_tasks.classify_features, which does not say what it was",
        ),
        "e.json": (
            {**own, "task_name": "spacer_tasks.process_job", "error": {"message": "lost"}},
            "the task failed: lost",
        ),
        "f.json": (
            {"runtime": 1, "scores": [], "classes": [], "valid_rowcol": True},
            "scores that do not say what they were computed from",
        ),
        "g.json": ((FIXTURES / "int_lr.valresult.json").read_text(), "validation results"),
        "h.json": ("[1, 2]", "no stored scores"),
        "i.json": ("no JSON", "no stored scores"),
        "j.csv": (
            "image,row,column,label,probability\na.jpg,1,2,coral,0.9\n",
            "predictions of the command line, which name neither their classifier nor",
        ),
        "k.json": (
            {**good, "original_job": {**job, "tasks": [{"feature_extractor_name": "old"}]}},
            "its job cannot be read: ClassifyFeaturesMsg: ",
        ),
        "l.json": (
            {
                **good,
                "original_job": gone,
                "results": [{"runtime": 1, "scores": [[1, 2, [1]]], "classes": [1],
                             "valid_rowcol": True}],
            },
            "no file ",
        ),
    }  # fmt: skip


def test_why_a_file_cannot_be_verified_is_told_of_each() -> None:
    for name, (content, _) in reasons().items():
        store(name, content)
    store("z.json", answer(features_job("int_mlp", 0)))
    ran = run("verify", "scores", "batch_jobs", "--sample", "5", "-o", "report.csv")
    assert ran.code == 0, ran.err
    rows = rows_of("report.csv")
    for name, (_, text) in reasons().items():
        assert rows[name]["outcome"] == "not verified"
        assert rows[name]["note"].startswith(text)
    assert f"{len(reasons())} files not verified:" in ran.err
    assert "  h.json, i.json: no stored scores" in ran.err or (
        "  i.json, h.json: no stored scores" in ran.err
    )
    assert run("verify", "scores", "batch_jobs", "--match", "[abc].json").code == 2


def test_an_interrupted_run_tells_what_it_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        store(f"{number}.json", answer(features_job("int_mlp", number)))
    classify, calls = operations.classify_features, []

    def interrupted(task: Any) -> Any:
        calls.append(task)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return classify(task)

    monkeypatch.setattr(operations, "classify_features", interrupted)
    ran = run("verify", "scores", "batch_jobs", "-o", "report.csv")
    assert ran.code == 130
    assert "verified    1 file" in ran.out
    assert "Interrupted: the rest of the sample was not verified" in ran.err
    assert len(rows_of("report.csv")) == 1


def numbered(count: int) -> list[tuple[str, DataLocation]]:
    loc = DataLocation(storage_type="memory", key="a")
    return [(str(number), loc) for number in range(count)]


def equal(name: str, loc: DataLocation) -> Check:
    return Check(name, loc, "equal", difference=float(name))


def test_files_are_looked_at_until_enough_were_verified() -> None:
    def only_odd(name: str, loc: DataLocation) -> Check:
        return equal(name, loc) if int(name) % 2 else Check(name, loc, "not verified")

    found = list(verified(numbered(100), only_odd, 3))
    assert [each.name for each in found] == ["0", "1", "2", "3", "4", "5"]
    summary = Summary.of(found)
    assert (summary.verified, summary.over, summary.median, summary.worst) == (3, 0, 3, 5)
    assert Summary.of([]).worst is None


def test_a_bug_or_a_passing_failure_in_one_file_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    errors: dict[str, Exception] = {
        "1": KeyError("never thought of"),
        "3": StorageUnavailableError("away"),
        "4": StorageUnavailableError("away"),
    }

    def sometimes(name: str, loc: DataLocation) -> Check:
        if name in errors:
            raise errors[name]
        return equal(name, loc)

    found = list(verified(numbered(7), sometimes, 7))
    assert [each.name for each in found if each.outcome == "failed"] == ["1", "3", "4"]
    assert found[1].note == "KeyError: 'never thought of'"
    assert "Traceback" in caplog.text
    errors["5"] = errors["4"]
    with pytest.raises(StorageUnavailableError):
        list(verified(numbered(7), sometimes, 7))


def test_the_order_of_a_sample_stays_when_files_are_added() -> None:
    folder = DataLocation(storage_type="filesystem", key=str(Path("many").resolve()))
    Path("many").mkdir()

    def drawn(count: int) -> list[str]:
        found = draw(folder, count, 5, lambda name: name.endswith(".json"))
        assert found.total == len(list(Path("many").glob("*.json")))
        return [name for name, _ in found.files]

    for number in range(50):
        Path("many", f"{number}.json").touch()
        Path("many", f"{number}.txt").touch()
    before = drawn(50)
    assert drawn(10) == before[:10]
    assert before != sorted(before)
    for number in range(50, 60):
        Path("many", f"{number}.json").touch()
    assert [name for name in drawn(60) if name in before] == before

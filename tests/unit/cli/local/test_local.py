"""The researcher's three commands, on a folder of photos, with no server."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from spacer_tasks.classifiers import load_classifier
from spacer_tasks.data_classes.features import ImageFeatures
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.data_classes.val_results import ValResults
from spacer_tasks.training import Metrics
from tests.support.command_line import Ran, run
from tests.support.survey import DUMMY, LABELS, POINTS, read_predictions, write_photos, write_points


@pytest.fixture(autouse=True)
def plain_settings(
    settings_changed: Callable[[], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in os.environ if name.startswith("SPACER_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    settings_changed()


@pytest.fixture
def survey(tmp_path: Path) -> Path:
    """Twelve photos and their points."""
    names = write_photos(tmp_path / "photos", 12)
    write_points(tmp_path / "points.csv", names)
    return tmp_path


def extract(images: str = "photos", *more: str) -> Ran:
    return run("extract", images, "--points", "points.csv", "--features", "features", *DUMMY, *more)


def train(*more: str) -> Ran:
    where = ("--features", "features", "--classifier", "out/reef.safetensors")
    return run("train", "--points", "points.csv", *where, "--split-mode", "points", *more)


def classify(*more: str) -> Ran:
    return run("classify", "--classifier", "out/reef.safetensors", "-o", "predictions.csv", *more)


def test_a_feature_file_whose_name_is_no_text_costs_its_image_alone(survey: Path) -> None:
    extract()
    train("--epochs", "1")
    some = survey / "features/3.png.npz"
    some.with_name(os.fsdecode(b"\xff.png.npz")).write_bytes(some.read_bytes())
    ran = classify("--features", "features")
    assert ran.code == 1
    assert "its name is not UTF-8" in ran.err
    assert len(read_predictions(survey / "predictions.csv")) == 12 * len(POINTS)


def test_three_commands_lead_from_photos_to_predictions(survey: Path) -> None:
    ran = extract()
    assert (ran.code, ran.out) == (0, "")
    assert "12 images extracted, 0 skipped" in ran.err
    features = ImageFeatures.from_bytes((survey / "features/3.png.npz").read_bytes(), "3")
    assert features.rowcols() == POINTS

    ran = train("--epochs", "2")
    assert ran.code == 0, ran.err
    val = ValResults.model_validate_json((survey / "out/reef.valresult.json").read_text())
    metrics = Metrics.model_validate_json((survey / "out/reef.valresult.metrics.json").read_text())
    assert val.classes == metrics.classes == LABELS
    assert f"accuracy           {metrics.accuracy:.1%} of {len(val.gt)} validation" in ran.out
    assert f"balanced accuracy  {metrics.balanced_accuracy:.1%}" in ran.out
    for each in metrics.per_class:
        assert f"{each.label}" in ran.out
    assert str(survey / "out/reef.safetensors") in ran.out
    location = DataLocation(storage_type="filesystem", key=str(survey / "out/reef.safetensors"))
    assert load_classifier(location).trained["nbr_epochs"] == 2

    ran = classify("--features", "features", "--top", "2")
    assert ran.code == 0
    rows = read_predictions(survey / "predictions.csv")
    assert len(rows) == 12 * len(POINTS)
    assert list(rows[0]) == [
        "image",
        "row",
        "column",
        "label",
        "probability",
        "label_2",
        "probability_2",
    ]
    images = {row["image"] for row in rows}
    assert images == {f"{i}.png" for i in range(12)}
    points = [(int(row["row"]), int(row["column"])) for row in rows if row["image"] == "3.png"]
    assert points == POINTS
    for row in rows:
        assert float(row["probability"]) >= float(row["probability_2"])
        assert row["label"] != row["label_2"]


def test_images_are_classified_directly_as_through_stored_features(survey: Path) -> None:
    extract()
    train("--epochs", "1", "--type", "LR")
    assert classify("--features", "features").code == 0
    stored = sorted(map(str, read_predictions(survey / "predictions.csv")))
    assert classify("photos", "--points", "points.csv", *DUMMY).code == 0
    assert sorted(map(str, read_predictions(survey / "predictions.csv"))) == stored
    ran = classify("photos", "--points", "points.csv", *DUMMY, "--features", "kept")
    assert ran.code == 0
    assert sorted(map(str, read_predictions(survey / "predictions.csv"))) == stored
    assert (survey / "kept/0.png.npz").is_file()


def test_predictions_for_another_tool_hold_the_same_labels(survey: Path) -> None:
    extract()
    train("--epochs", "1")
    assert classify("--features", "features").code == 0
    rows = read_predictions(survey / "predictions.csv")
    assert classify("--features", "features", "--to", "coralnet").code == 0
    others = read_predictions(survey / "predictions.csv")
    assert [row["Label"] for row in others] == [row["label"] for row in rows]
    ran = classify("--features", "features", "--to", "xlsx", "--threshold", "0.5")
    assert ran.code == 2


def test_current_features_are_skipped_and_others_are_not(survey: Path) -> None:
    extract()
    write_photos(survey / "photos", 1)
    half = survey / "features/5.png.npz"
    half.write_bytes(half.read_bytes()[:60])
    write_points(survey / "more.csv", ["7.png"])
    ran = extract()
    assert ran.code == 0
    assert "2 images extracted, 10 skipped" in ran.err
    assert "12 images extracted, 0 skipped" in extract("photos", "--again").err


def test_bad_images_are_listed_at_the_end_and_the_rest_is_done(survey: Path) -> None:
    photos = survey / "photos"
    (photos / "3.png").write_bytes(b"no image")
    (photos / "4.png").write_bytes((photos / "4.png").read_bytes()[:60])
    (photos / "unused.jpg").write_bytes(b"")
    (photos / "notes.txt").write_bytes(b"")
    with (survey / "points.csv").open("a") as stream:
        stream.write("12.png,1,1,sand\n5.PNG,1,1,sand\n6.png,48,1,sand\n")
    ran = extract()
    assert ran.code == 1
    assert "warning: 1 image without points in points.csv left out: unused.jpg" in ran.err
    assert "warning: 6.png: 1 point outside, first line 112: row 48 column 1" in ran.err
    assert "10 images extracted, 0 skipped (features are current), 4 failed" in ran.err
    lines = ran.err.splitlines()
    assert lines[-5:-2] == [
        "4 failures:",
        "  12.png: not in photos; is it 2.png?",
        "  5.PNG: would be 5.png, which the sheet also calls '5.png'",
    ]
    assert "  3.png: not an image that can be read" in lines[-2]
    assert "  4.png: no pixel of the image can be read; it is cut short" in lines[-1]

    ran = train("--epochs", "1")
    assert ran.code == 1
    assert "4 failures:\n  3.png: no features in " in ran.err
    assert (survey / "out/reef.safetensors").is_file()


def cut(photo: Path) -> None:
    """Leave two thirds of a photo."""
    data = photo.read_bytes()
    photo.write_bytes(data[: len(data) * 2 // 3])


def test_incomplete_images_are_extracted_warned_of_once_and_counted(survey: Path) -> None:
    for name in ("3.png", "7.png"):
        cut(survey / "photos" / name)
    said = "the image is incomplete: cut short: image file is truncated; the last "
    for expected in ("12 images extracted, 0 skipped", "0 images extracted, 12 skipped"):
        ran = extract()
        assert ran.code == 0
        assert expected in ran.err
        for name in ("3.png", "7.png"):
            assert ran.err.count(f"warning: {name}: {said}") == 1
        assert ran.err.count("warning: ") == 2
        assert ran.err.count("2 incomplete images, read as far as they go") == 1
    features = ImageFeatures.from_bytes((survey / "features/3.png.npz").read_bytes(), "")
    assert features.incomplete is not None
    assert f"the image is incomplete: {features.incomplete}\n" in ran.err
    whole = ImageFeatures.from_bytes((survey / "features/4.png.npz").read_bytes(), "")
    assert whole.incomplete is None
    assert "incomplete" not in whole.origin


def test_incomplete_images_are_classified_warned_of_once_and_counted(survey: Path) -> None:
    extract()
    train("--epochs", "1")
    cut(survey / "photos" / "3.png")
    images = ("photos", "--points", "points.csv", *DUMMY)
    for arguments in (images, (*images, "--features", "again"), ("--features", "again")):
        ran = classify(*arguments)
        assert ran.code == 0
        assert ran.err.count("warning: 3.png: the image is incomplete: cut short: ") == 1
        assert ran.err.count("1 incomplete image, read as far as they go") == 1
        assert len({row["image"] for row in read_predictions(survey / "predictions.csv")}) == 12


def test_incomplete_images_fail_where_they_are_refused(
    survey: Path, settings_changed: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    cut(survey / "photos" / "3.png")
    assert extract().code == 0
    monkeypatch.setenv("SPACER_INCOMPLETE_IMAGES", "refuse")
    settings_changed()
    ran = extract()
    assert ran.code == 1
    assert "0 images extracted, 11 skipped (features are current), 1 failed" in ran.err
    assert "  3.png: the image is damaged or cut short (image file is truncated)" in ran.err
    assert "incomplete" not in ran.err


def test_a_storage_that_is_away_ends_the_extraction_before_all_images_were_tried(
    survey: Path, settings_changed: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_photos(survey / "photos", 40)
    write_points(survey / "points.csv", [f"{i}.png" for i in range(40)])
    monkeypatch.setenv("SPACER_S3_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("SPACER_AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("SPACER_AWS_SECRET_ACCESS_KEY", "none")
    settings_changed()
    ran = run(
        "extract", "photos", "--points", "points.csv", "--features", "s3://bucket/features", *DUMMY
    )
    assert ran.code == 2
    assert "the features of 0 images are stored; the same command again goes on" in ran.err


def test_threads_of_the_network_are_as_before_after_an_extraction(survey: Path) -> None:
    import torch

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert extract().code == 0
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_one_image_or_a_folder_of_folders_can_be_given(survey: Path) -> None:
    ran = extract("photos/3.png")
    assert "1 image extracted" in ran.err
    assert [each.name for each in Path("features").iterdir()] == ["3.png.npz"]
    write_photos(survey / "deep/site 1/a", 2)
    write_photos(survey / "deep/site 2", 1)
    write_points(survey / "points.csv", ["site 1/a/0.png", "1.png", "0.png"])
    ran = extract("deep")
    assert ran.code == 1
    assert "2 images extracted" in ran.err
    assert "  0.png: 2 files have this name: site 1/a/0.png, site 2/0.png" in ran.err
    assert (survey / "features/site 1/a/0.png.npz").is_file()


def test_a_report_shows_the_validation_photos_that_are_still_there(survey: Path) -> None:
    extract()
    (survey / "photos/0.png").unlink()
    (survey / "photos/1.png").write_bytes(b"no image any more")
    ran = train("--epochs", "1", "--ratios", "0.2", "0.6", "--report", "report.html")
    assert ran.code == 0, ran.err
    page = (survey / "report.html").read_text()
    assert "EfficientNet" not in page
    assert "spacer_tasks.extractors.DummyExtractor" in page
    assert page.count("data:image/") >= 1
    assert str(survey / "report.html") in ran.out
    warnings = [line for line in ran.err.splitlines() if "not shown in the report" in line]
    assert all("0.png" in line or "1.png" in line for line in warnings)
    assert len(warnings) == 2


def test_labels_left_empty_are_points_to_classify_not_to_train_on(survey: Path) -> None:
    write_points(survey / "points.csv", [f"{i}.png" for i in range(12)], unlabelled={"0.png"})
    extract()
    ran = train("--epochs", "1")
    assert ran.code == 0
    assert "warning: 9 points without a label left out of the training" in ran.err
    metrics = json.loads((survey / "out/reef.valresult.metrics.json").read_text())
    assert metrics["classes"] == LABELS


def test_training_options_reach_the_training(survey: Path) -> None:
    extract()
    train("--epochs", "1")
    earlier = survey / "earlier.safetensors"
    (survey / "out/reef.safetensors").rename(earlier)
    ran = train(
        "--epochs", "1", "--type", "LR", "--ratios", "0.2", "0.3", "--accept", "sand",
        "--accept", "coral", "--previous", str(earlier), "--valresult", "v/val.json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "labels: 36 train, 14 ref, 22 val" in ran.err
    assert "earlier.safetensors" in ran.out
    val = ValResults.model_validate_json((survey / "v/val.json").read_text())
    assert val.classes == ["coral", "sand"]
    assert (survey / "v/val.metrics.json").is_file()


def test_integer_labels_stay_integers_to_the_end(survey: Path) -> None:
    text = (survey / "points.csv").read_text()
    for number, label in enumerate(LABELS):
        text = text.replace(f",{label}\n", f",{number}\n")
    (survey / "points.csv").write_text(text)
    extract()
    train("--epochs", "1", "--integer-labels", "--accept", "0", "--accept", "2")
    val = ValResults.model_validate_json((survey / "out/reef.valresult.json").read_text())
    assert val.classes == [0, 2]


def test_points_choose_among_stored_features(survey: Path) -> None:
    extract()
    train("--epochs", "1")
    (survey / "some.csv").write_text("x,y,file\n54,38,3.png\n10,10,3.png\n1,1,4.png\n9,9,no.png\n")
    ran = classify("--features", "features", "--points", "some.csv")
    assert ran.code == 1
    rows = [
        (row["image"], row["row"], row["column"])
        for row in read_predictions(Path("predictions.csv"))
    ]
    assert rows == [("3.png", "38", "54"), ("3.png", "10", "10")]
    assert "  no.png: no features in " in ran.err
    assert "  4.png: no features for 1 point, first row 1 column 1" in ran.err


def check_error(ran: Ran, text: str) -> None:
    assert ran.code == 2
    assert ran.out == ""
    assert f"error: {text}" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.usefixtures("survey")
class TestWhatCannotBegin:
    def test_no_csv(self) -> None:
        check_error(
            run("train", "--points", "no.csv", "--features", "f", "--classifier", "c"), "no file"
        )

    def test_a_wrong_csv(self) -> None:
        Path("points.csv").write_text("Name,Row,Column\n0.png,1,x\n")
        check_error(extract(), "points.csv: line 2, column Column: found 'x', expected an integer")

    def test_no_folder_of_images(self) -> None:
        check_error(extract("nowhere"), "no file ")

    def test_none_of_the_images_there(self) -> None:
        Path("points.csv").write_text("Name,Row,Column\nx.jpg,1,1\n")
        check_error(
            extract(), "points.csv: none of its 1 image (x.jpg) is in photos, where there are"
        )

    def test_an_unknown_extractor_or_option(self) -> None:
        options = ("--points", "points.csv", "--features", "f")
        check_error(
            run("extract", "photos", *options, "--extractor", "resnet"), "no extractor 'resnet'"
        )
        ran = run(
            "extract", "photos", *options, "--extractor", "dummy", "--extractor-option", "dim=3"
        )
        check_error(ran, "extractor dummy: unknown option dim")
        ran = run("extract", "photos", *options, "--extractor", "efficientnet")
        assert ran.code == 2
        assert "efficientnet needs its file weights" in ran.err

    def test_weights_that_are_missing_wrong_or_of_another_hash(self) -> None:
        options = ("--points", "points.csv", "--features", "f", "--weights")
        check_error(run("extract", "photos", *options, "no.pt"), "no file")
        check_error(run("extract", "photos", *options, "points.csv"), "spacer_tasks.extractors.Eff")
        ran = run("extract", "photos", *options, "points.csv", "--sha256", "0" * 64)
        assert ran.code == 2
        assert "0" * 64 in ran.err

    def test_a_location_that_is_none(self) -> None:
        check_error(extract("s3://"), "'s3://' is no location")

    def test_training_without_features_or_labels(self) -> None:
        Path("features").mkdir()
        check_error(train(), f"{Path('features').resolve()}: no features of 0.png, 1.png")
        Path("points.csv").write_text("Name,Row,Column,Label\n0.png,1,1,\n")
        check_error(train(), "points.csv: no point has a label")
        Path("points.csv").write_text("Name,Row,Column\n0.png,1,1\n")
        check_error(train(), "points.csv (whose first line")

    def test_training_on_one_label_or_an_unknown_one(self) -> None:
        extract()
        check_error(train("--accept", "sand"), "training needs two classes or more")
        check_error(train("--accept", "gold"), "points.csv: no point has the label 'gold'")

    def test_a_classifier_that_is_none_or_of_another_dimension(self) -> None:
        extract()
        Path("out").mkdir()
        Path("out/reef.safetensors").write_bytes(b"\x80\x04pickle")
        ran = classify("--features", "features")
        check_error(ran, f"{Path('out/reef.safetensors').resolve()}: a pickle that is not read")
        train("--epochs", "1")
        ran = run(
            "classify", "photos", "--points", "points.csv", "--extractor", "dummy",
            "--extractor-option", "feature_dim=8", "--classifier", "out/reef.safetensors",
            "-o", "p.csv",
        )  # fmt: skip
        assert ran.code == 1
        assert "no point was classified: p.csv is not written" in ran.err
        assert not Path("p.csv").exists()

    def test_options_that_do_not_go_together(self) -> None:
        extract()
        train("--epochs", "1")
        assert classify().code == 2
        assert classify("photos", *DUMMY).code == 2


def test_labels_are_trained_under_new_names_and_in_groups(survey: Path) -> None:
    extract()
    (survey / "map.csv").write_text("old,new\nalgae,turf\nrubble,sand\n")
    (survey / "groups.csv").write_text("label,group\nturf,living\ncoral,living\n")
    ran = train("--epochs", "1", "--map", "map.csv", "--groups", "groups.csv")
    assert ran.code == 0, ran.err
    assert "warning: map.csv: 2 labels not in it kept as named: coral, sand" in ran.err
    assert "warning: map.csv: no point has rubble" in ran.err
    assert "warning: groups.csv: 1 label not in it each its own group: sand" in ran.err
    location = DataLocation(storage_type="filesystem", key=str(survey / "out/reef.safetensors"))
    assert load_classifier(location).classes == ["living", "sand"]


def test_predictions_for_cpce_are_a_file_for_each_photo_and_are_read_back(survey: Path) -> None:
    assert extract().code == 0
    assert train("--epochs", "2").code == 0
    assert classify("--features", "features").code == 0
    expected = read_predictions(survey / "predictions.csv")

    model = ("--classifier", "out/reef.safetensors", "--features", "features")
    ran = run("classify", *model, "-o", "cpce", "--to", "cpce")
    assert ran.code == 0, ran.err
    assert "12 photos with a .cpc file in cpce" in ran.err
    assert len(list((survey / "cpce").glob("*.cpc"))) == 12

    ran = run("classify", *model, "--points", "cpce", "-o", "again.csv")
    assert ran.code == 0, ran.err
    assert sorted(map(str, read_predictions(survey / "again.csv"))) == sorted(map(str, expected))

    assert "it is a folder" in run("classify", *model, "-o", "x.cpc", "--to", "cpce").err

"""Predictions as .cpc files: none lost, none changed in silence."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from spacer_tasks.cli.local.cpce_output import write_cpc_files
from spacer_tasks.cli.predictions import Predictions
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import InputError
from spacer_tasks.messages.specs import ExtractorSpec
from spacer_tasks.messages.tasks import ClassifyImageMsg, ClassifyReturnMsg


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(names: list[str], classes: list[str]) -> dict[str, str]:
    """Write a point on each photo, of these classes, the first the most probable."""
    predictions = Predictions(top=len(classes))
    messages = {}
    scores = [0.9, *[0.1 / (len(classes) - 1)] * (len(classes) - 1)]
    for number, name in enumerate(names):
        photo = Path("photos", f"{number}.png")
        photo.parent.mkdir(exist_ok=True)
        Image.new("RGB", (60, 40 + number)).save(photo)
        messages[name] = ClassifyImageMsg(
            job_token=name,
            extractor=ExtractorSpec(class_path="dummy"),
            rowcols=[(1, 2)],
            image_loc=DataLocation.parse(str(photo.absolute())),
            classifier_loc=DataLocation.parse("c"),
        )
        answer = ClassifyReturnMsg(
            runtime=1, scores=[(1, 2, scores)], classes=classes, valid_rowcol=True
        )
        predictions.add(name, answer)
    return write_cpc_files(predictions, "out", messages, turned=False)


def test_photos_of_one_name_and_several_extensions_have_a_file_each() -> None:
    assert write(["A.jpg", "a.png", "s/A.JPG"], ["Sand", "Turf"]) == {}
    heads = {
        str(path.relative_to("out")): path.read_text().splitlines()[0]
        for path in Path("out").rglob("*.cpc")
    }
    assert heads == {
        "A.cpc": '"","A.jpg",900,600,900,600',
        "a.png.cpc": '"","a.png",900,615,900,615',
        "s/A.cpc": '"","s/A.JPG",900,630,900,630',
    }


def test_labels_that_cpce_cannot_write_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert write(["A.jpg"], ['dead "old" \u73ca', "Turf"]) == {}
    assert "labels that CPCe cannot write have other letters" in capsys.readouterr().err


def test_labels_that_would_become_one_are_refused() -> None:
    with pytest.raises(InputError, match=r"would both be '\?\?' in its files"):
        write(["A.jpg"], ["\u73ca\u745a", "\u6d77\u85fb"])
    assert not Path("out").exists()


def test_a_photo_whose_name_cpce_cannot_write_is_named_and_the_others_are_written() -> None:
    failures = write(["\u73ca.jpg", "B.jpg"], ["Sand", "Turf"])
    assert list(failures) == ["\u73ca.jpg"]
    assert "cannot write this name" in failures["\u73ca.jpg"]
    assert [path.name for path in Path("out").iterdir()] == ["B.cpc"]

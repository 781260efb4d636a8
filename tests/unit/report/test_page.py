"""The report's numbers, and that it needs nothing but itself."""

from __future__ import annotations

import base64
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spacer_tasks.data_classes.val_results import ValResults
from spacer_tasks.exceptions import TrainingLabelsError
from spacer_tasks.report.curves import calibration_curve, takes_over, thinned, thresholds
from spacer_tasks.report.page import (
    PHOTO_SIDE,
    Photo,
    PhotoPoint,
    ReportData,
    Stage,
    render,
    write_report,
)
from spacer_tasks.report.templating import duration, percent
from tests.support.files.html_outline import Outline

SCORES = np.array([0.95, 0.9, 0.9, 0.6, 0.55, 0.3])
CORRECT = np.array([True, True, False, True, True, False])


def a_photo(width: int = 1600, height: int = 1200) -> bytes:
    stream = BytesIO()
    Image.new("RGB", (width, height), (20, 90, 110)).save(stream, "JPEG")
    return stream.getvalue()


@pytest.fixture
def data() -> ReportData:
    return ReportData(
        title="A title",
        lead="A lead.",
        results=ValResults(
            scores=SCORES.tolist(),
            gt=[0, 0, 1, 1, 2, 2],
            est=[0, 0, 0, 1, 2, 1],
            classes=["sand", "<b>coral</b>", 7],
        ),
        weights="No trained network.",
        stages=[Stage("extract", 75.4, "6 points"), Stage("train", 2.25)],
        ref_accuracies=[0.25, 0.5, 0.75],
        photos=[
            Photo(
                "reef.jpg",
                a_photo(),
                [PhotoPoint(600, 800, "sand", "sand", 0.9), PhotoPoint(0, 0, "sand", 7, 0.4)],
            )
        ],
        facts={"seed": "0"},
        credits=["reef: somebody"],
    )


def test_a_threshold_answers_all_points_at_or_above_it() -> None:
    curve = thresholds(SCORES, CORRECT)
    # the two points of confidence 0.9 are answered together
    assert [each.confidence for each in curve] == [0.95, 0.9, 0.6, 0.55, 0.3]
    assert [round(each.share * 6) for each in curve] == [1, 3, 4, 5, 6]
    assert [each.accuracy for each in curve] == pytest.approx([1, 2 / 3, 3 / 4, 4 / 5, 4 / 6])


def test_the_machine_takes_over_as_many_points_as_it_may() -> None:
    curve = thresholds(SCORES, CORRECT)
    best = takes_over(curve, 0.75)
    assert best is not None
    assert (best.confidence, best.accuracy) == (0.55, 0.8)
    assert takes_over(curve, 0.9) == curve[0]
    assert takes_over(thresholds(SCORES, ~CORRECT), 0.9) is None


def test_a_long_curve_is_thinned_but_keeps_its_ends() -> None:
    scores = np.linspace(0, 1, 5000)
    curve = thresholds(scores, scores > 0.5)
    thin = thinned(curve)
    assert len(thin) < 200
    assert (thin[0], thin[-1]) == (curve[0], curve[-1])
    assert thinned(curve[:1]) == curve[:1]


def test_calibration_compares_confidence_with_what_came_true() -> None:
    bins = calibration_curve(np.array([0.1, 0.12, 0.92, 1.0]), np.array([1, 0, 1, 1], dtype=bool))
    assert [(b.count, b.accuracy) for b in bins] == [(2, 0.5), (2, 1.0)]
    assert [b.confidence for b in bins] == pytest.approx([0.11, 0.96])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s")],
)
def test_a_duration_is_written_as_people_read_it(seconds: float, text: str) -> None:
    assert duration(seconds).replace("\N{NO-BREAK SPACE}", " ") == text


def test_the_headline_is_the_accuracy_against_chance_and_the_commonest_label(
    data: ReportData,
) -> None:
    page = render(data)
    assert f"<strong>{percent(4 / 6)}</strong>" in page
    assert percent(1 / 3) in page
    assert "always “sand”" in page


def test_the_page_is_well_formed_and_its_parts_are_named(data: ReportData) -> None:
    outline = Outline(render(data))
    assert outline.open == []
    ids = [attrs["id"] for _, attrs in outline.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for tag, attrs in outline.tags:
        if "aria-labelledby" in attrs:
            assert attrs["aria-labelledby"] in ids
        if tag == "svg":
            assert attrs.get("aria-label") or attrs.get("aria-hidden") == "true"
        if tag == "th":
            assert attrs.get("scope") in ("row", "col")
    headings = [tag for tag, _ in outline.tags if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == "h1"
    assert set(headings[1:]) == {"h2"}


def test_the_page_refers_to_nothing_outside_itself(data: ReportData) -> None:
    page = render(data)
    for tag, attrs in Outline(page).tags:
        assert tag not in ("script", "link", "iframe", "object")
        for name in ("src", "href", "xlink:href", "action"):
            assert (attrs.get(name) or "data:").startswith("data:image/jpeg;base64,") or not (
                attrs.get(name)
            )
    assert "http" not in re.sub(r"data:[^\"]+", "", page)
    assert "url(" not in page
    assert "@import" not in page


def test_labels_and_names_are_text_never_markup(data: ReportData) -> None:
    page = render(data)
    assert "<b>coral</b>" not in page
    assert "&lt;b&gt;coral&lt;/b&gt;" in page


def test_photos_are_made_small_and_their_points_move_with_them(data: ReportData) -> None:
    page = render(data)
    found = re.search(r'href="data:image/jpeg;base64,([^"]+)"', page)
    assert found
    with Image.open(BytesIO(base64.b64decode(found[1]))) as image:
        assert image.size == (PHOTO_SIDE, PHOTO_SIDE * 3 // 4)
    # column 800 of 1600, row 600 of 1200, of a hit: a circle in the middle
    assert '<circle cx="480.3" cy="360.3"' in page


def test_hits_and_misses_differ_in_shape(data: ReportData) -> None:
    page = render(data)
    hit = re.search(r'<g class="hit">.*?</g>', page, re.DOTALL)
    miss = re.search(r'<g class="miss">.*?</g>', page, re.DOTALL)
    assert hit
    assert miss
    assert "<circle" in hit[0]
    assert "<path" not in hit[0]
    assert "<path" in miss[0]
    assert "<circle" not in miss[0]
    assert "wrong, it is sand" in miss[0]


def test_the_confusion_matrix_counts_in_titles_and_shows_shares_of_rows(data: ReportData) -> None:
    page = render(data)
    assert 'title="sand taken for sand: 2 points">100<' in page
    assert 'title="7 taken for &lt;b&gt;coral&lt;/b&gt;: 1 points">50<' in page


def test_a_report_without_photos_epochs_and_stages_is_whole(data: ReportData) -> None:
    bare = ReportData(data.title, data.lead, data.results, data.weights)
    page = render(bare)
    assert Outline(page).open == []
    for absent in ("Photos and their points", "Training", '<h2 id="time"'):
        assert absent not in page


def test_more_labels_than_colours_get_colours_of_their_own() -> None:
    classes = [f"label {i}" for i in range(40)]
    indices = list(range(40))
    results = ValResults(scores=[0.5] * 40, gt=indices, est=indices, classes=list(classes))
    page = render(ReportData("t", "l", results, "w"))
    colours = re.findall(r'class="swatch" style="background:(#[0-9a-f]{6})"', page)
    assert len(set(colours)) == 40


def test_a_file_is_written_where_asked(data: ReportData, tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    write_report(path, data)
    assert path.read_text(encoding="utf-8") == render(data)


def test_results_without_a_point_are_refused() -> None:
    nothing = ValResults(scores=[], gt=[], est=[], classes=["sand"])
    with pytest.raises(TrainingLabelsError, match="nothing to measure"):
        render(ReportData("t", "l", nothing, "w"))

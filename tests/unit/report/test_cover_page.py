"""The page about cover."""

from __future__ import annotations

from spacer_tasks.cover.survey import survey_cover
from spacer_tasks.data_classes.val_results import ValResults
from spacer_tasks.report.cover_page import LABELS, UNITS, render_cover
from spacer_tasks.report.templating import percent
from tests.support.files.html_outline import Outline

RESULTS = ValResults(
    scores=[0.9] * 80,
    gt=[0] * 40 + [1] * 40,
    est=[0] * 30 + [1] * 10 + [1] * 40,
    classes=["<b>coral</b>", "sand"],
)


def page(units: int = 2, corrected: bool = True, labels: int = 2) -> str:
    names = ["<b>coral</b>", "sand", *map(str, range(labels - 2))]
    photos = {f"{i}.jpg": [*names, "sand"] for i in range(2 * units)}
    sites = {name: f"site {i // 2}" for i, name in enumerate(photos)}
    results = RESULTS if corrected else None
    cover = survey_cover(photos, "site", sites, results=results, replicates=100)
    return render_cover("a.csv", cover, {"labels": "a.csv"})


def test_it_is_well_formed_and_refers_to_nothing_else() -> None:
    outline = Outline(page())
    assert outline.open == []
    ids = [attrs["id"] for _, attrs in outline.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for tag, attrs in outline.tags:
        assert tag not in ("script", "link", "iframe", "img")
        assert not attrs.get("src")
        assert not attrs.get("href")
        if "aria-labelledby" in attrs:
            assert attrs["aria-labelledby"] in ids


def test_labels_are_text_never_markup() -> None:
    assert "<b>coral</b>" not in page()
    assert "&lt;b&gt;coral&lt;/b&gt;" in page()


def test_it_shows_the_corrected_cover_beside_what_was_predicted_and_says_how() -> None:
    shown = page()
    assert "as predicted, not corrected" in shown
    assert "Solow, Davis and Hu 2001" in shown
    # a third of the points are called coral; 30 of 40 corals are
    assert percent(1 / 3 / 0.75) in shown
    assert percent(1 / 3) in shown


def test_people_s_labels_are_not_corrected_and_that_is_said() -> None:
    shown = page(corrected=False)
    assert "None: labels are taken as right" in shown
    assert "as predicted" not in shown


def test_very_many_labels_and_units_are_cut_with_a_word() -> None:
    shown = page(units=UNITS + 5, corrected=False, labels=LABELS + 10)
    assert f"The largest {LABELS} of {LABELS + 10}" in shown
    assert "5 more are in the table" in shown
    assert Outline(shown).open == []

"""The page about two files of labels."""

from __future__ import annotations

from spacer_tasks.agreement.comparing import compare
from spacer_tasks.report.agreement_page import render_agreement
from tests.support.files.html_outline import Outline


def test_it_is_well_formed_names_what_differs_and_holds_text_only() -> None:
    first = {"<i>.jpg": {(0, 0): "<b>", (0, 1): "y"}, "b.jpg": {(0, 0): "y"}}
    second = {"<i>.jpg": {(0, 0): "y", (0, 1): "y", (1, 1): "z"}}
    page = render_agreement("ann.csv", "bob.csv", compare(first, second))
    outline = Outline(page)
    assert outline.open == []
    assert not {"script", "link", "img", "b", "i"} & {tag for tag, _ in outline.tags}
    assert "&lt;i&gt;.jpg" in page
    assert "1 of 2 differ" in page
    assert "Only in ann.csv: 1 point of 1 photo: b.jpg (1)" in page
    assert 'title="&lt;b&gt; taken for y: 1 points"' in page


def test_a_perfect_match_of_one_label_is_a_page_too() -> None:
    same = {"a.jpg": {(0, 0): "x"}}
    page = render_agreement("a", "b", compare(same, same))
    assert "None: all common points have the same label." in page
    assert "not defined, as all points have one label" in page

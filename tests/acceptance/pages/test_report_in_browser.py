"""The report in a real browser, at the widths of a phone and of a desktop."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spacer_tasks.data_classes.val_results import ValResults
from spacer_tasks.report.page import Photo, PhotoPoint, ReportData, Stage, render
from tests.support.files.browser import BROWSER, DESKTOP, PHONE, Site, browse, measured, site_of

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")

#: what is measured of a report beside what is of every page
MORE = """headline: page.querySelector(".big strong").textContent,
    photoColumns: new Set([...page.querySelectorAll("figure")].map(
      each => Math.round(each.getBoundingClientRect().left))).size,
    marks: page.querySelectorAll("figure g").length,"""


def report_page() -> str:
    """A report with everything in it, and names that are long."""
    random = np.random.default_rng(0)
    classes: list[int | str] = ["Acropora palmata, bleached", "sand", "CCA", *map(str, range(9))]
    truth = random.integers(0, len(classes), 600)
    scores = random.uniform(0.2, 1, 600)
    guessed = np.where(random.random(600) < scores, truth, random.integers(0, len(classes), 600))
    stream = BytesIO()
    Image.fromarray(random.integers(0, 255, (90, 160, 3), dtype=np.uint8)).save(stream, "JPEG")
    points = [
        PhotoPoint(int(row), int(column), "sand", classes[int(label)], 0.7)
        for row, column, label in random.integers(0, (90, 160, len(classes)), (25, 3))
    ]
    return render(
        ReportData(
            title="A reef with a rather long name, surveyed twice",
            lead="What a classifier made of it.",
            results=ValResults(
                scores=scores.tolist(), gt=truth.tolist(), est=guessed.tolist(), classes=classes
            ),
            weights="EfficientNet-B0 with the weights s3://a-bucket/with/a/long/path/weights.pt.",
            stages=[Stage("extract features", 4000.0, "600 points"), Stage("train", 3.0)],
            ref_accuracies=np.linspace(0.1, 0.8, 40).tolist(),
            photos=[Photo("a-long-file-name-of-a-photo.jpg", stream.getvalue(), points)] * 3,
            facts={"seed": "0", "classifier": "s3://bucket/" + "deep/" * 20},
            credits=["nobody: CC0"],
        )
    )


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with site_of(report_page(), MORE) as served:
        yield served


@pytest.mark.parametrize(("width", "columns"), [(320, 1), (PHONE, 1), (DESKTOP, 3)])
def test_nothing_sticks_out_and_everything_is_shown(
    site: Site, tmp_path: Path, width: int, columns: int
) -> None:
    site.asked.clear()
    found = measured(site, width, tmp_path)
    assert found["clientWidth"] == width
    assert found["scrollWidth"] == width
    assert found["wide"] == []
    assert found["small"] == []
    assert found["images"] == [160, 160, 160]
    assert found["photoColumns"] == columns
    assert found["marks"] == 75
    assert re.fullmatch(r"\d\d\.\d\s%", found["headline"])
    asked = [path for path in site.asked if path != "/favicon.ico"]
    assert asked == [f"/check-{width}.html", "/page.html"]


def test_it_follows_the_reader_s_light_or_dark_scheme(site: Site, tmp_path: Path) -> None:
    levels = {}
    for name, setting in (("dark", 0), ("light", 1)):
        picture = tmp_path / f"{name}.png"
        browse(
            f"{site.url}/page.html",
            tmp_path / name,
            f"--window-size={DESKTOP},1800",
            f"--blink-settings=preferredColorScheme={setting}",
            f"--screenshot={picture}",
        )
        with Image.open(picture) as image:
            # a strip of the page's own background, left of the text
            levels[name] = np.asarray(image.convert("L"))[600:1700, 5:15].mean()
    assert levels["dark"] < 60
    assert levels["light"] > 200

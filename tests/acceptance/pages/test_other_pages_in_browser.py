"""The pages of cover, evaluate and review in a real browser, at a phone's and a desktop's width."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from spacer_tasks.data_classes.val_results import ValResults
from tests.support.command_line import run
from tests.support.files.browser import BROWSER, DESKTOP, PHONE, measured, site_of
from tests.support.survey import write_photos

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")

#: names as long as people's are
LABELS = ["Acropora palmata, bleached and partly overgrown", "sand", "CCA", "Turf_algae_on_rubble"]
SITES = ["North of the long island, outer slope", "south"]


def write(path: Path, rows: Sequence[Sequence[object]]) -> str:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return str(path)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The page that each command writes of one survey."""
    folder = tmp_path_factory.mktemp("survey")
    random = np.random.default_rng(0)
    names = write_photos(folder / "photos", 8)
    header: list[object] = ["image", "row", "column", "label"]
    more: list[object] = ["probability", "label_2", "probability_2"]
    truth, predicted = [header], [[*header, *more]]
    for name in names:
        for number in range(12):
            place: list[object] = [name, 5 + 3 * number, 6 + 2 * number]
            label, other = random.permutation(LABELS)[:2]
            truth.append([*place, label if random.random() < 0.7 else other])
            sure = random.uniform(0.5, 1)
            predicted.append([*place, label, f"{sure:.6f}", other, f"{1 - sure:.6f}"])
    predictions = write(folder / "predictions.csv", predicted)
    sites = [["image", "site"], *([name, SITES[i % 2]] for i, name in enumerate(names))]
    groups = [["label", "group"], *([label, f"group of {label}"] for label in LABELS[:2])]
    given = random.integers(0, len(LABELS), 200)
    found = np.where(random.random(200) < 0.8, given, random.integers(0, len(LABELS), 200))
    results = ValResults(
        scores=random.uniform(0.3, 1, 200).tolist(),
        gt=given.tolist(),
        est=found.tolist(),
        classes=list(LABELS),
    )
    (folder / "val.json").write_text(results.model_dump_json())
    options = {
        "cover": [
            *("--by", f"site={write(folder / 'sites.csv', sites)}", "-o", folder / "cover.csv"),
            *("--groups", write(folder / "groups.csv", groups)),
            *("--valresult", folder / "val.json"),
        ],
        "review": ["--threshold", "0.8", "--photos", folder / "photos", "-o", folder / "sheet.csv"],
    }
    written = {}
    for command in ("cover", "review", "evaluate"):
        files = [write(folder / "truth.csv", truth)] if command == "evaluate" else []
        page = folder / f"{command}.html"
        ran = run(command, *files, predictions, *options.get(command, ()), "--report", page)
        assert ran.code == 0, (command, ran.err)
        written[command] = page.read_text(encoding="utf-8")
    return written


@pytest.mark.parametrize("width", [320, PHONE, DESKTOP])
@pytest.mark.parametrize("command", ["cover", "review", "evaluate"])
def test_nothing_sticks_out_and_nothing_is_fetched(
    pages: dict[str, str], tmp_path: Path, command: str, width: int
) -> None:
    with site_of(pages[command]) as site:
        found = measured(site, width, tmp_path)
    assert found["scrollWidth"] == found["clientWidth"] == width
    assert found["wide"] == []
    assert found["small"] == []
    # the patches of the points that are left to people
    assert bool(found["images"]) == (command == "review")
    asked = [path for path in site.asked if path != "/favicon.ico"]
    assert asked == [f"/check-{width}.html", "/page.html"]

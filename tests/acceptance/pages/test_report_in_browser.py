"""The report in a real browser, at the widths of a phone and of a desktop."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spacer_tasks.data_classes.val_results import ValResults
from spacer_tasks.report.page import Photo, PhotoPoint, ReportData, Stage, render

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")

PHONE, DESKTOP = 390, 1280
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
#: shows the report in a frame of the width asked for (a window is never narrower than 500), and
#: leaves what it measured as JSON in the page
CHECK_PAGE = """<!doctype html><title>check</title><body style="margin:0">
<iframe src="report.html" style="width:WIDTHpx;height:900px;border:0"></iframe>
<pre id="found"></pre>
<script>
addEventListener("load", async () => {
  const page = document.querySelector("iframe").contentDocument, root = page.documentElement;
  const wide = [...page.querySelectorAll("body *")].filter(each =>
    !each.closest(".scroll, svg, .aloud") && each.getBoundingClientRect().right > WIDTH + 0.5);
  const small = [...page.querySelectorAll("p, td, th, li, dt, dd, figcaption")].filter(each =>
    each.textContent.trim() && parseFloat(getComputedStyle(each).fontSize) < 11);
  const images = await Promise.all([...page.querySelectorAll("svg image")].map(async each => {
    const image = new Image(); image.src = each.getAttribute("href"); await image.decode();
    return image.naturalWidth; }));
  document.getElementById("found").textContent = JSON.stringify({
    scrollWidth: root.scrollWidth, clientWidth: root.clientWidth,
    wide: wide.map(each => each.outerHTML.slice(0, 120)),
    small: small.map(each => each.outerHTML.slice(0, 120)),
    images, headline: page.querySelector(".big strong").textContent,
    photoColumns: new Set([...page.querySelectorAll("figure")].map(
      each => Math.round(each.getBoundingClientRect().left))).size,
    marks: page.querySelectorAll("figure g").length,
  });
});
</script>
"""


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


@dataclass
class Site:
    """A web site with the report, and what the browser asked it for."""

    url: str
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    report = report_page()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            served.asked.append(self.path)
            found = re.fullmatch(r"/check-(\d+)\.html", self.path)
            page = CHECK_PAGE.replace("WIDTH", found[1]) if found else report
            if not found and self.path != "/report.html":
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(page.encode())

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = Site(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield served
        server.shutdown()
        thread.join()


def browse(url: str, profile: Path, *flags: str) -> str:
    """What Chromium prints for a page."""
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={profile}", "--no-proxy-server", *flags, url]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def measured(site: Site, width: int, profile: Path) -> dict[str, Any]:
    page = browse(
        f"{site.url}/check-{width}.html",
        profile,
        f"--window-size={max(width, 500)},1000",
        "--virtual-time-budget=10000",
        "--dump-dom",
    )
    found = re.search(r'<pre id="found">(.*?)</pre>', page, re.DOTALL)
    assert found
    assert found[1], "the check page measured nothing"
    values: dict[str, Any] = json.loads(unescape(found[1]))
    return values


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
    assert asked == [f"/check-{width}.html", "/report.html"]


def test_it_follows_the_reader_s_light_or_dark_scheme(site: Site, tmp_path: Path) -> None:
    levels = {}
    for name, setting in (("dark", 0), ("light", 1)):
        picture = tmp_path / f"{name}.png"
        browse(
            f"{site.url}/report.html",
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

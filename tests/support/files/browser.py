"""A real browser without a window: what it makes of a page at a width, and pictures of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
#: pixels of width
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
#: shows the page in a frame of the width asked for (a window is never narrower than 500), and
#: leaves what it measured as JSON in the page; MORE are further values of `page`
CHECK_PAGE = """<!doctype html><title>check</title><body style="margin:0">
<iframe src="page.html" style="width:WIDTHpx;height:900px;border:0"></iframe>
<pre id="found"></pre>
<script>
addEventListener("load", async () => {
  const page = document.querySelector("iframe").contentDocument, root = page.documentElement;
  const wide = [...page.querySelectorAll("body *")].filter(each =>
    !each.closest(".scroll, svg, .aloud") && each.getBoundingClientRect().right > WIDTH + 0.5);
  const small = [...page.querySelectorAll("p, td, th, li, dt, dd, figcaption")].filter(each =>
    each.textContent.trim() && parseFloat(getComputedStyle(each).fontSize) < 11);
  const shown = [...page.querySelectorAll("svg image, img")].slice(0, 3);
  const images = await Promise.all(shown.map(async each => {
    const image = new Image(); image.src = each.getAttribute("href") || each.src;
    await image.decode(); return image.naturalWidth; }));
  document.getElementById("found").textContent = JSON.stringify({
    scrollWidth: root.scrollWidth, clientWidth: root.clientWidth,
    wide: wide.map(each => each.outerHTML.slice(0, 120)),
    small: small.map(each => each.outerHTML.slice(0, 120)),
    images, MORE
  });
});
</script>
"""


@dataclass
class Site:
    """A web site with one page, and what the browser asked it for."""

    url: str
    asked: list[str] = field(default_factory=list)


@contextmanager
def site_of(page: str, more: str = "") -> Iterator[Site]:
    """Serve a page as `page.html`, and `check-WIDTH.html`, which measures it.

    Parameters
    ----------
    more
        Further values to measure, as JavaScript's `name: value,`.
    """

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            served.asked.append(self.path)
            found = re.fullmatch(r"/check-(\d+)\.html", self.path)
            checks = CHECK_PAGE.replace("MORE", more)
            content = checks.replace("WIDTH", found[1]) if found else page
            if not found and self.path != "/page.html":
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(content.encode())

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = Site(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()


def browse(url: str, profile: Path, *flags: str) -> str:
    """What Chromium prints for a page."""
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={profile}", "--no-proxy-server", *flags, url]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def measured(site: Site, width: int, profile: Path) -> dict[str, Any]:
    """What the check page measured at a width."""
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

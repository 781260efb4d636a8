"""Classifiers at URLs, by real connections to a server of this machine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from spacer_tasks.classifiers import Classifier, load_classifier
from spacer_tasks.classifiers.codec import encoded
from spacer_tasks.classifiers.model import Layer
from spacer_tasks.data_classes.locations import DataLocation


class Server(ThreadingHTTPServer):
    """Gives one file, with the headers that a test wants."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Site)
        self.body = b""
        self.headers: dict[str, str] = {}
        self.refuses_head = False
        self.downloads = 0


class Site(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        if self.server.refuses_head:
            self.send_error(403)
            return
        self.send_response(200)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()

    def do_GET(self) -> None:
        self.server.downloads += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)


@pytest.fixture
def server(
    monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.setenv("SPACER_ALLOWED_URLS", f"127.0.0.1:{server.server_port}")
        settings_changed()
        yield server
        server.shutdown()
        thread.join()


def file_of(bias: float) -> bytes:
    """Files of one length, whatever the bias."""
    return encoded(
        Classifier(
            clf_type="LR",
            layers=(Layer(np.ones((5, 1)), np.full(1, bias)),),
            output="identity",
            calibration_a=np.ones(1),
            calibration_b=np.zeros(1),
            classes=["a", "b"],
        ),
        "spacer",
        "a classifier",
    )


def bias_at(server: Server) -> float:
    url = f"http://127.0.0.1:{server.server_port}/x.model"
    found = load_classifier(DataLocation(storage_type="url", key=url))
    return float(found.layers[0].bias[0])


@pytest.mark.parametrize("refuses_head", [False, True], ids=["a length alone", "GET alone"])
def test_one_that_is_replaced_where_no_header_tells_is_noticed(
    server: Server, refuses_head: bool
) -> None:
    server.refuses_head = refuses_head
    server.body = file_of(1)
    assert bias_at(server) == 1
    replaced = file_of(2)
    assert len(replaced) == len(server.body)
    server.body = replaced
    assert bias_at(server) == 2


@pytest.mark.parametrize(
    ("header", "before", "after"),
    [
        ("ETag", '"1"', '"2"'),
        (
            "Last-Modified",
            "Wed, 21 Oct 2015 07:28:00 GMT",
            "Wed, 21 Oct 2015 07:28:01 GMT",
        ),
    ],
)
def test_one_whose_server_tells_is_read_once_until_it_is_replaced(
    server: Server, header: str, before: str, after: str
) -> None:
    server.body, server.headers = file_of(1), {header: before}
    assert (bias_at(server), bias_at(server), server.downloads) == (1, 1, 1)
    server.body, server.headers = file_of(2), {header: after}
    assert (bias_at(server), server.downloads) == (2, 2)

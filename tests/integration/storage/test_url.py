"""URLs lead to the internet only, by real connections to servers of this machine.

Servers listen on 127.0.0.1 and [::1]; what a test asks of the resolver it says itself.
"""

from __future__ import annotations

import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from spacer_tasks import storage
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.services import free_ports
from spacer_tasks.exceptions import (
    LocationNotAllowedError,
    ObjectNotFoundError,
    StorageError,
    URLDownloadError,
    URLUnavailableError,
)

#: of the tests for documentation: nothing answers there, and it is not public
NOWHERE = "192.0.2.1"


class Server(ThreadingHTTPServer):
    """Counts its visitors."""

    daemon_threads = True

    def __init__(self, address: str) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, 0), Site)
        self.paths: list[str] = []
        self.redirect_to = ""
        self.released = threading.Event()


class Site(BaseHTTPRequestHandler):
    """Answers by what the path asks for."""

    server: Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        name = self.path.partition("?")[0].rpartition("/")[2]
        if name == "redirect":
            self.send_response(302)
            self.send_header("Location", self.server.redirect_to)
            self.end_headers()
        elif name == "missing":
            self.send_error(404)
        elif name == "large":
            # announced, never sent
            self.send_response(200)
            self.send_header("Content-Length", str(10**12))
            self.end_headers()
        elif name == "endless":
            self.send_response(200)
            self.end_headers()
            piece = bytes(2**16)
            while not self.server.released.is_set():
                try:
                    self.wfile.write(piece)
                except OSError:
                    return
        elif name == "trickle":
            self.send_response(200)
            self.end_headers()
            self.trickle()
        elif name == "trickling-header":
            self.wfile.write(b"HTTP/1.0 200 OK\r\nX: ")
            self.trickle()
        else:
            self.send_response(200)
            self.send_header("Content-Length", "6")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(b"secret")

    def trickle(self) -> None:
        """A byte now and then, more often than any single wait is long."""
        while not self.server.released.wait(0.05):
            try:
                self.wfile.write(b"x")
            except OSError:
                return


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Server]]:
    """Starts a server on an address of this machine."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with ExitStack() as stack:

        def start(address: str = "127.0.0.1") -> Server:
            server = stack.enter_context(Server(address))
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            stack.callback(server.released.set)
            return server

        yield start


@pytest.fixture
def site(servers: Callable[[str], Server]) -> Server:
    return servers("127.0.0.1")


@pytest.fixture
def set_(
    monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> Callable[..., None]:
    """Changes settings: `set_(ALLOWED_URLS="…")`."""

    def change(**values: object) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"SPACER_{name}", str(value))
        settings_changed()

    return change


Set = Callable[..., None]


def url(text: str) -> DataLocation:
    return DataLocation(storage_type="url", key=text)


def resolver(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Names lead where the test says, another place at each look. Gives the names looked up."""
    left, asked = list(answers), []

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        found = left.pop(0) if len(left) > 1 else left[0]
        return [
            (
                socket.AF_INET6 if ":" in ip else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (ip, port, 0, 0) if ":" in ip else (ip, port),
            )
            for ip in found
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


FORMS = [
    "127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1",
    "0", "0.0.0.0", "127.0.0.1.", "LOCALHOST", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
    "１２７.0.0.1", "127。0。0。1",
]  # fmt: skip


@pytest.mark.parametrize("host", FORMS)
def test_no_way_to_write_this_machine_s_address_reaches_it(site: Server, host: str) -> None:
    # the resolver does not know some of them
    refusals = (LocationNotAllowedError, URLDownloadError, URLUnavailableError)
    for attempt in (storage.load, storage.version, storage.exists):
        with pytest.raises(refusals):
            attempt(url(f"http://{host}:{site.server_port}/x"))
    assert site.paths == []


def test_most_of_these_forms_do_lead_there(site: Server, set_: Set) -> None:
    """The test above would show little were they not understood by the resolver."""
    reached = 0
    for host in FORMS:
        set_(ALLOWED_URLS=host)
        try:
            reached += storage.load(url(f"http://{host}:{site.server_port}/x")) == b"secret"
        except (StorageError, URLUnavailableError):
            continue
    assert reached >= 8


def test_ipv6_s_own_address_of_this_machine_is_not_reached(
    servers: Callable[[str], Server], set_: Set
) -> None:
    try:
        server = servers("::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    where = url(f"http://[::1]:{server.server_port}/x")
    with pytest.raises(LocationNotAllowedError):
        storage.load(where)
    assert server.paths == []
    set_(ALLOWED_URLS="::1")
    assert storage.load(where) == b"secret"


def test_an_operator_opens_a_host_by_name(site: Server, set_: Set) -> None:
    where = url(f"http://127.0.0.1:{site.server_port}/x")
    for opened in ("127.0.0.1", f"127.0.0.1:{site.server_port}", "public 127.0.0.1"):
        set_(ALLOWED_URLS=opened)
        assert storage.load(where) == b"secret"
    for other in ("localhost", f"127.0.0.1:{site.server_port + 1}", "public", "none", "2130706433"):
        set_(ALLOWED_URLS=other)
        with pytest.raises(LocationNotAllowedError, match="SPACER_ALLOWED_URLS"):
            storage.load(where)


def test_a_list_without_public_closes_the_internet(
    set_: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resolver(monkeypatch, ["8.8.8.8"])
    set_(ALLOWED_URLS="intranet.example")
    with pytest.raises(LocationNotAllowedError):
        storage.load(url("http://example.org/x"))
    assert asked == []


def test_a_name_that_leads_to_this_machine_is_refused(
    site: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for address in ("127.0.0.1", "::ffff:127.0.0.1"):
        resolver(monkeypatch, [address])
        with pytest.raises(LocationNotAllowedError, match=r"^reef\.example: ") as caught:
            storage.load(url(f"http://reef.example:{site.server_port}/x"))
        # where names of an inner network lead is not told to strangers
        assert "127.0.0.1" not in str(caught.value)
    assert site.paths == []


def test_a_name_that_changes_its_address_after_the_look_gains_nothing(
    site: Server, monkeypatch: pytest.MonkeyPatch, set_: Set
) -> None:
    set_(URL_TIMEOUT_S="0.3")
    # the first look is good: what is connected to is that, not what a second look would give.
    # 255.255.255.254 is never answered, and stands here for an address of the internet
    monkeypatch.setattr(
        "spacer_tasks.storage.url.is_public", lambda address: address == "255.255.255.254"
    )
    asked = resolver(monkeypatch, ["255.255.255.254"], ["127.0.0.1"])
    with pytest.raises(URLUnavailableError):
        storage.load(url(f"http://rebinding.example:{site.server_port}/x"))
    assert asked == ["rebinding.example"]
    assert site.paths == []


def test_of_several_addresses_only_the_internet_s_are_tried(
    site: Server, monkeypatch: pytest.MonkeyPatch, set_: Set
) -> None:
    set_(URL_TIMEOUT_S="0.3")
    monkeypatch.setattr(
        "spacer_tasks.storage.url.is_public", lambda address: address == "255.255.255.254"
    )
    resolver(monkeypatch, ["127.0.0.1", "255.255.255.254", "127.0.0.1"])
    with pytest.raises(URLUnavailableError):
        storage.load(url(f"http://mixed.example:{site.server_port}/x"))
    assert site.paths == []


def test_a_redirect_into_the_own_network_is_not_followed(
    servers: Callable[[str], Server], set_: Set
) -> None:
    outer, inner = servers("127.0.0.1"), servers("127.0.0.2")
    set_(ALLOWED_URLS="public 127.0.0.1")
    for target in (
        f"http://127.0.0.2:{inner.server_port}/x",
        f"//127.0.0.2:{inner.server_port}/x",
        f"http://2130706434:{inner.server_port}/x",
        "http://169.254.169.254/latest/meta-data/",
        f"http://user:hunter2@127.0.0.1:{outer.server_port}/x",
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
    ):
        outer.redirect_to = target
        for attempt in (storage.load, storage.version):
            with pytest.raises(StorageError) as caught:
                attempt(url(f"http://127.0.0.1:{outer.server_port}/redirect"))
            assert "hunter2" not in str(caught.value)
    assert inner.paths == []
    assert set(outer.paths) == {"/redirect"}
    # a good one is
    outer.redirect_to = "/x"
    assert storage.load(url(f"http://127.0.0.1:{outer.server_port}/redirect")) == b"secret"


def test_a_redirect_without_end_is_refused(site: Server, set_: Set) -> None:
    set_(ALLOWED_URLS="127.0.0.1")
    site.redirect_to = "/redirect"
    with pytest.raises(URLDownloadError):
        storage.load(url(f"http://127.0.0.1:{site.server_port}/redirect"))
    assert len(site.paths) <= 7


def test_a_proxy_of_the_environment_connects_only_to_hosts_that_were_opened(
    site: Server, set_: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = f"http://127.0.0.1:{site.server_port}"
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")
    for target in ("http://example.org/x", "http://169.254.169.254/x", "https://example.org/x"):
        with pytest.raises(LocationNotAllowedError, match="proxy"):
            storage.load(url(target))
    assert site.paths == []
    set_(ALLOWED_URLS="example.org")
    assert storage.load(url("http://example.org/x")) == b"secret"
    assert site.paths == ["http://example.org/x"]


@pytest.mark.parametrize("name", ["large", "endless"])
def test_more_than_the_limit_is_refused_early(site: Server, set_: Set, name: str) -> None:
    set_(ALLOWED_URLS="127.0.0.1", URL_MAX_BYTES=2**21)
    with pytest.raises(URLDownloadError, match="SPACER_URL_MAX_BYTES"):
        storage.load(url(f"http://127.0.0.1:{site.server_port}/{name}"))


@pytest.mark.parametrize("name", ["trickle", "trickling-header"])
def test_a_server_that_sends_a_byte_now_and_then_is_left_in_the_end(
    site: Server, set_: Set, name: str
) -> None:
    set_(ALLOWED_URLS="127.0.0.1", URL_TOTAL_TIMEOUT_S="0.5")
    began = time.monotonic()
    with pytest.raises(URLUnavailableError, match=r"0\.5 s of SPACER_URL_TOTAL_TIMEOUT_S"):
        storage.load(url(f"http://127.0.0.1:{site.server_port}/{name}"))
    # without the limit it would go on until the test ends
    assert time.monotonic() - began < 60


def test_a_missing_host_and_a_closed_port_are_told_apart_from_a_refusal(set_: Set) -> None:
    (port,) = free_ports(1)
    set_(ALLOWED_URLS=f"127.0.0.1:{port}")
    with pytest.raises(URLUnavailableError):
        storage.load(url(f"http://127.0.0.1:{port}/"))
    with pytest.raises((URLUnavailableError, ObjectNotFoundError, LocationNotAllowedError)):
        storage.load(url(f"http://{NOWHERE}:{port}/"))


@pytest.mark.parametrize("attempt", [storage.load, storage.version])
@pytest.mark.parametrize(
    "path", ["inside", "circle", "to-a-file", "large", "missing", "trickle", "with a blank"]
)
def test_no_error_has_a_url_s_query(
    site: Server, set_: Set, path: str, attempt: Callable[[DataLocation], object]
) -> None:
    # a server that sends without end is left soon; the others answer, also on a busy machine
    left = {"URL_TOTAL_TIMEOUT_S": "0.5"} if (path, attempt) == ("trickle", storage.load) else {}
    set_(ALLOWED_URLS="127.0.0.1", **left)
    own, query = f"http://127.0.0.1:{site.server_port}", "?signature=hunter2"
    site.redirect_to = {
        "inside": f"http://10.0.0.1/x{query}",
        "circle": f"{own}/redirect{query}",
        "to-a-file": f"file:///etc/passwd{query}",
    }.get(path, "")
    where = url(f"{own}/{'redirect' if site.redirect_to else path}{query}")
    if attempt is storage.version and path in ("large", "missing", "trickle"):
        # nothing is wrong before the content
        attempt(where)
        return
    with pytest.raises((StorageError, URLUnavailableError)) as caught:
        attempt(where)
    # with the errors that it comes from
    told = "".join(traceback.format_exception(caught.value))
    assert "hunter2" not in told
    assert "?…" in told


def test_no_error_of_writing_to_a_url_has_its_query() -> None:
    where = url("https://example.org/x?signature=hunter2")
    for attempt in (storage.delete, lambda loc: storage.store(loc, b"")):
        with pytest.raises(StorageError, match=r"https://example.org/x\?…[0-9a-f]{8}: ") as caught:
            attempt(where)
        assert "hunter2" not in str(caught.value)

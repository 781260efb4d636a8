"""Objects behind http and https URLs: read only, and only from the internet.

Who sends a message could otherwise let a worker read what only its own network may: the addresses
are looked up once, judged, and those that are good are connected to; each redirect is judged in
the same way. A proxy of the environment would look up addresses itself, so only hosts that the
operator opened by name go through one.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from threading import Timer
from typing import Any

from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.locations import shown_url
from spacer_tasks.exceptions import (
    StorageError,
    URLDownloadError,
    URLNotAllowedError,
    URLNotFoundError,
    URLUnavailableError,
)
from spacer_tasks.storage.addresses import (
    checked_url,
    is_opened,
    is_public,
    not_allowed,
    takes_public_hosts,
)
from spacer_tasks.storage.base import LENGTH_ALONE, Storage

#: answers that mean "not now" although they are below 500
PASSING_STATUS = {408, 425, 429}
#: answers to what was asked, and not to when
REFUSALS = set(range(400, 500))
#: the server does not know the method
NOT_IMPLEMENTED = 501
#: a chain that is longer leads nowhere
MAX_REDIRECTS = 5
#: addresses of one host that are tried, each for `SPACER_URL_TIMEOUT_S`
MAX_ADDRESSES = 4
#: bytes read at once: memory grows with what came, not with what was announced
PIECE = 2**20


class URLStorage(Storage):
    """A key is a URL."""

    def load(self, key: str) -> bytes:
        limit = get_settings().url_max_bytes
        with _errors_of(key), _opened(key, "GET") as answer:
            announced = answer.headers.get("Content-Length", "")
            # more digits than any size has
            size = int(announced[:20]) if announced.isdecimal() else None
            pieces, length = [], 0
            while length <= limit and (size is None or size <= limit):
                piece = answer.read(PIECE)
                if not piece:
                    break
                pieces.append(piece)
                length += len(piece)
        if length > limit or (size is not None and size > limit):
            raise URLDownloadError(
                f"{shown_url(key)}: more than the {limit} bytes of SPACER_URL_MAX_BYTES"
            )
        # read(n) hides a body that was cut short
        if size is not None and length < size:
            raise URLUnavailableError(
                f"{shown_url(key)}: {length} bytes came, {size} were announced"
            )
        return b"".join(pieces)

    def store(self, key: str, data: bytes) -> None:
        raise StorageError(f"{shown_url(key)}: nothing can be written to a URL")

    def delete(self, key: str) -> None:
        raise StorageError(f"{shown_url(key)}: a URL cannot be deleted")

    def version(self, key: str) -> str | None:
        with _errors_of(key):
            try:
                with _opened(key, "HEAD") as answer:
                    headers = answer.headers
                    return (
                        headers.get("ETag")
                        or headers.get("Last-Modified")
                        or f"{LENGTH_ALONE}{headers.get('Content-Length')}"
                    )
            except urllib.error.HTTPError as error:
                # Not known: a signed URL is signed for GET alone, and some servers take nothing
                # else. Loading says what is wrong, if anything is.
                if error.code == NOT_IMPLEMENTED or error.code in REFUSALS - PASSING_STATUS:
                    return None
                raise


class _Deadline:
    """Ends connections when the time for a whole download is over: a byte now and then would keep
    each single wait short for ever.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.over = False
        self._sockets: list[socket.socket] = []
        self._timer = Timer(seconds, self._end)
        self._timer.daemon = True

    def hold(self, connection: socket.socket) -> None:
        """End this one too."""
        # a second handle of the same connection: TLS takes the first one over
        self._sockets.append(connection.dup())
        if self.over:
            self._end()

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        for each in self._sockets:
            each.close()

    def _end(self) -> None:
        self.over = True
        for each in tuple(self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextmanager
def _opened(url: str, method: str) -> Iterator[http.client.HTTPResponse]:
    """The answer to a request."""
    settings = get_settings()
    with _Deadline(settings.url_total_timeout_s) as deadline:
        opener = urllib.request.build_opener(
            _Proxies(), _HTTP(deadline), _HTTPS(deadline), _Redirects()
        )
        try:
            request = urllib.request.Request(url, method=method)
            checked_url(request.full_url)
            with opener.open(request, timeout=settings.url_timeout_s) as answer:
                yield answer
            if deadline.over:
                # an ended connection looks like the end of the data
                raise TimeoutError
        except (OSError, http.client.HTTPException) as error:
            if not deadline.over:
                raise
            raise URLUnavailableError(
                f"{shown_url(url)}: not done within the {deadline.seconds:g} s of"
                " SPACER_URL_TOTAL_TIMEOUT_S"
            ) from error


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = MAX_REDIRECTS
    max_repeats = MAX_REDIRECTS

    def redirect_request(self, *args: Any) -> urllib.request.Request | None:
        request = super().redirect_request(*args)
        if request is not None:
            checked_url(request.full_url)
        return request


class _Proxies(urllib.request.ProxyHandler):
    """The environment's, for hosts that the operator opened; others cannot be reached by them."""

    def proxy_open(self, req: Any, proxy: str, type: str) -> Any:
        host, port = req.host, 443 if type == "https" else 80
        if urllib.request.proxy_bypass(host):
            return None
        parts = checked_url(req.full_url)
        if not is_opened(parts.hostname or "", parts.port or port):
            raise URLNotAllowedError(
                f"{shown_url(req.full_url)}: the environment's proxy would connect to it, so that"
                " the address cannot be checked; who runs this can open the host by"
                " SPACER_ALLOWED_URLS"
            )
        return super().proxy_open(req, proxy, type)


class _HTTP(urllib.request.HTTPHandler):
    def __init__(self, deadline: _Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def http_open(self, req: urllib.request.Request) -> Any:
        make = partial(_HTTPConnection, deadline=self._deadline, proxied=req.has_proxy())
        return self.do_open(make, req)


class _HTTPS(urllib.request.HTTPSHandler):
    def __init__(self, deadline: _Deadline) -> None:
        self._tls = ssl.create_default_context()
        super().__init__(context=self._tls)
        self._deadline = deadline

    def https_open(self, req: urllib.request.Request) -> Any:
        # for a proxy the host is in the tunnel
        proxied = bool(getattr(req, "_tunnel_host", None))
        make = partial(
            _HTTPSConnection, deadline=self._deadline, proxied=proxied, context=self._tls
        )
        return self.do_open(make, req)


class _Checked:
    """Connects to addresses that may be used, and to no other."""

    def __init__(self, *args: Any, deadline: _Deadline, proxied: bool, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline = deadline
        self._proxied = proxied
        # what http.client calls to connect
        self._create_connection = self._connected

    def _connected(self, address: tuple[str, int], timeout: float, source: object) -> socket.socket:
        host, port = address
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        if not self._proxied and not is_opened(host, port):
            if not takes_public_hosts():
                raise not_allowed(host)
            found = [each for each in found if is_public(str(each[4][0]))]
            if not found:
                # where it leads is not told: it may be a name of the inner network
                raise URLNotAllowedError(
                    f"{host}: has no address on the internet; who runs this can open the host by"
                    " SPACER_ALLOWED_URLS"
                )
        failures: list[OSError] = []
        for family, kind, protocol, _, where in found[:MAX_ADDRESSES]:
            connection = socket.socket(family, kind, protocol)
            try:
                self._deadline.hold(connection)
                connection.settimeout(timeout)
                connection.connect(where)
            except OSError as error:
                connection.close()
                failures.append(error)
            else:
                return connection
        raise failures[-1]


class _HTTPConnection(_Checked, http.client.HTTPConnection):
    pass


class _HTTPSConnection(_Checked, http.client.HTTPSConnection):
    pass


@contextmanager
def _errors_of(url: str) -> Iterator[None]:
    try:
        yield
    except urllib.error.HTTPError as error:
        # its text may have the URL of a redirect
        if error.code in (404, 410):
            raise URLNotFoundError(f"{shown_url(url)}: the server answers {error.code}") from None
        if error.code >= 500 or error.code in PASSING_STATUS:
            raise URLUnavailableError(
                f"{shown_url(url)}: the server answers {error.code}"
            ) from None
        raise URLDownloadError(f"{shown_url(url)}: the server answers {error.code}") from None
    except (ValueError, http.client.InvalidURL) as error:
        # the text of the error has the URL, or a part of it
        raise URLDownloadError(
            f"{shown_url(url)}: not a URL that can be opened ({shown_url(str(error))})"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        # URLError is an OSError: no route, no such host, timed out, reset
        raise URLUnavailableError(f"{shown_url(url)}: {error}") from error

"""Objects behind http and https URLs: read only."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from spacer_tasks.config import get_settings
from spacer_tasks.exceptions import (
    ObjectNotFoundError,
    StorageError,
    URLDownloadError,
    URLUnavailableError,
)
from spacer_tasks.storage.base import Storage

#: answers that mean "not now" although they are below 500
PASSING_STATUS = {408, 425, 429}


class URLStorage(Storage):
    """A key is a URL."""

    def load(self, key: str) -> bytes:
        limit = get_settings().url_max_bytes
        with _errors_of(key), _open(key, "GET") as answer:
            # one byte more than allowed tells "too much" from "just enough"
            data: bytes = answer.read(limit + 1)
            announced = answer.headers.get("Content-Length")
        if len(data) > limit:
            raise URLDownloadError(f"{key}: more than the {limit} bytes of SPACER_URL_MAX_BYTES")
        # read(n) hides a body that was cut short
        if announced is not None and announced.isdigit() and len(data) < int(announced):
            raise URLUnavailableError(f"{key}: {len(data)} bytes came, {announced} were announced")
        return data

    def store(self, key: str, data: bytes) -> None:
        raise StorageError(f"{key}: nothing can be written to a URL")

    def delete(self, key: str) -> None:
        raise StorageError(f"{key}: a URL cannot be deleted")

    def version(self, key: str) -> str | None:
        try:
            with _errors_of(key), _open(key, "HEAD") as answer:
                headers = answer.headers
                return (
                    headers.get("ETag")
                    or headers.get("Last-Modified")
                    or f"length-{headers.get('Content-Length')}"
                )
        except ObjectNotFoundError:
            return None


def _open(url: str, method: str) -> http.client.HTTPResponse:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise URLDownloadError(f"{url}: expected a http or https URL")
    request = urllib.request.Request(url, method=method)
    answer: http.client.HTTPResponse = urllib.request.urlopen(
        request, timeout=get_settings().url_timeout_s
    )
    return answer


@contextmanager
def _errors_of(url: str) -> Iterator[None]:
    try:
        yield
    except urllib.error.HTTPError as error:
        if error.code in (404, 410):
            raise ObjectNotFoundError(f"{url}: the server answers {error.code}") from error
        if error.code >= 500 or error.code in PASSING_STATUS:
            raise URLUnavailableError(f"{url}: the server answers {error.code}") from error
        raise URLDownloadError(f"{url}: the server answers {error.code}") from error
    except (ValueError, http.client.InvalidURL) as error:
        raise URLDownloadError(f"{url}: not a URL that can be opened ({error})") from error
    except (OSError, http.client.HTTPException) as error:
        # URLError is an OSError: no route, no such host, timed out, reset
        raise URLUnavailableError(f"{url}: {error}") from error

"""Which addresses count as the internet."""

from __future__ import annotations

import pytest

from spacer_tasks.exceptions import StorageError, URLDownloadError
from spacer_tasks.storage.addresses import checked_url, is_public


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "1.1.1.1",
        "2606:4700:4700::1111",
        # IPv4 inside IPv6: of a network without IPv4, and mapped
        "64:ff9b::8.8.8.8",
        "::ffff:8.8.8.8",
    ],
)
def test_the_internet_s_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        # this machine
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "::1", "::",
        # private
        "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12::1", "fec0::1",
        # link-local, where clouds tell machines their credentials; and such services elsewhere
        "169.254.169.254", "169.254.170.2", "fe80::1", "fe80::1%eth0", "fd00:ec2::254",
        "100.100.100.200", "168.63.129.16", "192.0.0.192",
        # carriers' own, tests, documentation, benchmarks
        "100.64.0.1", "100.127.255.255", "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1",
        "2001:db8::1", "100::1", "3fff::1",
        # many machines, or kept for later
        "224.0.0.1", "239.255.255.255", "255.255.255.255", "240.0.0.1", "ff02::1", "ff0e::1",
        # IPv4 inside IPv6
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::127.0.0.1", "::8.8.8.8",
        "64:ff9b::127.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b::10.0.0.1", "64:ff9b:1::8.8.8.8",
        "2002:7f00:1::", "2002:a9fe:a9fe::", "2002:808:808::", "2001:0:4136:e378::",
        "::ffff:0:127.0.0.1", "::ffff:168.63.129.16",
        # no addresses
        "", "localhost", "2130706433", "0x7f000001", "127.1",
    ],
)  # fmt: skip
def test_all_others_are_not(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "ftp://host/x", "gopher://host/x", "data:text/plain,x", "//host/x",
        "http://", "http:///x", "http://[broken", "http://host:99999/", "http://host:x/", "host/x",
    ],
)  # fmt: skip
def test_other_schemes_and_broken_urls_are_refused(url: str) -> None:
    with pytest.raises(URLDownloadError):
        checked_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://user:hunter2@example.org/x",
        "https://hunter2@example.org/x",
        "http://@example.org/",
        "http://good.example\\@127.0.0.1/hunter",
        "http://user:hunter2@[broken/",
        "ftp://user:hunter2@example.org/x",
    ],
)
def test_a_login_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(StorageError) as caught:
        checked_url(url)
    assert "hunter2" not in str(caught.value)

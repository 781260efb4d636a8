"""Which hosts and addresses a URL may lead to: the internet, and what the operator opened by name.

A name proves nothing, since who owns it may point it anywhere, and differently at each look. So
addresses are judged where a connection is made; see `url.py`.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from spacer_tasks.config.location_lists import NONE, PUBLIC
from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import URLDownloadError, URLNotAllowedError
from spacer_tasks.printable import shown_url

#: addresses by which IPv4 is reached from a network without it (RFC 6052); the last four bytes are
#: the IPv4 address
_NAT64 = IPv6Network("64:ff9b::/96")
#: the only addresses that the internet uses (RFC 4291)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
#: 6to4 (RFC 3056) and Teredo (RFC 4380): an IPv4 address inside
_TUNNELS = IPv6Network("2002::/16"), IPv6Network("2001::/32")
#: what older versions of Python's `ipaddress` take for the internet: Azure's services for a virtual
#: machine; protocol assignments, among them Oracle's metadata (RFC 6890); relays of 6to4 (RFC 7526)
_SPECIAL = (
    IPv4Network("168.63.129.16/32"),
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),
    # documentation (RFC 9637)
    IPv6Network("3fff::/20"),
)
_PORTS = {"http": 80, "https": 443}


def checked_url(url: str) -> SplitResult:
    """The parts of a URL that may be opened, as far as its text tells.

    Raises
    ------
    URLDownloadError
        It is no http or https URL, or carries a login.
    URLNotAllowedError
        Its host is not one that the operator allows.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise URLDownloadError(
            f"{shown_url(url)}: not a URL that can be opened ({shown_url(str(error))})"
        ) from None
    if parts.scheme not in _PORTS or not host:
        raise URLDownloadError(f"{shown_url(url)}: expected a http or https URL")
    if "@" in parts.netloc:
        raise URLDownloadError(
            f"{shown_url(url)}: a URL with a login in it, which would be seen in every log;"
            " expected one without"
        )
    if not takes_public_hosts() and not is_opened(host, port or _PORTS[parts.scheme]):
        raise not_allowed(shown_url(url))
    return parts


def takes_public_hosts() -> bool:
    """Whether any host of the internet may be used, without being named."""
    allowed = get_settings().allowed_urls
    return allowed is None or PUBLIC in allowed


def not_allowed(what: str) -> URLNotAllowedError:
    """The error for a URL or host that is not among those of the operator."""
    return URLNotAllowedError(
        f"{what}: its host is not among those that may be used here; who runs this can allow it by"
        " SPACER_ALLOWED_URLS"
    )


def is_opened(host: str, port: int) -> bool:
    """Whether the operator named this host, so that its address is not asked for."""
    host = host.lower().strip("[]")
    names = {host, f"{host}:{port}", f"[{host}]", f"[{host}]:{port}"} - {NONE, PUBLIC}
    return not names.isdisjoint(get_settings().allowed_urls or ())


def is_public(address: str) -> bool:
    """Whether an address is one of the internet: not private, of this machine, of this network, of
    a cloud's own services, or of no single machine. IPv4 inside IPv6 is judged as IPv4.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif ip in _NAT64:
            ip = IPv4Address(int(ip) & 0xFFFF_FFFF)
        elif ip not in _GLOBAL_UNICAST or any(ip in tunnel for tunnel in _TUNNELS):
            # the tunnels are out of use, and hide where they lead
            return False
    if any(ip in network for network in _SPECIAL):
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved

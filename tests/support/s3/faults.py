"""What the S3 proxy can do wrong, and how often."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class S3Faults:
    """Shares of all requests (0 to 1) that meet each fault; all together at most 1.

    Attributes
    ----------
    error_500, error_503, error_403, error_404
        An S3 error instead of doing what was asked: AccessDenied for 403, NoSuchBucket for 404.
    error_after
        A 500 although it was done.
    hang
        No answer for `hang_s` seconds, then the connection is closed.
    slow
        The answer's body comes in pieces, over `slow_s` seconds.
    reset
        The connection is reset half way: of an upload's body, or of an answer's.
    long, short
        The answer announces more bytes than there are, or the first half of its bytes as if they
        were all.
    first
        Only so many requests meet a fault; all, where 0.
    among
        Only requests whose path holds this meet a fault.
    late
        Share of uploads whose object is not found for `late_s` seconds.
    """

    error_500: float = 0
    error_503: float = 0
    error_403: float = 0
    error_404: float = 0
    error_after: float = 0
    hang: float = 0
    hang_s: float = 8
    slow: float = 0
    slow_s: float = 1
    reset: float = 0
    long: float = 0
    short: float = 0
    first: int = 0
    among: str = ""
    late: float = 0
    late_s: float = 2

    def chosen(self, number: float) -> str | None:
        """The fault of a request that drew this number from 0 to 1, or None."""
        for field in fields(self):
            if field.name.endswith("_s") or field.name in ("late", "first", "among"):
                continue
            number -= getattr(self, field.name)
            if number < 0:
                return field.name
        return None

    def to_json(self) -> dict[str, Any]:
        """As the proxy's control takes it."""
        return asdict(self)


#: every fault of S3 at once, about one request in six
ALL = S3Faults(
    error_500=0.05,
    error_503=0.05,
    error_after=0.01,
    hang=0.002,
    slow=0.02,
    reset=0.02,
    long=0.01,
    short=0.01,
    late=0.05,
)

"""The AWS account of the settings, for S3 and SQS."""

from __future__ import annotations

import logging
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from spacer_tasks.config.settings import get_settings
from spacer_tasks.version import __version__

if TYPE_CHECKING:
    import boto3
    from pydantic import SecretStr


def session(endpoint_url: str | None) -> boto3.Session:
    """A session with the credentials of the settings, or those that boto3 finds by itself.

    Parameters
    ----------
    endpoint_url
        The server that it will be used with, where that is not AWS.
    """
    # imported here: boto3 takes a fifth of a second that a web process need not spend
    import boto3
    from botocore.session import Session

    found = Session()
    # boto3's guesses the format, which is a tenth of the time that it takes for an object
    found.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_time_of)
    # at DEBUG these write down whole requests, with what they are signed by
    for name in ("boto3", "botocore", "urllib3"):
        logging.getLogger(name).setLevel(max(logging.INFO, logging.getLogger(name).level))
    settings = get_settings()
    return boto3.Session(
        aws_access_key_id=_plain(settings.aws_access_key_id),
        aws_secret_access_key=_plain(settings.aws_secret_access_key),
        aws_session_token=_plain(settings.aws_session_token),
        profile_name=settings.aws_profile_name,
        # servers that are not AWS do not care, but boto3 wants one
        region_name=settings.aws_region or ("us-east-1" if endpoint_url else None),
        botocore_session=found,
    )


def user_agent() -> str:
    """What requests name as their sender. boto3 puts its own together anew for each."""
    import boto3

    return f"spacer-tasks/{__version__} Boto3/{boto3.__version__}"


def _time_of(value: Any) -> datetime:
    """A time of an answer: of a header (RFC 9110), or in one of the formats that boto3 guesses."""
    from botocore.utils import parse_timestamp

    try:
        return parsedate_to_datetime(value)
    except (TypeError, ValueError, AttributeError):  # the last: a number
        guessed: datetime = parse_timestamp(value)
        return guessed


def _plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None

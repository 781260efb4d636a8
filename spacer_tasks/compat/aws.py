"""The account of the settings, as the reference gives it out."""

from __future__ import annotations

import os
import threading
from logging import getLogger
from typing import TYPE_CHECKING, Any

from spacer_tasks.compat import config
from spacer_tasks.config.settings import get_settings
from spacer_tasks.storage import aws

if TYPE_CHECKING:
    import boto3

logger = getLogger(__name__)

#: boto3's resources, unlike its clients, belong to a thread
THREAD_LOCAL = threading.local()


def create_aws_session() -> boto3.Session:
    """A session of boto3 with the credentials of the settings, or those that boto3 finds."""
    return aws.session(get_settings().s3_endpoint_url)


def create_aws_resource(service_name: str, region: str | None = None) -> Any:
    """A resource of boto3, unsigned where `AWS_ANONYMOUS` is set."""
    from botocore import UNSIGNED
    from botocore.config import Config

    session: Any = create_aws_session()
    return session.resource(
        service_name,
        region_name=region or config.AWS_REGION,
        endpoint_url=get_settings().s3_endpoint_url if service_name == "s3" else None,
        config=Config(signature_version=UNSIGNED) if config.AWS_ANONYMOUS else None,
    )


def get_s3_resource() -> Any:
    """The S3 resource of this thread, made at the first call."""
    if not hasattr(THREAD_LOCAL, "s3_resource"):
        THREAD_LOCAL.s3_resource = create_aws_resource("s3")
        logger.info("Called boto3.Session.resource() in get_s3_resource()")
    return THREAD_LOCAL.s3_resource


def aws_check() -> None:
    """Print where credentials come from, and whom AWS takes this process for."""
    if config.AWS_ANONYMOUS:
        print("AWS_ANONYMOUS has been set to True, so AWS will be accessed without credentials.")
        return
    print("Variables that have been set:")
    for name, value in (
        (
            "Spacer config - AWS_PROFILE_NAME (highest priority if specified)",
            config.AWS_PROFILE_NAME,
        ),
        ("Environment var - AWS_CONFIG_FILE", os.getenv("AWS_CONFIG_FILE")),
        (
            "Environment var - AWS_SHARED_CREDENTIALS_FILE",
            os.getenv("AWS_SHARED_CREDENTIALS_FILE"),
        ),
        ("Spacer config - AWS_ACCESS_KEY_ID", config.AWS_ACCESS_KEY_ID),
        ("Spacer config - AWS_SECRET_ACCESS_KEY", config.AWS_SECRET_ACCESS_KEY),
        ("Spacer config - AWS_SESSION_TOKEN", config.AWS_SESSION_TOKEN),
    ):
        print(f"{name}: {'Yes' if value else 'No'}")
    print("Will now call create_aws_session()...")
    session: Any = create_aws_session()
    print("Will now call get_caller_identity()...")
    print(f"Identified as ARN: {session.client('sts').get_caller_identity()['Arn']}")

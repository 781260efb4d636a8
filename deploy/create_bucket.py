"""Make the bucket of `SPACER_RESULTS_PREFIX` and wait until it takes objects.

For a private S3 server, once, before the workers start. A bucket that exists is left as it is.
"""

from __future__ import annotations

import sys
import time

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from spacer_tasks import storage
from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import SpacerError
from spacer_tasks.results import results_location

#: seconds; the server elects a leader and grows its first volume before it takes an object
TIMEOUT_S = 120


def main() -> None:
    """Try until it works or the time is up."""
    location = results_location()
    bucket = location.bucket_name
    if bucket is None:
        sys.exit(f"SPACER_RESULTS_PREFIX is {location.uri}, which names no bucket")
    probe = location.joined(".ready")
    end = time.monotonic() + TIMEOUT_S
    while True:
        try:
            create(bucket)
            storage.store(probe, b"ready")
            storage.delete(probe)
        except (BotoCoreError, ClientError, SpacerError) as error:
            if time.monotonic() > end:
                sys.exit(f"bucket {bucket}: {error}")
            time.sleep(1)
        else:
            print(f"bucket {bucket} takes objects")
            return


def create(bucket: str) -> None:
    """Make the bucket unless there is one of ours."""
    settings = get_settings()
    if settings.aws_access_key_id is None or settings.aws_secret_access_key is None:
        sys.exit("SPACER_AWS_ACCESS_KEY_ID and SPACER_AWS_SECRET_ACCESS_KEY are needed")
    client = boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint_url,
        aws_access_key_id=settings.aws_access_key_id.get_secret_value(),
        aws_secret_access_key=settings.aws_secret_access_key.get_secret_value(),
        region_name=settings.aws_region or "us-east-1",
    )
    if bucket not in [found["Name"] for found in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=bucket)


if __name__ == "__main__":
    main()

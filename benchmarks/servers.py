"""Servers that measurements use."""

from __future__ import annotations

from spacer_tasks.demo.services import S3Server


def s3_environment(s3: S3Server) -> dict[str, str]:
    """By which both sides find the server."""
    return {
        "AWS_ENDPOINT_URL_S3": s3.endpoint_url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "SPACER_S3_ENDPOINT_URL": s3.endpoint_url,
        "SPACER_AWS_ACCESS_KEY_ID": s3.access_key,
        "SPACER_AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }

"""Buckets of the S3 server that the tests share."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

from spacer_tasks.demo.services import S3Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef


@lru_cache(maxsize=1)
def _client(s3: S3Server) -> S3Client:
    # making one takes longer than most tests
    return s3.client()


@contextmanager
def fresh_bucket(s3: S3Server) -> Iterator[str]:
    """An empty bucket, removed with its content at the end."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    client = _client(s3)
    client.create_bucket(Bucket=name)
    yield name
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
        keys: list[ObjectIdentifierTypeDef] = [
            {"Key": item["Key"]} for item in page.get("Contents", [])
        ]
        if keys:
            client.delete_objects(Bucket=name, Delete={"Objects": keys})
    client.delete_bucket(Bucket=name)

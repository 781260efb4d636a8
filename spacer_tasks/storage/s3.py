"""Objects on S3 or an S3-compatible server.

One client per process and endpoint: making one takes longer than most requests, and it is safe
to share between threads.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any

from spacer_tasks import retries
from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import (
    BucketNotFoundError,
    ObjectNotFoundError,
    S3ObjectNotFoundError,
    SpacerError,
    StorageAccessError,
    StorageError,
    StorageUnavailableError,
)
from spacer_tasks.storage.aws import session, user_agent
from spacer_tasks.storage.base import Storage, check_size
from spacer_tasks.storage.fence import pass_fence

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

logger = logging.getLogger(__name__)

#: codes by which S3 and compatible servers refuse the caller, whatever is tried again
REFUSED = {
    "AccessDenied",
    "AccountProblem",
    "AllAccessDisabled",
    "ExpiredToken",
    "Forbidden",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "403",
}

#: codes of what passes: S3 is busy, or what arrived is not what was sent
PASSING = {
    "BadDigest",
    "IncompleteBody",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "XAmzContentChecksumMismatch",
    "XAmzContentSHA256Mismatch",
}


class S3Storage(Storage):
    """The objects of one bucket."""

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket

    def load(self, key: str) -> bytes:
        return self.load_version(key)[0]

    def load_version(self, key: str) -> tuple[bytes, str | None]:
        started = time.monotonic()
        for wait in retries.S3_BODY.waits():
            # what botocore has tried often enough is raised
            answer = self._get(key)
            try:
                return self._body(key, answer), answer["ETag"].strip('"')
            except StorageUnavailableError:
                if time.monotonic() - started > retries.S3_BODY_PATIENCE_S:
                    raise
            time.sleep(wait)
        answer = self._get(key)
        return self._body(key, answer), answer["ETag"].strip('"')

    def _get(self, key: str) -> GetObjectOutputTypeDef:
        with s3_errors(self.bucket, key):
            return client().get_object(Bucket=self.bucket, Key=key)

    def _body(self, key: str, answer: GetObjectOutputTypeDef) -> bytes:
        with s3_errors(self.bucket, key):
            # not `with body`: that gives the stream below, whose bytes nothing checks
            body = answer["Body"]
            try:
                check_size(answer["ContentLength"], f"s3://{self.bucket}/{key}")
                data: bytes = body.read()
            finally:
                body.close()
        if len(data) != answer["ContentLength"]:
            raise StorageUnavailableError(
                f"s3://{self.bucket}/{key}: {len(data)} bytes came,"
                f" {answer['ContentLength']} were announced"
            )
        return data

    def store(self, key: str, data: bytes) -> None:
        with s3_errors(self.bucket, key):
            client().put_object(Bucket=self.bucket, Key=key, Body=data)

    def store_once(self, key: str, data: bytes) -> bool:
        with s3_errors(self.bucket, key):
            put = client().meta.service_model.operation_model("PutObject").input_shape
            if put is not None and "IfNoneMatch" not in put.members:
                # a botocore of before August 2024
                client().put_object(Bucket=self.bucket, Key=key, Body=data)
                return True
            try:
                client().put_object(Bucket=self.bucket, Key=key, Body=data, IfNoneMatch="*")
            except client().exceptions.ClientError as error:
                # the second: another write of the same key is under way, and has come first
                code = error.response.get("Error", {}).get("Code")
                if code in ("PreconditionFailed", "ConditionalRequestConflict"):
                    return False
                if code not in ("NotImplemented", "InvalidArgument"):
                    raise
                logger.warning("this S3 server does not know If-None-Match: %s is replaced", key)
                client().put_object(Bucket=self.bucket, Key=key, Body=data)
        return True

    def delete(self, key: str) -> None:
        with s3_errors(self.bucket, key):
            client().delete_object(Bucket=self.bucket, Key=key)

    def version(self, key: str) -> str | None:
        try:
            with s3_errors(self.bucket, key):
                return client().head_object(Bucket=self.bucket, Key=key)["ETag"].strip('"')
        except ObjectNotFoundError:
            return None


#: making a boto3 client is not safe in two threads at once; using one is
_MAKING = Lock()


def forget_clients() -> None:
    """Make new clients from now on: after the settings changed."""
    _client_of.cache_clear()


def client() -> S3Client:
    """This process's client for the endpoint of the settings."""
    # a forked worker must not share its parent's sockets: a client belongs to one process
    with _MAKING:
        return _client_of(os.getpid(), get_settings().s3_endpoint_url)


@lru_cache(maxsize=4)
def _client_of(process: int, endpoint_url: str | None) -> S3Client:
    # imported here: boto3 takes a fifth of a second that a web process need not spend
    from botocore import UNSIGNED
    from botocore.config import Config

    settings = get_settings()
    options: dict[str, Any] = {
        "connect_timeout": settings.s3_connect_timeout_s,
        "read_timeout": settings.s3_read_timeout_s,
        "user_agent": user_agent(),
        "max_pool_connections": settings.s3_max_connections,
        # quick retries of one request; a task's own retries come after these
        "retries": {"mode": "standard", "total_max_attempts": retries.S3_ATTEMPTS},
    }
    if settings.aws_anonymous:
        options["signature_version"] = UNSIGNED
    made = session(endpoint_url).client("s3", endpoint_url=endpoint_url, config=Config(**options))
    # of each try: botocore may wait for seconds between two
    for write in ("PutObject", "DeleteObject"):
        made.meta.events.register(f"before-send.s3.{write}", _pass_fence)
    return made


def _pass_fence(**_: Any) -> None:
    pass_fence()


def _after_fork() -> None:
    # a thread of the parent may have held it
    global _MAKING
    _MAKING = Lock()


os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def s3_errors(bucket: str, key: str) -> Iterator[None]:
    """Turn boto3's errors into this package's, which name the object."""
    # imported here as boto3 is
    from botocore import exceptions as boto
    from botocore.parsers import ResponseParserError
    from urllib3.exceptions import HTTPError

    name = f"s3://{bucket}/{key}"
    try:
        yield
    except boto.ClientError as error:
        raise _of_answer(name, bucket, error.response) from error
    except (boto.NoCredentialsError, boto.PartialCredentialsError) as error:
        raise StorageAccessError(
            f"{name}: no AWS credentials; set SPACER_AWS_ACCESS_KEY_ID and"
            " SPACER_AWS_SECRET_ACCESS_KEY, or SPACER_AWS_ANONYMOUS for public data"
        ) from error
    except (boto.ProfileNotFound, boto.ParamValidationError) as error:
        raise StorageAccessError(f"{name}: {' '.join(str(error).split())}") from error
    except (
        # not a connection (boto's own class), no answer in time, broken off half way
        boto.ConnectionError,
        boto.HTTPClientError,
        boto.IncompleteReadError,
        # not what was sent
        boto.ChecksumError,
        boto.FlexibleChecksumError,
        ResponseParserError,
        HTTPError,
        OSError,
    ) as error:
        raise StorageUnavailableError(f"{name}: {error}") from error
    except boto.BotoCoreError as error:
        raise StorageError(f"{name}: {error}") from error


def _of_answer(name: str, bucket: str, answer: Any) -> SpacerError:
    code = str(answer.get("Error", {}).get("Code", ""))
    text = answer.get("Error", {}).get("Message", "")
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code == "NoSuchBucket":
        return BucketNotFoundError(f"{name}: there is no bucket {bucket!r} at this endpoint")
    if code in ("NoSuchKey", "NotFound", "404"):
        return S3ObjectNotFoundError(f"{name}: there is no such object")
    if code in REFUSED or status in (401, 403):
        return StorageAccessError(f"{name}: S3 refuses access ({code}: {text})")
    if status >= 500 or status == 429 or code in PASSING:
        return StorageUnavailableError(f"{name}: S3 answers {status} ({code}: {text})")
    return StorageError(f"{name}: S3 answers {status} ({code}: {text})")

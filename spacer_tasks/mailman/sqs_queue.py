"""Queues on Amazon SQS, or on a server that speaks its protocol."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import SpacerError, SQSError, SQSUnavailableError
from spacer_tasks.retries import SQS_ATTEMPTS
from spacer_tasks.storage import aws

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

#: messages of one request, and changes of one: SQS's limit
BATCH = 10
#: seconds to reach SQS, and without a byte from it; a receive waits up to 20 for a message
CONNECT_S, READ_S = 5, 30
#: seconds that a request may take before it fails, with a second between two attempts
LONGEST_REQUEST_S = SQS_ATTEMPTS * (CONNECT_S + READ_S + 1)
#: codes with which SQS asks to come back later although the status is 400 or 403
LATER = {"RequestThrottled", "Throttling", "ThrottlingException", "KMS.ThrottlingException"}
#: the region in the URL of a queue on AWS: `https://sqs.us-west-2.amazonaws.com/123456789012/jobs`
REGION_IN_URL = re.compile(r"^https://(?:sqs\.)?([a-z]{2}(?:-[a-z]+)+-[0-9])\.")
#: what a message may not hold (https://www.w3.org/TR/REC-xml/#charsets); JSON escapes the rest
FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class SQSMessage:
    """A message that was received. It comes back unless it is deleted by its receipt.

    Attributes
    ----------
    message_id
        The same at each delivery.
    receipt
        Of this delivery.
    receive_count
        How often it was delivered, this time included.
    """

    message_id: str
    receipt: str
    body: str
    receive_count: int


class SQSQueue:
    """One queue, standard or FIFO. It may be used from several threads.

    Every method raises `SQSError` where SQS refuses, and `SQSUnavailableError` where it does not
    answer or asks to come back later.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def __str__(self) -> str:
        return self.url

    @property
    def max_bytes(self) -> int:
        """The largest message that the queue takes, in bytes, with its attributes.

        SQS allows 1 MiB, until August 2025 it was 256 KiB; the queue's own limit may be lower.
        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
        """
        return int(self._attributes["MaximumMessageSize"])

    @property
    def arn(self) -> str:
        """The name of the queue in all of AWS; several URLs may be of one queue."""
        return self._attributes["QueueArn"]

    @cached_property
    def _attributes(self) -> Mapping[str, str]:
        with self._errors():
            answer = self._client.get_queue_attributes(
                QueueUrl=self.url, AttributeNames=["MaximumMessageSize", "QueueArn"]
            )
        return {str(name): value for name, value in answer["Attributes"].items()}

    def receive(self, count: int, wait_s: int, visibility_s: int) -> list[SQSMessage]:
        """Up to `count` messages (10 at most), which nobody else is given for `visibility_s`.

        It waits up to `wait_s` seconds (20 at most) for the first.
        """
        with self._errors():
            answer = self._client.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=min(count, BATCH),
                WaitTimeSeconds=wait_s,
                VisibilityTimeout=visibility_s,
                # the newer name of this parameter is unknown to the oldest boto3 we admit
                AttributeNames=["ApproximateReceiveCount"],
            )
        return [
            SQSMessage(
                message_id=message["MessageId"],
                receipt=message["ReceiptHandle"],
                body=message["Body"],
                receive_count=int(message["Attributes"]["ApproximateReceiveCount"]),
            )
            for message in answer.get("Messages", [])
        ]

    def send(self, body: str, key: str, attributes: Mapping[str, str]) -> None:
        """Put a message into the queue.

        Parameters
        ----------
        key
            A FIFO queue drops a message with the key of one of the five minutes before.
        attributes
            Sent beside the body. What SQS does not allow in them becomes a blank.
        """
        fifo = {"MessageDeduplicationId": key, "MessageGroupId": key}
        with self._errors():
            self._client.send_message(
                QueueUrl=self.url,
                MessageBody=body,
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value}
                    for name, value in _allowed(attributes).items()
                },
                **(fifo if self.url.endswith(".fifo") else {}),  # type: ignore[arg-type]  # by name it is checked
            )

    def fits(self, body: str, attributes: Mapping[str, str]) -> bool:
        """Whether the queue takes such a message: SQS counts names, types and values."""
        parts = [body, *(f"String{name}{value}" for name, value in _allowed(attributes).items())]
        return sum(len(part.encode()) for part in parts) <= self.max_bytes

    def change_visibility(self, receipts: Sequence[str], visibility_s: int) -> dict[str, str]:
        """Let messages come back in `visibility_s` seconds from now.

        Why it was refused, by receipt, for those that SQS refused for good: the message was
        deleted, given to somebody else, or received more than 12 hours ago.
        """
        refused = {}
        for start in range(0, len(receipts), BATCH):
            part = receipts[start : start + BATCH]
            with self._errors():
                answer = self._client.change_message_visibility_batch(
                    QueueUrl=self.url,
                    Entries=[
                        {"Id": str(i), "ReceiptHandle": receipt, "VisibilityTimeout": visibility_s}
                        for i, receipt in enumerate(part)
                    ],
                )
            for failed in answer.get("Failed", []):
                if failed["SenderFault"]:
                    reason = f"{failed['Code']}: {failed.get('Message', '')}"
                    refused[part[int(failed["Id"])]] = reason
        return refused

    def delete(self, receipt: str) -> None:
        """Remove a message that was received."""
        with self._errors():
            self._client.delete_message(QueueUrl=self.url, ReceiptHandle=receipt)

    @cached_property
    def _client(self) -> SQSClient:
        from botocore.config import Config

        region = REGION_IN_URL.match(self.url)
        endpoint_url = get_settings().sqs_endpoint_url
        return aws.session(endpoint_url).client(
            "sqs",
            endpoint_url=endpoint_url,
            region_name=region.group(1) if region else None,
            config=Config(
                connect_timeout=CONNECT_S,
                read_timeout=READ_S,
                retries={"mode": "standard", "total_max_attempts": SQS_ATTEMPTS},
            ),
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn boto3's errors into this package's, which name the queue."""
        from botocore import exceptions as boto

        try:
            yield
        except boto.ClientError as error:
            raise self._of_answer(error.response) from error
        except (boto.NoCredentialsError, boto.PartialCredentialsError) as error:
            raise SQSError(f"{self}: no AWS credentials") from error
        except boto.NoRegionError as error:
            raise SQSError(f"{self}: SPACER_AWS_REGION is not set") from error
        except (boto.ConnectionError, boto.HTTPClientError, OSError) as error:
            raise SQSUnavailableError(f"{self}: {error}") from error
        except boto.BotoCoreError as error:
            raise SQSError(f"{self}: {' '.join(str(error).split())}") from error

    def _of_answer(self, answer: Any) -> SpacerError:
        code, text = answer["Error"].get("Code", ""), answer["Error"].get("Message", "")
        status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code in LATER or status >= 500 or status == 429:
            return SQSUnavailableError(f"{self}: SQS answers {status} ({code}: {text})")
        return SQSError(f"{self}: SQS refuses ({code}: {text})")


def _allowed(attributes: Mapping[str, str]) -> dict[str, str]:
    return {name: FORBIDDEN.sub(" ", value) for name, value in attributes.items()}

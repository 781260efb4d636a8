"""The queues of a mailman, and what a test puts in and finds in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from moto.sqs.models import Message, Queue, sqs_backends

from spacer_tasks.storage import aws
from tests.support.sqs.server import REGION
from tests.support.waiting import until

if TYPE_CHECKING:
    from mypy_boto3_sqs.literals import QueueAttributeNameType


class Post:
    """Three new queues: for jobs, for their answers, and for what is no job."""

    def __init__(
        self, endpoint_url: str, of_results: Mapping[QueueAttributeNameType, str] | None = None
    ) -> None:
        self.client = aws.session(endpoint_url).client("sqs", endpoint_url=endpoint_url)
        self._letters: dict[str, list[tuple[str, dict[str, str]]]] = {}
        name = uuid4().hex[:8]
        queues: list[tuple[str, Mapping[QueueAttributeNameType, str]]] = [
            ("jobs", {}),
            ("results", of_results or {}),
            ("dead", {}),
        ]
        self.jobs, self.results, self.dead_letters = (
            self.client.create_queue(QueueName=f"{name}-{kind}", Attributes=attributes)["QueueUrl"]
            for kind, attributes in queues
        )

    @property
    def urls(self) -> tuple[str, str, str]:
        """As a mailman takes them."""
        return self.jobs, self.results, self.dead_letters

    def send(self, body: Any, delay_s: int = 0) -> str:
        """Put a message into the queue of jobs; its id."""
        body = body if isinstance(body, str) else json.dumps(body)
        return self.client.send_message(QueueUrl=self.jobs, MessageBody=body, DelaySeconds=delay_s)[
            "MessageId"
        ]

    def answer_to(self, message_id: str) -> dict[str, Any]:
        """The one answer to a message, as JSON data. Others that come stay to be asked for."""
        text, _ = self._letter(self.results, "job_message_id", message_id)
        answer: dict[str, Any] = json.loads(text)
        return answer

    def dead_letter(self, message_id: str) -> tuple[str, dict[str, str]]:
        """What went to the dead-letter queue for a message, and its attributes."""
        return self._letter(self.dead_letters, "source_message_id", message_id)

    def letters(self, url: str) -> list[tuple[str, dict[str, str]]]:
        """Everything that came to a queue so far: bodies and attributes."""
        letters = self._letters.setdefault(url, [])
        while found := self.client.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            for message in found:
                self.client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                attributes = message["MessageAttributes"].items()
                letters.append((message["Body"], {k: v["StringValue"] for k, v in attributes}))
        return letters

    def _letter(self, url: str, name: str, message_id: str) -> tuple[str, dict[str, str]]:
        def mine() -> list[tuple[str, dict[str, str]]]:
            return [each for each in self.letters(url) if each[1][name] == message_id]

        until(lambda: bool(mine()), f"nothing came to {url} for {message_id}")
        (letter,) = mine()
        return letter

    def waiting(self) -> dict[str, Message]:
        """The server's own view of the messages in the queue of jobs, visible or not, by id."""
        return {message.id: message for message in self._queue()._messages}

    def deliver_again(self, message: Message) -> None:
        """Let the server give out a message once more, be it held or deleted."""
        message.visible_at = 0
        if message.id not in self.waiting():
            self._queue().add_message(message)

    def _queue(self) -> Queue:
        account, name = self.jobs.split("/")[-2:]
        return sqs_backends[account][REGION].queues[name]

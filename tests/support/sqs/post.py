"""What tests look at the mailman with: an SQS server, an image that waits, a wire to cut."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from celery.contrib.testing.worker import start_worker
from moto.server import ThreadedMotoServer
from moto.sqs.models import Message, Queue, sqs_backends

from spacer_tasks import storage
from spacer_tasks.app import app
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.services import S3Server
from spacer_tasks.mailman import mailman
from spacer_tasks.mailman.mailman import Mailman
from spacer_tasks.mailman.sqs_queue import SQSQueue
from spacer_tasks.mailman.steps import Queues
from spacer_tasks.storage import aws
from spacer_tasks.worker.pools import POOLS, transport_options
from tests.support.photos import photo
from tests.support.settings import (
    empty_queues,
    forget_settings,
    fresh_bucket,
    settings_in_environment,
)

if TYPE_CHECKING:
    from mypy_boto3_sqs.literals import QueueAttributeNameType

REGION = "us-east-1"
#: seconds; for what should come, on a busy machine
PATIENCE_S = 60


@contextmanager
def sqs_server() -> Iterator[str]:
    """The URL of a server that speaks SQS."""
    # a line for each request
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@contextmanager
def mail_site(redis_url: str, s3: S3Server) -> Iterator[str]:
    """Settings, servers, and a worker for all queues; the name of an S3 bucket."""
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        sqs_server() as sqs_url,
        fresh_bucket(s3) as bucket,
        settings_in_environment(redis_url, s3, bucket),
    ):
        monkeypatch.setenv("SPACER_SQS_ENDPOINT_URL", sqs_url)
        monkeypatch.setenv("SPACER_AWS_REGION", REGION)
        # seconds until a job that is nowhere is called lost
        monkeypatch.setenv("SPACER_LOST_AFTER_S", "1")
        # seconds that the end of a mailman waits for, too
        monkeypatch.setattr(mailman, "IDLE_WAIT_S", 1)
        forget_settings()
        storage.store(DataLocation.parse(f"s3://{bucket}/a.png"), photo("sand", 1))
        with (
            empty_queues(redis_url),
            _as_a_pool(),
            start_worker(app, pool="threads", concurrency=2, perform_ping_check=False),
        ):
            yield bucket


@contextmanager
def _as_a_pool() -> Iterator[None]:
    """Let the worker of the tests keep what it has taken where a worker of a pool does."""
    before = app.conf.broker_transport_options
    app.conf.broker_transport_options = {**before, **transport_options(POOLS["features"])}
    yield
    app.conf.broker_transport_options = before


def job_of(bucket: str, image: str | None = None, **changes: Any) -> dict[str, Any]:
    """A job as the reference writes it: one image, two points."""
    image_loc = DataLocation.parse(image or f"s3://{bucket}/a.png")
    message = {
        "job_token": "1",
        "extractor": {"class_path": "dummy", "feature_dim": 8},
        "rowcols": [[3, 4], [5, 6]],
        "image_loc": image_loc.model_dump(),
        "feature_loc": DataLocation.parse(f"s3://{bucket}/a.npz").model_dump(),
    }
    return {"task_name": "extract_features", "tasks": [{**message, **changes}]}


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


@contextmanager
def working(post: Post) -> Iterator[Mailman]:
    """A mailman at work on these queues, in a thread."""
    found = Mailman(Queues(*map(SQSQueue, post.urls)))
    thread = Thread(target=found.run)
    thread.start()
    yield found
    found.stop()
    thread.join(30)
    assert not thread.is_alive()


def until(condition: Callable[[], bool], what: str) -> None:
    """Look again until it holds; a failure says what did not come."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


class Gate:
    """A web server whose one image comes when the gate is opened, and which counts who asked.

    So many requests as `refusals` says are first told to come back later.
    """

    def __init__(self, refusals: int = 0) -> None:
        self.asked = 0
        self.refusals = refusals
        self._open = Event()
        gate, image = self, photo("sand", 1)

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                if gate.refusals > 0:
                    gate.refusals -= 1
                    self.send_error(503)
                else:
                    self._begin()

            def do_GET(self) -> None:
                gate.asked += 1
                gate._open.wait(PATIENCE_S)
                # who asked may have been stopped meanwhile
                with suppress(OSError):
                    self._begin()
                    self.wfile.write(image)

            def _begin(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(image)))
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/image.png"
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def open(self) -> None:
        """Let the image come."""
        self._open.set()

    def close(self) -> None:
        """Stop the server."""
        self._open.set()
        self._server.shutdown()
        self._server.server_close()


class Wire:
    """A way to a server of this machine that can be cut and mended. `port` is its near end."""

    def __init__(self, port: int) -> None:
        self._far = ("127.0.0.1", port)
        self._lock = Lock()
        self._open: set[socket.socket] = set()
        self._cut = False
        self._pool = ThreadPoolExecutor(64, "wire")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End all connections, and every new one at once."""
        with self._lock:
            self._cut = True
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Let connections through again."""
        with self._lock:
            self._cut = False

    def close(self) -> None:
        """Cut it for good."""
        self.cut()
        self._listener.close()
        self._pool.shutdown(wait=True)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                with self._lock:
                    if self._cut:
                        near.close()
                        continue
                    far = socket.create_connection(self._far)
                    self._open |= {near, far}
                self._pool.submit(self._carry, near, far)
                self._pool.submit(self._carry, far, near)

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with self._lock:
            for each in (source, target):
                self._open.discard(each)
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

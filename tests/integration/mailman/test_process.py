"""A mailman as an operator sees it: killed, stopped, started again, cut off from its servers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from spacer_tasks.config.settings import get_settings
from spacer_tasks.demo.processes import Process, process
from spacer_tasks.demo.services import S3Server
from spacer_tasks.mailman.mailman import task_id_of
from spacer_tasks.results import find_answer
from tests.support.gate import Gate
from tests.support.network.cut_wire import Wire
from tests.support.sqs.post import Post
from tests.support.sqs.site import job_of, mail_site
from tests.support.waiting import until

#: seconds after which messages of a mailman that was killed come back
VISIBILITY_S = 9

StartMailman = Callable[..., Process]


@pytest.fixture(scope="module")
def bucket(redis_url: str, s3: S3Server) -> Iterator[str]:
    with mail_site(redis_url, s3) as name:
        yield name


@pytest.fixture
def post(bucket: str) -> Post:
    return Post(get_settings().sqs_endpoint_url or "")


@pytest.fixture
def gate() -> Iterator[Gate]:
    found = Gate()
    yield found
    found.close()


@pytest.fixture
def start_mailman(post: Post, tmp_path: Path) -> Iterator[StartMailman]:
    """Starts `spacer-tasks mailman` on the queues; its log says what it does."""
    with ExitStack() as stack:

        def start(name: str, *options: str) -> Process:
            command = [sys.executable, "-m", "spacer_tasks.cli", "mailman", *post.urls]
            return stack.enter_context(
                process(
                    [*command, "--visibility", str(VISIBILITY_S), *options],
                    log_path=tmp_path / f"{name}.log",
                    # it has nothing in hand at the end, and may be killed
                    stop_timeout_s=0,
                    name=name,
                )
            )

        yield start


def said(mailman: Process, text: str) -> Callable[[], bool]:
    return lambda: text in log_of(mailman)


def log_of(mailman: Process) -> str:
    return mailman.log_path.read_text()


def test_a_job_in_hand_is_kept_and_taken_up_by_another_mailman_when_one_is_killed(
    post: Post, bucket: str, gate: Gate, start_mailman: StartMailman
) -> None:
    message_id = post.send(job_of(bucket, gate.url))
    first = start_mailman("first")
    until(lambda: gate.asked == 1, "the job did not start")
    (message,) = post.waiting().values()

    # while the job runs, its message is kept from coming back
    visible_at = message.visible_at
    until(lambda: message.visible_at > visible_at, "it was not extended")
    assert message.approximate_receive_count == 1

    first.popen.kill()
    second = start_mailman("second")
    # after these seconds it comes by itself
    post.deliver_again(message)
    until(said(second, "is in Celery's hands: running"), "the second did not take it up")
    assert message.approximate_receive_count == 2

    def delivered_again() -> bool:
        # until it slips in between two extensions
        post.deliver_again(message)
        return said(second, "came again while it is in hand")()

    until(delivered_again, "it was not delivered again to the one that has it")
    gate.open()
    assert post.answer_to(message_id)["ok"]
    until(lambda: not post.waiting(), "it was not deleted")
    assert len(post.letters(post.results)) == 1
    assert gate.asked == 1


def test_a_mailman_that_is_stopped_gives_back_what_it_has_and_the_task_goes_on(
    post: Post, bucket: str, gate: Gate, start_mailman: StartMailman
) -> None:
    message_id = post.send(job_of(bucket, gate.url))
    for_later = post.send(job_of(bucket, gate.url))
    mailman = start_mailman("stopped", "--in-hand", "1")
    until(lambda: gate.asked == 1, "the job did not start")
    # the worker had room for both
    assert post.waiting()[for_later].approximate_receive_count == 0
    mailman.popen.terminate()
    assert mailman.popen.wait(30) == 0
    assert "messages given back: 1" in log_of(mailman)
    assert post.waiting()[message_id].visible
    gate.open()
    task_id = task_id_of(post.jobs, message_id)
    until(lambda: find_answer(task_id) is not None, "the task did not go on")


def test_nothing_is_lost_while_redis_s3_and_sqs_are_away(
    post: Post, bucket: str, gate: Gate, start_mailman: StartMailman, wires: list[Wire]
) -> None:
    redis, s3, sqs = wires
    sqs.cut()
    mailman = start_mailman("cut-off")
    until(said(mailman, f"{post.jobs}: Connection was closed"), "nothing said of SQS at the start")
    sqs.mend()
    message_id = post.send(job_of(bucket, gate.url))
    until(lambda: gate.asked == 1, "the job did not start")

    # what the mailman does with a finished job needs one after the other
    for wire in wires:
        wire.cut()
    gate.open()
    until(said(mailman, "Redis does not answer"), "nothing said of Redis")
    redis.mend()
    until(said(mailman, f"s3://{bucket}/results/answers/"), "nothing said of S3")
    s3.mend()
    until(said(mailman, f"{post.results}: Connection was closed"), "nothing said of SQS")
    sqs.mend()
    assert post.answer_to(message_id)["ok"]
    until(lambda: not post.waiting(), "it was not deleted")
    assert len(post.letters(post.results)) == 1
    assert gate.asked == 1


@pytest.fixture
def wires(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Wire]]:
    """Ways to Redis, S3 and SQS for the processes that this test starts."""
    found = []
    for name in ("SPACER_BROKER_URL", "SPACER_S3_ENDPOINT_URL", "SPACER_SQS_ENDPOINT_URL"):
        url = os.environ[name]
        port = urlsplit(url).port
        assert port is not None
        found.append(Wire(port))
        monkeypatch.setenv(name, url.replace(f":{port}", f":{found[-1].port}"))
    yield found
    for wire in found:
        wire.close()


@pytest.mark.parametrize(
    ("same", "said_of_it"),
    [
        ((0, 0, 1), "the queue of jobs and the result queue are one"),
        ((0, 1, 0), "the queue of jobs and the dead-letter queue are one"),
        ((0, 1, 1), "the result queue and the dead-letter queue are one"),
    ],
)
def test_queues_that_are_one_are_refused(
    post: Post, same: tuple[int, int, int], said_of_it: str
) -> None:
    post.send("{no job")
    for others in (post.urls, other_urls(post.urls)):
        # the same queue, by another URL of it
        urls = [
            (post.urls if same.index(each) == at else others)[each] for at, each in enumerate(same)
        ]
        ended = run_mailman(urls)
        assert ended.returncode == 2
        assert said_of_it in " ".join(ended.stderr.split())
    (message,) = post.waiting().values()
    assert message.approximate_receive_count == 0


@pytest.mark.parametrize(
    ("env", "said_of_it"),
    [
        ({"SPACER_BROKER_URL": "http://x"}, "SPACER_BROKER_URL is not a Redis URL"),
        ({"SPACER_RESULTS_PREFIX": "s3://no-such-bucket/x"}, "there is no bucket 'no-such-bucket'"),
        ({"SPACER_RESULTS_PREFIX": "https://host/x"}, "nothing can be written to a URL"),
        ({"SPACER_RESULTS_PREFIX": ""}, "SPACER_RESULTS_PREFIX is not set"),
    ],
)
def test_a_mailman_that_cannot_do_its_work_takes_no_job(
    post: Post, bucket: str, env: dict[str, str], said_of_it: str
) -> None:
    post.send(job_of(bucket, "https://host/image.png"))
    ended = run_mailman(post.urls, **env)
    assert ended.returncode == 2
    assert said_of_it in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr
    (message,) = post.waiting().values()
    assert message.approximate_receive_count == 0


def other_urls(urls: Sequence[str]) -> list[str]:
    """The same queues by another name of the server's host."""
    return [url.replace("127.0.0.1", "localhost") for url in urls]


def run_mailman(urls: Sequence[str], **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "spacer_tasks.cli", "mailman", *urls],
        env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

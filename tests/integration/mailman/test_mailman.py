"""Jobs from SQS: what comes out for what goes in, with a real Redis, S3 and worker."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery.exceptions import WorkerLostError
from moto.sqs.models import Message

from spacer_tasks import results, storage
from spacer_tasks.app import app
from spacer_tasks.broker.client import broker_client
from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.services import S3Server
from spacer_tasks.exceptions import SQSError
from spacer_tasks.jobs.records import JobRecord
from spacer_tasks.jobs.sent import MAILMAN
from spacer_tasks.mailman.ledger import ANSWERED, claim_answer, look, note_answered
from spacer_tasks.mailman.mailman import Mailman, task_id_of
from spacer_tasks.mailman.sqs_queue import SQSQueue
from spacer_tasks.mailman.steps import Queues
from spacer_tasks.messages.tasks import JobReturnMsg
from tests.support.sending import store_finished
from tests.support.sqs.post import Post
from tests.support.sqs.site import job_of, mail_site, working
from tests.support.waiting import until


@pytest.fixture(scope="module")
def bucket(redis_url: str, s3: S3Server) -> Iterator[str]:
    with mail_site(redis_url, s3) as name:
        yield name


@pytest.fixture(scope="module")
def post(bucket: str) -> Iterator[Post]:
    """Queues with a mailman at work; a result of over 16 KiB does not fit."""
    found = Post(get_settings().sqs_endpoint_url or "", {"MaximumMessageSize": "16384"})
    with working(found):
        yield found


@pytest.fixture(scope="module")
def sent(post: Post, bucket: str) -> dict[str, str]:
    """All messages at once, for they wait together: the ids of messages by a name."""
    large = DataLocation.parse(f"s3://{bucket}/jobs/1.json")
    storage.store(large, json.dumps(large_job(bucket)).encode())
    found = {
        "good": post.send(job_of(bucket)),
        "large": post.send(large.model_dump()),
        "a point outside": post.send(job_of(bucket, rowcols=[[3, 400]])),
        "an unknown field": post.send(job_of(bucket, colour=1)),
        **{body: post.send(body) for body in NO_JOBS},
        # a second to say what happened to them, before the mailman sees them
        **{name: post.send(job_of(bucket), delay_s=1) for name in LATER},
    }
    task_ids = {name: task_id_of(post.jobs, message_id) for name, message_id in found.items()}
    app.backend.mark_as_failure(task_ids["lost"], WorkerLostError("exited by signal 9"))
    # long enough ago that S3 would show the answer
    store_finished(task_ids["gone"], 130)
    store_finished(task_ids["late"], 0)
    noted = JobRecord(
        task_id=task_ids["never sent"],
        job_id=0,
        task_name="extract_features",
        queue="features",
        submitted_at=time.time() - 3600,
    )
    broker_client().set(MAILMAN + noted.task_id, noted.model_dump_json())
    return found


@pytest.fixture(scope="module")
def messages(post: Post, sent: dict[str, str]) -> dict[str, Message]:
    """The server's view of those that come a second later, by name."""
    waiting = post.waiting()
    return {name: waiting[sent[name]] for name in LATER}


def large_job(bucket: str) -> dict[str, Any]:
    """Over the 64 KiB that go through Redis, and the 16 KiB of the result queue."""
    return job_of(bucket, job_token="x" * 70_000)


def nested(depth: int) -> str:
    """A job with so many lists inside each other, and two levels around them."""
    return '{"task_name": "classify_image", "tasks": [' + "[" * depth + "]" * depth + "]}"


LATER = ("lost", "gone", "late", "never sent", "twice", "wiped")
#: bodies, and what the reasons say
NO_JOBS = {
    "{": "the message is not JSON",
    "[" * 100_000: "the message is not JSON",
    "[1]": "the message is a JSON list, expected an object",
    '{"colour": "r\\u0000ed"}': "no job: .* found the fields colour and the task_name 'None'",
    '{"task_name": "rm", "tasks": []}': "no job: .* one of extract_features, .* 'rm'",
    '{"task_name": "classify_image", "tasks": 1}': "no job: expected a list of tasks",
    '{"storage_type": "filesystem", "key": "/a"}': "storage_type 'filesystem', expected 's3'",
    '{"storage_type": "url", "key": "http://127.0.0.1:9"}': "storage_type 'url', expected 's3'",
    '{"storage_type": "s3", "bucket_name": "no-such", "key": "a"}': "there is no bucket 'no-such'",
    '{"storage_type": "s3", "key": "a"}': "a location on s3 needs a bucket_name",
    '{"task_name": "classify_image", "tasks": [], "message_loc": {}}': "the field message_loc",
    # what neither an attribute of SQS nor UTF-8 can hold
    '{"\\ud800": 1}': r"no job: .* found the fields \\ud800 and",
    # what Python reads, and a worker does not
    nested(970): "the message is nested deeper than 100 lists and objects",
    nested(99): "the message is nested deeper than 100 lists and objects",
}


@pytest.mark.usefixtures("messages")
def test_an_answer_that_s3_does_not_show_yet_is_waited_for(
    post: Post, bucket: str, sent: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    job = job_of(bucket)
    answer = JobReturnMsg(original_job=job, ok=True, results=[], error_message=None)
    task_id = task_id_of(post.jobs, sent["late"])
    looked = f"(task {task_id}): finished, but its answer is not to be seen yet"
    until(lambda: caplog.text.count(looked) > 1, "the mailman did not look for the answer twice")
    results.store_answer(task_id, "spacer_tasks.process_job", None, answer=answer.to_wire())
    assert post.answer_to(sent["late"])["ok"]


@pytest.mark.usefixtures("messages")
def test_a_job_goes_in_and_its_answer_comes_out(
    post: Post, bucket: str, sent: dict[str, str]
) -> None:
    answer = post.answer_to(sent["good"])
    assert answer["ok"]
    assert answer["original_job"] == job_of(bucket)
    assert answer["results"][0]["runtime"] > 0
    assert storage.exists(DataLocation.parse(f"s3://{bucket}/a.npz"))


def test_large_jobs_and_large_answers_go_by_location(
    post: Post, bucket: str, sent: dict[str, str]
) -> None:
    location = DataLocation(**post.answer_to(sent["large"]))
    task_id = task_id_of(post.jobs, sent["large"])
    assert location.uri == f"s3://{bucket}/results/returns/{task_id}.json"
    answer = json.loads(storage.load(location))
    assert answer["ok"]
    assert answer["original_job"] == large_job(bucket)


@pytest.mark.parametrize(
    ("name", "last_line"),
    [
        ("a point outside", "spacer.exceptions.RowColumnInvalidError: s3://"),
        # who sent it is told; the dead letters are what nobody waits for
        ("an unknown field", "spacer_tasks.exceptions.MessageError: "),
        ("lost", "billiard.exceptions.WorkerLostError: exited by signal 9"),
        ("gone", "spacer_tasks.exceptions.AnswerExpiredError: the job finished, but"),
    ],
)
def test_a_job_that_fails_is_answered(
    post: Post, sent: dict[str, str], name: str, last_line: str
) -> None:
    answer = post.answer_to(sent[name])
    assert not answer["ok"]
    assert answer["original_job"]["tasks"][0]["job_token"] == "1"
    assert answer["error_message"].splitlines()[-1].startswith(last_line)


def test_a_job_that_was_noted_and_never_sent_is_sent(post: Post, sent: dict[str, str]) -> None:
    """A mailman killed between the two leaves such a one, or a queue that was purged."""
    assert post.answer_to(sent["never sent"])["ok"]


def test_what_is_no_job_goes_to_the_dead_letters_with_the_reason(
    post: Post, sent: dict[str, str]
) -> None:
    for body, reason in NO_JOBS.items():
        dead, attributes = post.dead_letter(sent[body])
        assert dead == body
        assert attributes["source_queue"] == post.jobs
        assert re.search(reason, attributes["reason"])
    # the loop went on
    until(lambda: not post.waiting(), "messages were left behind")


def test_a_message_that_comes_again_after_its_answer_is_not_answered_twice(
    post: Post, sent: dict[str, str], messages: dict[str, Message]
) -> None:
    post.answer_to(sent["twice"])
    until(lambda: not post.waiting(), "it was not deleted")
    post.deliver_again(messages["twice"])
    until(lambda: not post.waiting(), "it was not deleted again")
    assert len(answers_to(post, sent["twice"])) == 1


def test_a_message_that_comes_again_after_redis_was_wiped_is_answered_from_what_is_stored(
    post: Post, sent: dict[str, str], messages: dict[str, Message]
) -> None:
    ran = post.answer_to(sent["wiped"])
    until(lambda: not post.waiting(), "it was not deleted")
    for key in broker_client().scan_iter(f"*{task_id_of(post.jobs, sent['wiped'])}*"):
        broker_client().delete(key)
    post.deliver_again(messages["wiped"])
    until(lambda: len(answers_to(post, sent["wiped"])) == 2, "it was not answered again")
    # the run time too is the same: it did not run again
    assert answers_to(post, sent["wiped"]) == [ran, ran]


def answers_to(post: Post, message_id: str) -> list[Any]:
    return [
        json.loads(body)
        for body, attributes in post.letters(post.results)
        if attributes["job_message_id"] == message_id
    ]


@pytest.mark.usefixtures("bucket")
def test_one_mailman_answers_at_a_time() -> None:
    assert claim_answer("t", "first")
    assert not claim_answer("t", "second")
    broker_client().expire(ANSWERED + "t", 1)
    assert claim_answer("t", "first")
    # the claim begins anew: it lasts for another send
    assert broker_client().ttl(ANSWERED + "t") > 1
    assert not look(["t"])["t"].answered
    note_answered("t")
    assert not claim_answer("t", "first")
    assert look(["t"])["t"].answered


def test_a_claim_on_an_answer_outlasts_the_longest_send(post: Post) -> None:
    config: Any = SQSQueue(post.results)._client.meta.config
    longest = config.retries["total_max_attempts"] * (config.connect_timeout + config.read_timeout)
    assert claim_answer("u", "first")
    assert broker_client().ttl(ANSWERED + "u") > longest


def test_a_fifo_queue_takes_an_answer_once(post: Post) -> None:
    url = post.client.create_queue(
        QueueName="results.fifo", Attributes={"FifoQueue": "true", "MaximumMessageSize": "1024"}
    )["QueueUrl"]
    queue = SQSQueue(url)
    for body in ("first", "second"):
        queue.send(body, "the task", {"task_id": "the task"})
    assert [message.body for message in queue.receive(10, 1, 30)] == ["first"]


def test_attributes_count_in_a_message_s_size(post: Post) -> None:
    queue = SQSQueue(post.results)
    room = queue.max_bytes - len("task_idStringé".encode())
    assert queue.fits("x" * room, {"task_id": "é"})
    assert not queue.fits("x" * room + "x", {"task_id": "é"})


def test_a_queue_that_does_not_exist_is_an_error_at_the_start(post: Post) -> None:
    found = Mailman(Queues(*map(SQSQueue, (*post.urls[:2], post.urls[2] + "-wrong"))))
    with pytest.raises(SQSError, match="-wrong: SQS refuses"):
        found.run()

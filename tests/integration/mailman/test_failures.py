"""Messages that a mailman cannot get done with, and the jobs behind them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from spacer_tasks import retries
from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.services import S3Server
from spacer_tasks.exceptions import StorageUnavailableError
from spacer_tasks.jobs.reading import load_job
from spacer_tasks.mailman import steps
from spacer_tasks.mailman.backoff import StoragePause
from spacer_tasks.mailman.mailman import Mailman
from spacer_tasks.mailman.sqs_queue import SQSQueue
from spacer_tasks.mailman.steps import Queues
from tests.support.sqs.post import Post
from tests.support.sqs.site import job_of, mail_site, working
from tests.support.waiting import until


@pytest.fixture(scope="module")
def bucket(redis_url: str, s3: S3Server) -> Iterator[str]:
    with mail_site(redis_url, s3) as name:
        yield name


@pytest.fixture
def post(bucket: str) -> Post:
    return Post(get_settings().sqs_endpoint_url or "")


@pytest.fixture
def odd(bucket: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Messages whose location S3 does not give, and whose reading meets a bug."""
    found = {
        name: DataLocation.parse(f"s3://{bucket}/{name}").model_dump_json()
        for name in ("hangs", "crashes")
    }

    def load(location: DataLocation) -> dict[str, Any]:
        if location.key == "hangs":
            raise StorageUnavailableError(f"{location}: no answer")
        if location.key == "crashes":
            raise RuntimeError("a surprise")
        return load_job(location)

    monkeypatch.setattr(steps, "load_job", load)
    return found


def test_a_message_that_hangs_or_crashes_goes_to_the_dead_letters(
    post: Post, odd: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "MAILMAN_UNREADABLE_S", 0.1)
    sent = {name: post.send(body) for name, body in odd.items()}
    with working(post):
        reasons = {name: post.dead_letter(each)[1]["reason"] for name, each in sent.items()}
    assert re.search("not read within 0.1 s: s3://.*/hangs: no answer", reasons["hangs"])
    assert reasons["crashes"] == "a bug, 3 times in a row; the last: RuntimeError: a surprise"


@pytest.mark.parametrize("name", ["hangs", "crashes"])
def test_a_job_is_handed_on_in_the_pass_in_which_one_before_it_fails(
    post: Post, bucket: str, odd: dict[str, str], name: str
) -> None:
    mailman = Mailman(Queues(*map(SQSQueue, post.urls)))
    for body in (odd[name], job_of(bucket)):
        post.send(body)
        mailman._take()
    mailman._advance()
    before, after = mailman._in_hand.values()
    assert (before.failures, before.handed_on) == (1, False)
    assert after.handed_on


def test_a_storage_that_is_away_is_asked_again_only_after_a_pause() -> None:
    pause = StoragePause()
    with pytest.raises(StorageUnavailableError, match="away"), pause.asked():
        raise StorageUnavailableError("away")
    with pytest.raises(StorageUnavailableError, match="away"), pause.asked():
        pytest.fail("it was asked")
    until(lambda: not away(pause), "it is never asked again")


def away(pause: StoragePause) -> bool:
    try:
        pause.check()
    except StorageUnavailableError:
        return True
    return False

"""Callbacks get the queue that their own application routes them to."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery, chain

from spacer_tasks.broker.callbacks import with_queues
from spacer_tasks.tasks import extract_features

# sites still use it, and Celery still takes it
pytestmark = pytest.mark.filterwarnings("ignore:(?s).*'queue' task attribute is deprecated")


def keep(result: object) -> None:
    """A callback."""


@pytest.fixture
def site() -> Celery:
    """A site's application, with its own default queue and a route."""
    app = Celery("site", set_as_current=False)
    app.conf.update(
        task_default_queue="site", task_routes={"site.routed": {"queue": "site-routed"}}
    )
    app.task(name="site.plain", shared=False, lazy=False)(keep)
    app.task(name="site.routed", shared=False, lazy=False)(keep)
    app.task(name="site.own", shared=False, lazy=False, queue="site-own")(keep)
    return app


@pytest.mark.parametrize(
    ("name", "queue"),
    [("site.plain", "site"), ("site.routed", "site-routed"), ("site.own", "site-own")],
)
def test_a_callback_goes_where_its_application_sends_it(
    site: Celery, name: str, queue: str
) -> None:
    callback = site.tasks[name].s(7)
    (sent,) = with_queues(callback)
    assert (sent["task"], sent.args, sent.options["queue"]) == (name, (7,), queue)
    # the caller's own signature can be used again elsewhere
    assert "queue" not in callback.options


def test_a_task_that_only_the_site_s_worker_knows_goes_there_too(site: Celery) -> None:
    (sent,) = with_queues(site.signature("site.elsewhere"))
    assert sent.options["queue"] == "site"


@pytest.mark.parametrize("named", [{"queue": "mine"}, {"exchange": "x", "routing_key": "y"}])
def test_a_destination_that_the_caller_named_stays(site: Celery, named: dict[str, Any]) -> None:
    callback = site.tasks["site.routed"].s().set(**named)
    assert with_queues([callback])[0].options == named


def test_our_own_tasks_keep_our_routes() -> None:
    (sent,) = with_queues([extract_features.s()])
    assert sent.options == {}


def test_callbacks_of_a_retry_and_chains_stay_as_they_are(site: Celery) -> None:
    task = site.tasks["site.plain"]
    before = [dict(task.s()), chain(task.s(), task.s())]
    assert with_queues(before) == before


def test_no_callbacks_are_no_callbacks() -> None:
    assert with_queues(None) == []

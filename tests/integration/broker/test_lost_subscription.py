"""A caller that waits for a result finds its subscription gone, and makes it again."""

from __future__ import annotations

from typing import Any

import pytest

from spacer_tasks.app import app
from tests.support.redis.celery_parts import backend_of


@pytest.mark.usefixtures("queue")
@pytest.mark.parametrize("when", ["before it looks", "after it looked and before it subscribes"])
def test_a_result_that_comes_while_it_subscribes_again_is_returned(
    monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    backend: Any = backend_of(app)
    result = app.AsyncResult("asked-again")
    backend.add_pending_result(result)
    consumer = backend.result_consumer
    consumer._pubsub = None
    make = backend.client.pubsub

    def answer() -> None:
        backend.store_result(result.id, {"n": 1}, "SUCCESS")

    def answered_meanwhile(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.undo()
        if when != "before it looks":
            answer()
        return make(*args, **kwargs)

    monkeypatch.setattr(backend.client, "pubsub", answered_meanwhile)
    if when == "before it looks":
        answer()
    assert result.get(timeout=60) == {"n": 1}

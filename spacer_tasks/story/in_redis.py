"""What Redis knows of one task."""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

from spacer_tasks.app import app
from spacer_tasks.broker import refused
from spacer_tasks.broker.client import broker_client, results_client
from spacer_tasks.broker.refused import Refused
from spacer_tasks.broker.whereabouts import (
    Taken,
    TaskMessage,
    Waiting,
    find_taken,
    find_waiting,
    last_beats,
)
from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import MessageError
from spacer_tasks.execution import cancellation, dead_letters
from spacer_tasks.execution.batch import HeaderTask, count_key, part_id
from spacer_tasks.execution.dead_letters import DeadLetter
from spacer_tasks.execution.lock import keys_of
from spacer_tasks.jobs.celery_result import CeleryResult
from spacer_tasks.jobs.sent import Sent, find_sent
from spacer_tasks.story.facts import Stage

#: results of a batch's parts that are read at once
PARTS_AT_ONCE = 500


@dataclass(frozen=True)
class Traces:
    """What is there.

    Attributes
    ----------
    beats
        When each worker of its pool was last heard of, if its queue is known; seconds since 1970.
    starts
        When and where it was begun and not answered.
    holder, lapses_in_s
        Of its lock.
    stages
        If it is a batch.
    refused
        Its message, if a worker refused it, or the newest of a batch's parts that was refused.
    """

    sent: Sent | None = None
    result: CeleryResult | None = None
    waiting: Waiting | None = None
    taken: Taken | None = None
    beats: list[float] = field(default_factory=list)
    starts: list[dict[str, Any]] = field(default_factory=list)
    holder: str | None = None
    lapses_in_s: float = 0
    last_loss: str | None = None
    cancelled_at: float | None = None
    letter: DeadLetter | None = None
    refused: Refused | None = None
    stages: list[Stage] = field(default_factory=list)

    @property
    def message(self) -> TaskMessage | None:
        """Its message, wherever it is."""
        place = self.waiting or self.taken
        return place.message if place is not None else None

    def alive(self) -> int:
        """Workers of its pool that were heard of lately."""
        # a beat may be late, and clocks differ by a little
        since = time.time() - 2 * get_settings().worker_silent_s
        return sum(beat > since for beat in self.beats)


def look_in_redis(task_id: str, *, in_queues: bool) -> Traces:
    """All that Redis has of a task.

    Parameters
    ----------
    in_queues
        Whether to look for its message, which takes longer the more tasks wait.

    Raises
    ------
    redis.exceptions.RedisError
        Redis does not answer.
    """
    broker = broker_client()
    waiting = taken = None
    # in the order of its way, so that it is met where it is. Twice, because it may go back once
    for _ in range(2 if in_queues else 0):
        waiting = find_waiting(broker, task_id)
        taken = None if waiting else find_taken(broker, task_id)
        if waiting or taken:
            break
    with broker.pipeline(transaction=False) as pipe:
        lock, starts, loss, _ = keys_of(task_id)
        pipe.get(lock)
        pipe.pttl(lock)
        pipe.lrange(starts, 0, -1)
        pipe.get(loss)
        holder, lapses_ms, begun, last_loss = pipe.execute()
    letter = None
    with suppress(MessageError):
        letter = dead_letters.find(broker, task_id)
    # one that was put back may have been refused before: what waits counts
    kept = refused.of_task(broker, task_id) if in_queues and not (waiting or taken) else []
    sent, result = find_sent(task_id), _result(task_id)
    known = waiting or taken
    queue = known.message.queue if known else sent.record.queue if sent else None
    return Traces(
        sent=sent,
        result=result,
        waiting=waiting,
        taken=taken,
        beats=last_beats(broker, queue) if queue else [],
        starts=[json.loads(each) for each in begun],
        holder=_text(holder),
        lapses_in_s=max(0, lapses_ms) / 1000,
        last_loss=_text(last_loss),
        cancelled_at=cancellation.cancelled_at(task_id),
        letter=letter,
        refused=kept[0] if kept else None,
        stages=_stages(task_id, result.progress if result else {}),
    )


def headers() -> list[HeaderTask]:
    """The tasks that are parts of batches."""
    app.loader.import_default_modules()
    return [task for task in app.tasks.values() if isinstance(task, HeaderTask)]


def batch_of(task_id: str) -> str | None:
    """The id of the batch, of the id of a part."""
    names = "|".join(re.escape(header.name.rpartition(".")[2]) for header in headers())
    found = re.fullmatch(rf"(.+)\.(?:{names})\.\d+", task_id)
    return found.group(1) if found else None


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _result(task_id: str) -> CeleryResult | None:
    backend: Any = app.backend  # its type stubs are those of the general class
    text = cast("bytes | None", results_client().get(backend.get_key_for_task(task_id)))
    if text is None:
        return None
    try:
        return CeleryResult.read(task_id, text)
    except (ValueError, TypeError, LookupError):
        # damaged; as `jobs.states` takes it
        return None


def _stages(task_id: str, progress: dict[str, Any]) -> list[Stage]:
    """The parts of a batch, by stage, as far as they are counted."""
    found = []
    for header in headers():
        numbers = cast("set[bytes]", results_client().smembers(count_key(task_id, header.stage)))
        under_way = progress.get("stage") == header.stage
        if not numbers and not under_way:
            continue
        ids = [part_id(task_id, header.name, int(number)) for number in numbers]
        # of a stage that is over, all parts are done
        total = progress.get("total") if under_way else len(ids)
        found.append(Stage(stage=header.stage, done=len(ids), failed=_failed(ids), total=total))
    return found


def _failed(part_ids: list[str]) -> int:
    backend: Any = app.backend
    failed = 0
    for first in range(0, len(part_ids), PARTS_AT_ONCE):
        ids = part_ids[first:][:PARTS_AT_ONCE]
        keys = [backend.get_key_for_task(each) for each in ids]
        texts = cast("list[bytes | None]", results_client().mget(keys))
        for task_id, text in zip(ids, texts, strict=True):
            with suppress(ValueError, TypeError, LookupError):
                # a part answers with what happened, also when that is an error
                failed += "error" in CeleryResult.read(task_id, text or b"").answer
    return failed

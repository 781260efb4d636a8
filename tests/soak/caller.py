"""The caller: sends tasks while faults happen, hears of answers, and counts."""

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from spacer_tasks.app import app
from spacer_tasks.exceptions import BrokerUnavailableError, SpacerError
from spacer_tasks.results import StoredAnswer, find_answer
from tests.support.messages.work import ANSWERED, FAILED, Sent, Work, check_whole
from tests.support.redis.durable import DurableRedis
from tests.support.redis.watched import WatchedRedis

#: tasks that wait or run at a time: enough to keep all workers busy, and to see a task that hangs.
#: With as many, one a second is sent all the same: a caller meets faults too
BACKLOG = 150
#: threads that look at what tasks left
READERS = 6


@dataclass
class Tally:
    """What one part of the run came to.

    Attributes
    ----------
    tasks_in, answers_out
        Messages, with the parts and bodies of batches; answers are of tasks that ended as they
        should: nearly all succeed.
    errors
        Answers that are not what they should be, by their type.
    lost
        Tasks without an answer, by kind.
    second_answers
        Tasks of which a second, different answer was stored.
    callbacks_repeated, callbacks_lost
        Tasks whose callback came more than once, or never.
    damaged
        Outputs that are not there or not whole.
    waiting_callers
        Answered tasks whose small result is not in Redis: a caller in `.get()` would wait.
    """

    tasks_in: int = 0
    answers_out: int = 0
    bodies: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    second_answers: int = 0
    callbacks_repeated: int = 0
    callbacks_lost: int = 0
    damaged: list[str] = field(default_factory=list)
    waiting_callers: int = 0
    refused: int = 0
    finished_at: list[float] = field(default_factory=list, repr=False)
    longest_send_s: float = 0

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, double, damaged or failed."""
        return not (
            self.errors
            or self.lost
            or self.second_answers
            or self.damaged
            or self.waiting_callers
            or self.callbacks_lost
            or self.tasks_in != self.answers_out
        )


class Caller:
    """Sends from its own thread between `start` and `stop`."""

    def __init__(self, work: Work, redis: DurableRedis | WatchedRedis) -> None:
        self._work = work
        self._redis = redis
        self._client: Redis = redis.client()
        self.sent: dict[str, Sent] = {}
        #: sends of which it is not known whether they were taken
        self.unknown: set[str] = set()
        self.heard: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.refused = 0
        self.longest_send_s = 0.0
        self._sending = threading.Event()
        self._between = threading.Lock()
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._send_all, daemon=True),
            threading.Thread(target=self._listen, daemon=True),
        ]
        self._batches: list[str] = []
        for thread in self._threads:
            thread.start()

    def start(self) -> None:
        """Begin to send, as fast as answers come."""
        self._sending.set()

    def stop(self) -> None:
        """Send no more."""
        self._sending.clear()
        # what is being sent now belongs to what was sent before
        with self._between:
            pass

    def send(self, kind: str | None = None, or_ends: str | None = None) -> str | None:
        """Send one task at once, of a kind or of any. Its id, or None where Redis refuses it.

        Parameters
        ----------
        or_ends
            The error in which it may end, too.
        """
        with self._between:
            task_id = self._send_one(kind)
            if task_id and or_ends:
                sent = self.sent[task_id]
                self.sent[task_id] = replace(sent, expected=(*sent.expected, or_ends))
        return task_id

    def end(self) -> None:
        """End the threads."""
        self._ended.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def outstanding(self) -> list[str]:
        """Tasks of which nothing was heard yet."""
        heard = self.heard.keys() | self.failed.keys()
        return [task_id for task_id in list(self.sent) if task_id not in heard]

    def wait(self, seconds: float) -> None:
        """Until all were answered, or as long as that. Looks at S3 for those whose callback does
        not come.
        """
        end = time.monotonic() + seconds
        looked = time.monotonic()
        while (left := self.outstanding()) and time.monotonic() < end:
            if time.monotonic() - looked > 10:
                with ThreadPoolExecutor(READERS) as pool:
                    found = pool.map(find_answer, left)
                    silent = [
                        task_id for task_id, answer in zip(left, found, strict=True) if answer
                    ]
                if len(silent) == len(left):
                    # a moment for callbacks that are on their way
                    time.sleep(5)
                    return
                looked = time.monotonic()
            time.sleep(0.2)

    def tally(self, task_ids: Iterable[str], writes: dict[str, int]) -> Tally:
        """Count what became of these tasks.

        Parameters
        ----------
        writes
            Different contents stored by answers' keys, as the proxy saw them.
        """
        some = [self.sent[task_id] for task_id in task_ids]
        tally = Tally(
            tasks_in=sum(each.tasks for each in some),
            refused=self.refused,
            longest_send_s=self.longest_send_s,
        )
        with ThreadPoolExecutor(READERS) as pool:
            answers = list(pool.map(lambda each: find_answer(each.task_id), some))
        # a part's answer is named for its batch
        kept = Counter(_id_of(key) for key in writes)
        done = []
        for each, answer in zip(some, answers, strict=True):
            if answer is not None:
                tally.finished_at.append(answer.finished_at.timestamp())
            if answer is None:
                tally.lost[each.kind] += 1
            elif (ended := _end_of(answer)) not in each.expected:
                tally.errors[f"{each.kind}: {ended or 'answered'}"] += 1
            elif ended:
                tally.answers_out += each.tasks
            elif each.kind == "job" and not (answer.answer or {}).get("ok"):
                tally.errors["job: not ok"] += 1
            else:
                # its own, and its parts'; bodies go on under the batch's id and keep none
                missing = each.tasks - each.bodies - kept[each.task_id]
                if missing:
                    tally.lost[f"{each.kind}: parts"] += missing
                tally.answers_out += each.tasks - missing
                tally.bodies += each.bodies
                done.append(each)
            heard = self.heard[each.task_id] + self.failed[each.task_id]
            tally.callbacks_repeated += heard > 1
            tally.callbacks_lost += heard == 0 and answer is not None
        outputs = [location for each in done for location in each.outputs]
        with ThreadPoolExecutor(READERS) as pool:
            tally.damaged = [text for text in pool.map(_damage, outputs) if text]
        ids = {each.task_id for each in some}
        tally.second_answers = sum(
            contents > 1 for key, contents in writes.items() if _id_of(key) in ids
        )
        tally.waiting_callers = self._without_result([each.task_id for each in done])
        return tally

    def answer_of(self, task_id: str) -> StoredAnswer | None:
        """The stored answer of a task or of a batch's part."""
        return find_answer(task_id)

    def _without_result(self, task_ids: list[str]) -> int:
        keys = [app.backend.get_key_for_task(task_id) for task_id in task_ids]  # type: ignore[attr-defined]
        metas = self._client.mget(keys) if keys else []
        states = [json.loads(meta)["status"] if meta else "" for meta in metas]
        return sum(state not in ("SUCCESS", "FAILURE") for state in states)

    def _send_all(self) -> None:
        trickled = 0.0
        while not self._ended.is_set():
            if not self._sending.wait(0.2):
                continue
            full = len(self.outstanding()) >= BACKLOG
            if full and time.monotonic() - trickled < 1:
                time.sleep(0.05)
                continue
            trickled = time.monotonic()
            for _ in range(1 if full else 10):
                with self._between:
                    if self._sending.is_set():
                        self._send_one()

    def _send_one(self, kind: str | None = None) -> str | None:
        task_id = str(uuid.uuid4())
        started = time.monotonic()
        try:
            self.sent[task_id] = self._work.send(task_id, kind)
        except BrokerUnavailableError as error:
            # a caller's own part: it sends again, under another id where it is not known whether
            # the first was taken
            if "not known" in str(error):
                self.unknown.add(task_id)
            self.refused += 1
            self.longest_send_s = max(self.longest_send_s, time.monotonic() - started)
            time.sleep(0.2)
            return None
        return task_id

    def _listen(self) -> None:
        number = 0
        while not self._ended.wait(0.2):
            for queue, count in ((ANSWERED, self.heard), (FAILED, self.failed)):
                # moved away first: a cut connection neither loses nor repeats any
                self._batches.append(f"{queue}.{number}")
                number += 1
                try:
                    self._client.rename(queue, self._batches[-1])
                except ResponseError:
                    # nothing there
                    self._batches.pop()
                except RedisError:
                    # it may have been moved all the same
                    pass
                self._count(queue, count)

    def _count(self, queue: str, count: Counter[str]) -> None:
        for name in [each for each in self._batches if each.startswith(queue)]:
            try:
                texts = self._client.lrange(name, 0, -1)
            except RedisError:
                return
            self._batches.remove(name)
            with suppress(RedisError):
                self._client.unlink(name)
            for text in texts:
                args = json.loads(base64.b64decode(json.loads(text)["body"]))[0]
                first = args[0]
                count[first["task_id"] if isinstance(first, dict) else str(first)] += 1


def _id_of(key: str) -> str:
    return key.rpartition("/")[2].removesuffix(".json").split(".")[0]


def _end_of(answer: StoredAnswer) -> str:
    return answer.error.type.rpartition(".")[2] if answer.error else ""


def _damage(location: object) -> str | None:
    try:
        check_whole(location)  # type: ignore[arg-type]
    except (SpacerError, ValueError, AssertionError) as error:
        return f"{location}: {error}"
    return None

"""A queue in this process, for tests: no Redis, no S3, no worker processes.

A message is made, sent, taken, run and answered by the code that does it with real servers; what is
replaced is Kombu's transport, Celery's result backend and the lock of a running task.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from spacer_tasks.app import app
from spacer_tasks.broker import queue_depths
from spacer_tasks.execution import batch, lock
from spacer_tasks.execution.task import MessageTask
from spacer_tasks.testing.broker import Channel, SentTask, Wire, connection
from spacer_tasks.testing.in_process import InProcessWorker, alone
from spacer_tasks.testing.memory_results import memory_results
from spacer_tasks.testing.result_backend import MemoryBackend


class MemoryQueue:
    """What `eager_queue` and `waiting_queue` give."""

    def __init__(self, at_once: InProcessWorker | None) -> None:
        self.wire = Wire()
        self._at_once = at_once
        #: how many calls of this thread are sending
        self._sending = threading.local()
        #: the thread that runs tasks now: what it sends, it finds when it looks for more
        self._runner: int | None = None
        self._one_runner = threading.Lock()

    @property
    def sent(self) -> list[SentTask]:
        """Every task that was sent, in order; callbacks, parts of batches and new tries too."""
        return list(self.wire.sent)

    @property
    def waiting(self) -> list[SentTask]:
        """What was sent and not run yet, in the order in which it will be."""
        return self.wire.in_order()

    def run(self, worker: InProcessWorker | None = None) -> int:
        """Run what waits, and what is sent meanwhile, until nothing waits.

        Waits between tries, and countdowns, are left out.

        Parameters
        ----------
        worker
            Who runs it; a worker that computes where not given.

        Returns
        -------
        count
            How many tasks were run.

        Raises
        ------
        Exception
            What the first callback raised that failed; the others were run all the same.
        RuntimeError
            The block of the queue was left.
        """
        if _opened is not self:
            raise RuntimeError("the block of this queue was left: its tasks cannot be run any more")
        if self._runner == threading.get_ident():
            # called by a callback: what waits is run after it
            return 0
        worker = worker or self._at_once or InProcessWorker()
        ran, failures = 0, list[Exception]()
        with self._one_runner:
            self._runner = threading.get_ident()
            try:
                while waiting := self.waiting:
                    self.wire.waiting.remove(waiting[0])
                    try:
                        worker.work(waiting[0].delivery)
                    except Exception as error:  # noqa: BLE001 -- told when the others are done
                        failures.append(error)
                    ran += 1
            finally:
                self._runner = None
        if failures:
            raise failures[0]
        return ran

    @contextmanager
    def _send(self) -> Iterator[None]:
        """Around each call that sends; where tasks run at once, they do after the outermost."""
        depth = getattr(self._sending, "depth", 0)
        self._sending.depth = depth + 1
        try:
            yield
        finally:
            self._sending.depth = depth
        if self._at_once and not depth:
            self.run()


@contextmanager
def eager_queue(worker: InProcessWorker | None = None) -> Iterator[MemoryQueue]:
    """Within the block, each task that is sent is run before the call that sends it returns.

    What a task or a callback sends is run after it, before that call returns too.

    Answers are kept in memory and forgotten at the end.

    Parameters
    ----------
    worker
        Who runs them: a `FakeWorker`, or where not given a worker that computes, which needs the
        extra `[worker]`.

    Yields
    ------
    MemoryQueue
        Tells what was sent.
    """
    with memory_results(), in_place_of_redis(MemoryQueue(worker or InProcessWorker())) as queue:
        yield queue


@contextmanager
def waiting_queue() -> Iterator[MemoryQueue]:
    """Within the block, each task that is sent waits until `run` of the queue is called.

    Answers are kept in memory and forgotten at the end.

    Yields
    ------
    MemoryQueue
        Tells what waits, and runs it.
    """
    with memory_results(), in_place_of_redis(MemoryQueue(None)) as queue:
        yield queue


#: the queue whose block was entered and not left
_opened: MemoryQueue | None = None


def opened() -> MemoryQueue | None:
    """The queue in this process that is in use."""
    return _opened


@contextmanager
def in_place_of_redis(queue: MemoryQueue) -> Iterator[MemoryQueue]:
    """Within the block, the application of this package sends to a queue and keeps its results in
    memory.

    Raises
    ------
    RuntimeError
        Another one is in use.
    """
    global _opened
    if _opened is not None:
        raise RuntimeError("a queue in this process is in use already; leave its block first")
    _opened = queue
    try:
        with _replaced(queue):
            yield queue
    finally:
        _opened = None


@contextmanager
def _replaced(queue: MemoryQueue) -> Iterator[None]:
    backend = MemoryBackend(queue.wire, app=app, url="memory://")
    send, apply_async = app.send_task, MessageTask.apply_async

    def send_task(*args: Any, **kwargs: Any) -> Any:
        with queue._send():
            return send(*args, **kwargs)

    def message_task_apply_async(self: MessageTask, *args: Any, **kwargs: Any) -> Any:
        # around the whole of it: what runs meanwhile may fail with errors that look like Redis's
        with queue._send():
            return apply_async(self, *args, **kwargs)

    replaced: list[tuple[object, dict[str, Any]]] = [
        (
            app,
            {
                "connection_for_write": connection,
                "connection_for_read": connection,
                # what is kept of the broker and the backend before
                "_pool": None,
                "_backend_cache": backend,
                "send_task": send_task,
            },
        ),
        (
            app.amqp,
            {
                "_producer_pool": None,
                # made before, for the broker of the settings: it keeps what kind of exchange its
                # events go to, which is another for a queue in this process
                "send_task_message": app.amqp.send_task_message,
            },
        ),
        (Channel, {"wire": queue.wire}),
        (MessageTask, {"apply_async": message_task_apply_async}),
        (lock, {"running": alone, "forget_starts": lambda _: None}),
        # nobody is killed between two parts of a batch
        (
            batch,
            {
                "sent_before": lambda _: 0,
                "claimed_run": lambda batch_id, run, sent_at: run,
                "forget_run": lambda _: None,
            },
        ),
        (queue_depths, {"broker_client": lambda: backend.client}),
    ]
    with ExitStack() as stack:
        for where, what in replaced:
            stack.enter_context(mock.patch.multiple(where, **what))
        yield

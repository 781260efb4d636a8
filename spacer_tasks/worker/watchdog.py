"""A thread that ends a worker which cannot go on, so that it is started again.

It ends a worker that holds a message without a record of who holds it; one that takes no tasks
although there is room for them and Redis answers; a feature worker one of whose tasks is past its
time limit (Celery ends it in the other pools, where a task is a process); one whose memory has
passed the limit, after its tasks (likewise); and one whose GPU does not answer, or computes for too
long.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from celery.worker import state
from redis.exceptions import RedisError

from spacer_tasks.app import app
from spacer_tasks.broker.whereabouts import Keys
from spacer_tasks.concurrency import device_watch
from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import SpacerError
from spacer_tasks.execution.connection import worker_redis
from spacer_tasks.worker.delivery import channel, qos
from spacer_tasks.worker.exit import exit_at_once
from spacer_tasks.worker.request import store_overdue

logger = logging.getLogger(__name__)

#: seconds between two looks
LOOK_S = 1.0
#: exit codes: something hangs; memory is to be freed; the GPU is lost. A supervisor starts the
#: worker again
HANGS, MEMORY, DEVICE = os.EX_SOFTWARE, os.EX_TEMPFAIL, os.EX_UNAVAILABLE
#: seconds of one pass on a GPU: it takes some milliseconds, the first of a process some seconds
PASS_LIMIT_S = 120.0
#: the process's own; Celery replaces `sys.stderr`
STDERR = 2
#: where Linux tells the memory: pages of the program, and of it in memory
_STATM = Path("/proc/self/statm")


class Watchdog:
    """The thread. `threads` says whether the pool's tasks are threads of this process."""

    def __init__(self, consumer: Any, keys: Keys, threads: bool) -> None:
        self._consumer, self._worker = consumer, consumer.controller
        self._keys, self._threads = keys, threads
        self._ticked_at = self._content_at = time.monotonic()
        #: since when Redis answers, in a time without tasks
        self._answers_since: float | None = None
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin. To be called in the worker's main thread, whose loop is watched too."""
        self._consumer.hub.call_repeatedly(LOOK_S, self._tick)
        if self._threads:
            device_watch.watch()
        self._thread.start()

    def silent_s(self) -> float:
        """Seconds since the worker last asked for tasks and was answered, or had no room."""
        return time.monotonic() - self._content_at

    def _tick(self) -> None:
        self._ticked_at = time.monotonic()

    def _run(self) -> None:
        while True:
            time.sleep(LOOK_S)
            try:
                if self._threads:
                    self._watch_device()
                    self._end_overdue()
                    self._watch_memory()
                self._watch_records()
                self._watch_consumer()
            except Exception:
                logger.exception("watching the worker failed")

    def _watch_records(self) -> None:
        if held := qos.unrecorded():
            logger.critical(
                "%d message(s) are held here, and Redis does not know by whom: this worker ends, to"
                " be started again; if it happens again, this Kombu is not one of those that"
                " workers know",
                len(held),
            )
            exit_at_once(self._worker, self._keys, HANGS)

    # --- a consumer that does not consume ----------------------------------------------------

    def _watch_consumer(self) -> None:
        now, limit = time.monotonic(), get_settings().stuck_after_s
        loops = now - self._ticked_at < limit / 2
        wanted = bool(app.amqp.queues.consume_from) and state.should_stop is None
        # not what is reserved: after a lost connection Celery may keep a task and never hand it to
        # its idle process
        room = len(state.active_requests) < self._worker.pool.num_processes
        if loops and not (wanted and room):
            self._content_at = now
        elif loops:
            self._content_at = max(self._content_at, channel.polled_at())
        if state.should_stop is not None or now - self._content_at < limit / 2:
            self._answers_since = None
            return
        try:
            worker_redis().ping()
        except (RedisError, OSError):
            # an outage, not a fault of the worker's
            self._answers_since = None
            return
        # not the time before the question: an outage may have ended between it and the answer, and
        # the worker is owed the time after it
        now = time.monotonic()
        self._answers_since = self._answers_since or now
        if now - self._content_at > limit and now - self._answers_since > limit / 2:
            logger.critical(
                "no tasks were taken for %.0f s although there is room and Redis answers: this"
                " worker ends, to be started again",
                now - self._content_at,
            )
            faulthandler.dump_traceback(STDERR)
            exit_at_once(self._worker, self._keys, HANGS)

    # --- threads -----------------------------------------------------------------------------

    def _end_overdue(self) -> None:
        overdue = [
            (request, limit)
            for request in tuple(state.active_requests)
            if (limit := _time_limit(request)) < time.time() - (request.time_start or time.time())
        ]
        if not overdue:
            return
        for request, limit in overdue:
            try:
                where = f"; worker {request.hostname} was ended with it"
                store_overdue(request.id, request.type, request.hostname, limit, where)
            except SpacerError as error:
                logger.warning("%s is past its limit, and not answered: %s", request.id, error)
        logger.critical("a thread cannot be ended by itself: this worker ends, to be started again")
        faulthandler.dump_traceback(STDERR)
        exit_at_once(self._worker, self._keys, HANGS)

    def _watch_device(self) -> None:
        if reason := device_watch.lost():
            logger.critical(
                "the GPU does not answer (%s): this worker ends, to be started again", reason
            )
        elif (seconds := device_watch.longest_pass_s()) > PASS_LIMIT_S:
            logger.critical(
                "the GPU has computed one pass for %.0f s: this worker ends, to be started again",
                seconds,
            )
            faulthandler.dump_traceback(STDERR)
        else:
            return
        # the tasks are not at fault: they go to others, and it does not count against them
        exit_at_once(self._worker, self._keys, DEVICE)

    def _watch_memory(self) -> None:
        limit = get_settings().max_memory_bytes
        if state.should_stop is not None or (used := memory_bytes()) <= limit:
            return
        logger.warning(
            "%d MB of memory are in use, more than the %d MB of SPACER_MAX_MEMORY_BYTES: this"
            " worker ends after its tasks, to be started again",
            used >> 20,
            limit >> 20,
        )
        # as a SIGTERM does; the loop sees it
        state.should_stop = MEMORY  # type: ignore[assignment]  # its stubs know None only


def _time_limit(request: Any) -> float:
    # of the message; the task's own is the operator's for the other pools
    return float(request.time_limits[0] or get_settings().feature_time_limit_s)


def memory_bytes() -> int:
    """The memory that this process takes now; at most so far, where the system does not tell."""
    try:
        pages = int(_STATM.read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        # in bytes on macOS
        return used if sys.platform == "darwin" else used * 1024

"""A worker's side of the process that watches it (`sentry_program.py`).

What holds the interpreter's lock and does not end, such as a library's loop, stops all threads of
a process: the watchdog, time limits and the handling of signals with them. So a process outside,
which needs none of that, is told a few times in SPACER_STUCK_AFTER_S that the interpreter runs, by
a thread of the worker and one of each of its children. Who says nothing is killed; its message is
given back, its start counts, and after SPACER_MAX_DELIVERIES of them the task is given up.

The same thread ends a process that decodes one image for as long.
"""

from __future__ import annotations

import atexit
import faulthandler
import logging
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from celery import signals

from spacer_tasks.concurrency import decoding

logger = logging.getLogger(__name__)

PROGRAM = Path(__file__).with_name("sentry_program.py")
#: isolated, and without site-packages: the standard library and nothing of the worker's environment
COMMAND = [sys.executable, "-I", "-S", str(PROGRAM)]
#: signs of life before a process counts as stuck
BEATS = 20
#: seconds between two of them, at most
BEAT_S = 2.0
#: the process's own; Celery replaces `sys.stderr`
STDERR = 2

#: seconds for the end of the interpreter, in which no thread says anything
END_S = 120.0

_ends = threading.Event()
#: where this process and its children say that they run
_said_to = -1


def post(limit_s: float) -> None:
    """Have this process watched, from now on.

    The first process of a container goes on as a child of its own, for it cannot be killed.

    Parameters
    ----------
    limit_s
        Seconds without a sign of life after which it, or a child of a prefork pool, is killed.
    """
    global _said_to
    # what a fork makes has both ends, a program that is started has neither
    heard, _said_to = os.pipe()
    if os.getpid() == 1:
        if child := os.fork():
            os.dup2(heard, 0)
            os.execv(COMMAND[0], [*COMMAND, str(child)])
    else:
        # of a session of its own: what is sent to the worker's whole group is not for it
        subprocess.Popen(COMMAND, stdin=heard, stdout=subprocess.DEVNULL, start_new_session=True)
    os.close(heard)
    # a sentry that is gone must stop nobody
    os.set_blocking(_said_to, False)

    def begin(**_: Any) -> None:
        _say_that_it_runs(limit_s)

    begin()
    atexit.register(_say_that_it_ends, limit_s)
    # a prefork pool's processes, each of which has an interpreter of its own
    signals.worker_process_init.connect(begin, weak=False)


def _say_that_it_runs(limit_s: float) -> None:
    """Begin, in this process."""
    # asked for by the sentry, before it kills
    faulthandler.register(signal.SIGUSR2, file=STDERR, all_threads=True)
    threading.Thread(target=_beat, args=(limit_s,), name="sentry", daemon=True).start()


def _beat(limit_s: float) -> None:
    while not _ends.is_set():
        if (seconds := decoding.longest_s()) > limit_s:
            logger.critical(
                "one image has been decoded for %.0f s, longer than SPACER_STUCK_AFTER_S: this"
                " process is killed, and its tasks go to others",
                seconds,
            )
            faulthandler.dump_traceback(STDERR)
            # as what does not run at all: a task whose image does this each time is given up
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            _say(limit_s)
        except OSError as error:
            logger.critical("nobody watches this process from outside any more: %s", error)
            return
        _ends.wait(min(BEAT_S, limit_s / BEATS))


def _say_that_it_ends(limit_s: float) -> None:
    _ends.set()
    with suppress(OSError):
        _say(max(limit_s, END_S))


def _say(limit_s: float) -> None:
    # one that is behind will read
    with suppress(BlockingIOError):
        os.write(_said_to, f"{os.getpid()} {limit_s}\n".encode())

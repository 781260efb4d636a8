"""The process beside a worker, as a program, with real processes to watch."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spacer_tasks.worker.sentry import COMMAND
from spacer_tasks.worker.sentry_program import Sentry, Watched, born
from tests.support.waiting import wait_until

#: longer than the test takes
LONG_S = "60"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({LONG_S})"]) as child:
        yield child
        child.kill()


@pytest.fixture
def sentry() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        yield program
        program.kill()


def say(sentry: subprocess.Popen[bytes], text: str) -> None:
    assert sentry.stdin is not None
    sentry.stdin.write(text.encode())
    sentry.stdin.flush()


def test_who_falls_silent_is_killed(
    sentry: subprocess.Popen[bytes], sleeper: subprocess.Popen[bytes]
) -> None:
    say(sentry, f"{sleeper.pid} 0.5\n")
    assert sleeper.wait(60) in (-signal.SIGUSR2, -signal.SIGKILL)


def test_who_ends_is_forgotten_and_the_end_of_all_is_its_own(
    sentry: subprocess.Popen[bytes], sleeper: subprocess.Popen[bytes]
) -> None:
    say(sentry, f"{sleeper.pid} 0.5\nnonsense\n12 x\n{2**70} 1\n")
    sleeper.kill()
    sleeper.wait()
    assert sentry.stdin is not None
    sentry.stdin.close()
    assert sentry.wait(60) == 0
    assert sentry.stderr is not None
    assert b"is killed" not in sentry.stderr.read()


def test_a_signal_to_the_whole_group_of_the_worker_does_not_end_it(
    sentry: subprocess.Popen[bytes], sleeper: subprocess.Popen[bytes]
) -> None:
    def ignores() -> bool:
        status = Path(f"/proc/{sentry.pid}/status").read_text()
        ignored = int(status.partition("SigIgn:")[2].split()[0], 16)
        return bool(ignored >> (signal.SIGTERM - 1) & 1)

    wait_until(ignores, 60, "it did not begin")
    say(sentry, f"{sleeper.pid} 1\n")
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        sentry.send_signal(each)
    assert sleeper.wait(60) < 0
    assert sentry.poll() is None


def test_another_process_of_the_same_number_is_left_alone(
    sleeper: subprocess.Popen[bytes],
) -> None:
    assert born(sleeper.pid)
    watching = Sentry(None)
    watching._watched[sleeper.pid] = Watched(0.1, "another time")
    watching._look(1.0)
    assert watching._watched == {}
    assert sleeper.poll() is None


def test_a_time_in_which_nothing_ran_counts_as_one_look() -> None:
    watching = Sentry(None)
    watching._hear(b"1 10\n")
    watching._look(0.5)
    assert watching._watched[1].silent_s == 0.5
    watching._hear(b"1 ")
    watching._hear(b"10\n")
    assert watching._watched[1].silent_s == 0.0

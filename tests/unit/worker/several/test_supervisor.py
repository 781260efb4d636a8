"""The process that starts several, with small programs in the place of workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.checkout import CHECKOUT
from tests.support.waiting import until

#: starts a program for each label: signals are the main thread's, so it has a process of its own
SUPERVISOR = """
import json, logging, sys
from spacer_tasks import retries
from spacer_tasks.worker.several import supervisor
from spacer_tasks.worker.several.plan import Member, Plan
labels, program, grace_s = json.loads(sys.argv[1])
logging.basicConfig(level="INFO")
retries.WORKER_PROCESS = retries.Schedule((0.05,), endless=True)
supervisor.LOOK_S, supervisor.GIVE_BACK_S = 0.05, 0.1
plan = Plan(tuple(Member(label, f"{label}@test", f"cuda:{label[-1]}") for label in labels), ())
command = lambda member: [sys.executable, "-c", program, member.label]
sys.exit(supervisor.Supervisor(plan, command, grace_s).run())
"""
#: every program begins with it: a line for each start, in a file of its own
BEGIN = """
import os, signal, sys, time
label = sys.argv[1]
def note(text):
    with open(label, "a") as file:
        print(text, os.getpid(), os.environ["SPACER_DEVICE"], file=file)
"""
WORKS = BEGIN + "note('began'); signal.pause()"

Supervise = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Supervise]:
    running: list[subprocess.Popen[str]] = []

    def start(
        program: str, labels: tuple[str, ...] = ("gpu0", "gpu1"), grace_s: float = 30
    ) -> subprocess.Popen[str]:
        running.append(
            subprocess.Popen(
                [sys.executable, "-c", SUPERVISOR, json.dumps([labels, program, grace_s])],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return running[-1]

    yield start
    for each in running:
        if each.poll() is None:
            each.kill()
    for _, pid, _ in (line for file in tmp_path.iterdir() for line in lines(file)):
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    # last: what they say goes through the same pipe
    for each in running:
        if each.stderr is not None and not each.stderr.closed:
            each.communicate()


def lines(file: Path) -> list[list[str]]:
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def gone(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    # one whose parent has not been told yet
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_each_has_its_device_and_all_end_when_it_is_told_to(
    supervise: Supervise, tmp_path: Path
) -> None:
    ends = "signal.signal(15, lambda *_: (note('ended'), sys.exit(0)));"
    running = supervise(BEGIN + ends + "note('began');\nwhile True: signal.pause()")
    until(lambda: all(lines(tmp_path / each) for each in ("gpu0", "gpu1")), "both begin")
    running.terminate()
    assert running.wait(30) == 0
    for label, device in (("gpu0", "cuda:0"), ("gpu1", "cuda:1")):
        (began, ended) = lines(tmp_path / label)
        assert (began[0], began[2]) == ("began", device)
        assert (ended[0], ended[1]) == ("ended", began[1])
        assert gone(began[1])


def test_one_that_dies_is_started_again_and_the_other_works_on(
    supervise: Supervise, tmp_path: Path
) -> None:
    running = supervise(WORKS)
    first, second = tmp_path / "gpu0", tmp_path / "gpu1"
    until(lambda: bool(lines(first) and lines(second)), "both begin")
    for times in (1, 2):
        os.kill(int(lines(first)[-1][1]), signal.SIGKILL)
        until(lambda: len(lines(first)) == times + 1, "it is started again")  # noqa: B023
    assert len(lines(second)) == 1
    running.terminate()
    # these have no handler of their own
    assert running.wait(30) == 0
    assert "gpu0 ended with code 137" in running.communicate()[1]
    assert all(gone(pid) for file in (first, second) for _, pid, _ in lines(file))


def test_one_that_cannot_start_is_tried_again_while_the_other_works(
    supervise: Supervise, tmp_path: Path
) -> None:
    running = supervise(BEGIN + "note('began')\nif label == 'gpu1': sys.exit(69)\nsignal.pause()")
    until(lambda: len(lines(tmp_path / "gpu1")) >= 3, "it is tried again")
    assert len(lines(tmp_path / "gpu0")) == 1
    running.terminate()
    # the other may be at one more start, whose end is told
    assert running.wait(30) in (0, 69)


def test_where_none_can_start_it_ends_with_their_code(supervise: Supervise) -> None:
    running = supervise(BEGIN + "sys.exit(3)")
    assert running.wait(30) == 3
    assert "no worker can be started" in running.communicate()[1]


def test_a_program_that_is_not_there_is_a_start_that_failed(
    supervise: Supervise, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sys.modules[__name__],
        "SUPERVISOR",
        SUPERVISOR.replace(
            "command = lambda member: [sys.executable,", 'command = lambda member: ["/not/there",'
        ),
    )
    running = supervise("")
    assert running.wait(30) == os.EX_OSERR


def test_who_does_not_end_in_time_is_killed_and_the_code_says_so(
    supervise: Supervise, tmp_path: Path
) -> None:
    deaf = BEGIN + "signal.signal(15, signal.SIG_IGN); note('began');\nwhile True: signal.pause()"
    running = supervise(deaf, grace_s=0.1)
    until(lambda: all(lines(tmp_path / each) for each in ("gpu0", "gpu1")), "both begin")
    running.terminate()
    assert running.wait(30) == 128 + signal.SIGKILL
    assert "gpu0, gpu1 did not end in time" in running.communicate()[1]


def test_one_that_ends_badly_when_told_to_gives_the_code(
    supervise: Supervise, tmp_path: Path
) -> None:
    badly = "signal.signal(15, lambda *_: sys.exit(70 if label == 'gpu1' else 0));"
    running = supervise(BEGIN + badly + "note('began');\nwhile True: signal.pause()")
    until(lambda: all(lines(tmp_path / each) for each in ("gpu0", "gpu1")), "both begin")
    running.send_signal(signal.SIGINT)
    assert running.wait(30) == 70


def test_workers_end_when_the_supervisor_is_killed(supervise: Supervise, tmp_path: Path) -> None:
    tied = "from spacer_tasks.worker.several import beside; beside.end_with_supervisor();"
    running = supervise(BEGIN + tied + "note('began'); signal.pause()")
    until(lambda: all(lines(tmp_path / each) for each in ("gpu0", "gpu1")), "both begin")
    running.kill()
    pids = [lines(tmp_path / each)[0][1] for each in ("gpu0", "gpu1")]
    until(lambda: all(map(gone, pids)), "both end")


def test_a_worker_knows_those_beside_it(supervise: Supervise, tmp_path: Path) -> None:
    program = (
        "from spacer_tasks.worker.several.beside import beside, processes;"
        "note(':'.join([beside().label, *beside().names, str(processes())])); signal.pause()"
    )
    supervise(BEGIN + program)
    until(lambda: all(lines(tmp_path / each) for each in ("gpu0", "gpu1")), "both begin")
    assert lines(tmp_path / "gpu1")[0][0] == "gpu1:gpu0@test:gpu1@test:2"

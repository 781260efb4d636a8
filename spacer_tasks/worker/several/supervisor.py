"""The process that starts several workers, starts those again that end, and ends with them.

It loads no network and touches no card, so that nothing of a worker's can hang it.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType

from spacer_tasks import retries
from spacer_tasks.config.settings import get_settings
from spacer_tasks.worker.several.beside import Beside
from spacer_tasks.worker.several.plan import Member, Plan

logger = logging.getLogger(__name__)

#: seconds between two looks at the workers
LOOK_S = 0.2
#: seconds after which a worker had begun its work: what ends it then is no fault of its start
RAN_S = 60.0
#: seconds that a worker has to end by itself after its grace, in which it gives back its tasks
GIVE_BACK_S = 5.0
#: signals that end all, and what the workers get for them. A worker has a session of its own: a
#: terminal's Ctrl-C reaches this process alone
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)

#: makes the command of a worker
Command = Callable[[Member], Sequence[str]]


@dataclass
class _Child:
    member: Member
    environment: Mapping[str, str]
    popen: subprocess.Popen[bytes] | None = None
    started: float = 0
    #: when it is started next
    due: float = 0
    #: ends in a row that came soon after a start
    early_ends: int = 0
    #: whether any of its starts led to work
    has_run: bool = False
    #: what it last ended with, as a shell says it
    code: int | None = None


@dataclass
class Supervisor:
    """Runs the workers of a plan.

    Attributes
    ----------
    plan
        The workers.
    command
        Gives what starts one.
    grace_s
        Seconds that workers have for their tasks when they are told to end; they hold them
        themselves.
    """

    plan: Plan
    command: Command
    grace_s: float
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def __post_init__(self) -> None:
        #: the last of the signals that end all
        self._told: int | None = None
        self._lifeline, self._held = os.pipe()
        names = tuple(member.name for member in self.plan.members)
        self._children = [
            _Child(
                member,
                {
                    **self.environment,
                    **member.in_environment(),
                    **Beside(member.label, names, self._lifeline).in_environment(),
                },
            )
            for member in self.plan.members
        ]

    def run(self) -> int:
        """Until a signal ends it, or no worker can be started. To be called in the main thread.

        Returns
        -------
        int
            What to exit with: 0 after a signal, if all workers ended well; else what the first one
            that did not ended with, as a shell says it (128 and the signal's number for a killed
            one). Without a signal: what the workers failed to start with.
        """
        before = {number: signal.signal(number, self._hear) for number in STOPS}
        try:
            return self._run()
        finally:
            self._kill()
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(self._held)
            os.close(self._lifeline)

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        # a second Ctrl-C is for those in a hurry, as at Celery's own workers
        hurry = number == signal.SIGINT and self._told is not None
        self._told = signal.SIGQUIT if hurry else number

    def _run(self) -> int:
        while self._told is None:
            now = time.monotonic()
            for child in self._children:
                self._look(child, now)
                if child.popen is None and now >= child.due and self._told is None:
                    self._start(child, now)
            if (code := self._nothing_runs()) is not None:
                logger.critical("no worker can be started: the supervisor ends with code %d", code)
                return code
            time.sleep(LOOK_S)
        return self._stop()

    # --- starting ----------------------------------------------------------------------------

    def _start(self, child: _Child, now: float) -> None:
        child.started = now
        try:
            child.popen = subprocess.Popen(
                self.command(child.member),
                env=dict(child.environment),
                stdin=subprocess.DEVNULL,
                pass_fds=(self._lifeline,),
                start_new_session=True,
            )
        except OSError as error:
            logger.exception("%s cannot be started", child.member.label)
            self._note_end(child, error.errno and os.EX_OSERR, now)
            return
        logger.info("%s is process %d", child.member.label, child.popen.pid)

    def _look(self, child: _Child, now: float) -> None:
        if child.popen is not None:
            child.has_run = child.has_run or now - child.started >= RAN_S
            code = child.popen.poll()
            if code is not None:
                child.popen = None
                self._note_end(child, code, now)

    def _note_end(self, child: _Child, code: int | None, now: float) -> None:
        child.code = _as_a_shell_says(code or 0)
        child.early_ends = 0 if now - child.started >= RAN_S else child.early_ends + 1
        wait_s = retries.WORKER_PROCESS.wait_s(max(0, child.early_ends - 1))
        child.due = now + wait_s
        logger.warning(
            "%s ended with code %d after %.0f s: it is started again in %.1f s",
            child.member.label,
            child.code,
            now - child.started,
            wait_s,
        )

    def _nothing_runs(self) -> int | None:
        """The code of a worker's failed start, where none runs and none has ever worked."""
        if any(child.popen is not None or child.has_run for child in self._children):
            return None
        codes = [child.code for child in self._children]
        # ended well: somebody told them to, and they are started again as a container's would be
        return next((code for code in codes if code), None) if None not in codes else None

    # --- stopping ----------------------------------------------------------------------------

    def _stop(self) -> int:
        passed_on: int | None = None
        deadline = time.monotonic() + self.grace_s + GIVE_BACK_S
        codes: list[int] = []
        while running := [child for child in self._children if child.popen is not None]:
            if self._told != passed_on:
                passed_on = self._told
                number = signal.SIGQUIT if passed_on == signal.SIGQUIT else signal.SIGTERM
                logger.warning("the workers are told to end (%s)", signal.Signals(number).name)
                self._send(number)
            if time.monotonic() > deadline:
                logger.critical(
                    "%s did not end in time: killed",
                    ", ".join(child.member.label for child in running),
                )
                self._send(signal.SIGKILL)
                deadline = float("inf")
            for child in running:
                assert child.popen is not None
                if (code := child.popen.poll()) is not None:
                    child.popen = None
                    # one that had not begun yet has no handler of its own
                    codes.append(0 if code == -signal.SIGTERM else _as_a_shell_says(code))
            time.sleep(LOOK_S)
        return next((code for code in codes if code), 0)

    def _send(self, number: int) -> None:
        for child in self._children:
            if child.popen is not None:
                with suppress(ProcessLookupError):
                    child.popen.send_signal(number)

    def _kill(self) -> None:
        self._send(signal.SIGKILL)
        for child in self._children:
            if child.popen is not None:
                child.popen.wait()


def supervise(plan: Plan, pool: str, config_module: str | None) -> int:
    """Run the workers of a plan in this process's children; what to exit with."""
    settings = get_settings()
    logging.basicConfig(
        level=settings.log_level, format="[%(asctime)s: %(levelname)s/supervisor] %(message)s"
    )
    configured = () if config_module is None else (f"--celeryconfig={config_module}",)

    def command(member: Member) -> Sequence[str]:
        return (
            *(sys.executable, "-m", "spacer_tasks.worker", pool),
            *configured,
            *plan.arguments,
            f"--hostname={member.name}",
        )

    return Supervisor(plan, command, settings.stop_grace_s).run()


def _as_a_shell_says(code: int) -> int:
    return 128 - code if code < 0 else code

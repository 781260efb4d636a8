"""The process beside a worker that ends what does not run any more.

It knows nothing of Python's lock, of Celery or of Redis: it counts the seconds without a line on
its standard input, where each process of the worker says now and then that its interpreter runs,
`<process> <seconds>`, and kills who says nothing for so many seconds. It is started as a file, with
the standard library alone, and takes some megabytes. It ends when the last process of the worker
has.

With a process as its argument it is the first one of a container, and the worker is its child: the
kernel lets nobody kill the first one from within. Then it also passes signals on, sees to processes
that were left behind, and ends as the worker did.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from types import FrameType

#: as a worker that ends itself because it hangs
HANGS = 70
#: seconds between two looks. Silence is counted by looks: of a time in which this process did not
#: run either, such as a machine's sleep, one look counts
LOOK_S = 0.25
#: seconds for writing down where the threads are
TRACE_S = 1.0
#: of one read; many lines
CHUNK = 65536
PASSED_ON = ("SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2")


class Watched:
    """One process of the worker: the seconds that it has, and those that it was silent."""

    def __init__(self, limit_s: float, born: str) -> None:
        self.limit_s = limit_s
        self.born = born
        self.silent_s = 0.0


def born(process: int) -> str:
    """When a process began, as the kernel tells: what tells it from a later one of its number."""
    try:
        with open(f"/proc/{process}/stat") as stat:  # noqa: PTH123 -- pathlib takes memory
            return stat.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def is_there(process: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True


class Sentry:
    """Listens, and looks."""

    def __init__(self, child: int | None) -> None:
        self._child = child
        self._watched: dict[int, Watched] = {}
        self._rest = b""
        self._killed: set[int] = set()

    def run(self) -> int:
        """Until the worker has ended. The exit code."""
        listening, looked_at = True, time.monotonic()
        while True:
            if listening:
                ready, _, _ = select.select([0], [], [], LOOK_S)
                if ready:
                    text = os.read(0, CHUNK)
                    listening = bool(text)
                    self._hear(text)
            else:
                time.sleep(LOOK_S)
            if self._child is not None:
                code = self._reap(self._child)
                if code is not None:
                    return code
            elif not listening:
                return 0
            now = time.monotonic()
            if now - looked_at >= LOOK_S:
                self._look(min(now - looked_at, 2 * LOOK_S))
                looked_at = now

    def _hear(self, text: bytes) -> None:
        *lines, self._rest = (self._rest + text).split(b"\n")
        for line in lines:
            number, _, seconds = line.partition(b" ")
            try:
                process, limit_s = int(number), float(seconds)
            except ValueError:
                continue
            watched = self._watched.get(process)
            if watched is None:
                self._watched[process] = Watched(limit_s, born(process))
            else:
                watched.limit_s, watched.silent_s = limit_s, 0.0

    def _look(self, seconds: float) -> None:
        for process, watched in list(self._watched.items()):
            watched.silent_s += seconds
            if watched.silent_s <= watched.limit_s:
                continue
            del self._watched[process]
            if is_there(process) and born(process) == watched.born:
                self._kill(process, watched.silent_s)

    def _kill(self, process: int, silent_s: float) -> None:
        sys.stderr.write(
            f"the interpreter of process {process} has not run for {silent_s:.0f} s: it is killed,"
            " and its tasks go to others\n"
        )
        sys.stderr.flush()
        self._killed.add(process)
        try:
            # its threads, written down by a handler that needs no interpreter; where there is none
            # yet, this ends it
            os.kill(process, signal.SIGUSR2)
            time.sleep(TRACE_S)
            os.kill(process, signal.SIGKILL)
        except OSError:
            # it has ended meanwhile
            return

    def _reap(self, child: int) -> int | None:
        while True:
            try:
                ended, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return 0
            if not ended:
                return None
            if ended == child:
                if ended in self._killed:
                    return HANGS
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code


def main(arguments: list[str]) -> int:
    """Watch, until the worker has ended."""
    child = int(arguments[0]) if arguments else None

    def pass_on(number: int, _: FrameType | None) -> None:
        if child is not None:
            os.kill(child, number)

    for name in PASSED_ON:
        # beside a worker, what is sent to all is for the worker: its end is this one's
        number = getattr(signal, name)
        signal.signal(number, signal.SIG_IGN if child is None else pass_on)
    return Sentry(child).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

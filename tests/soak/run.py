"""A run of the suite: one part a fault, counted part by part."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.soak.caller import Caller, Tally
from tests.soak.faults.of_s3 import misbehaving_s3
from tests.soak.faults.scene import Fault, Scene
from tests.soak.servers import servers
from tests.soak.workers import workers
from tests.support.messages.work import Work
from tests.support.workers import check_threads

#: workers of each kind; two tasks at once each, trainers one
POOL = {"feature": 2, "classify": 2, "trainer": 2}
#: seconds for the last answers of a part, after its last fault: what a dead worker had is with
#: another within a minute, it is retried for about a minute if S3 fails, and a worker that is given
#: no tasks ends after two minutes
PATIENCE_S = 300


@dataclass(frozen=True)
class Part:
    """What became of the tasks that were sent while one fault happened.

    Attributes
    ----------
    times
        How often it happened.
    recovery_s
        The longest time from a fault's end until each task that it hit was answered, and until any
        task at all was; a task that another fault hits meanwhile counts from there.
    """

    name: str
    often: str
    times: int
    tally: Tally
    recovery_s: float
    seconds: float
    #: whether there was a moment from which to measure: S3's faults have none
    measured: bool = True
    #: answers that came second, and were not stored: tasks that ran twice, or whose storing did
    second: int = 0

    @property
    def clean(self) -> bool:
        """Whether the fault happened, and nothing was lost, double, damaged or failed."""
        return self.tally.clean and bool(self.times or not self.often)


@contextmanager
def scene(
    folder: Path, pool: Mapping[str, int] | None = None, *, watched: bool = False, **settings: str
) -> Iterator[tuple[Scene, Caller]]:
    """Servers, workers that start, and a caller that does not send yet.

    At the end no thread of a worker may have ended by an error.
    """
    with (
        servers(folder, watched=watched) as there,
        workers({**there.environment, **settings}, folder) as some,
    ):
        for kind, count in (pool or POOL).items():
            some.add(kind, count)
        with TemporaryDirectory() as scratch:
            caller = Caller(Work(there.bucket, Path(scratch)), there.redis)
            try:
                yield Scene(there, some, caller), caller
            finally:
                caller.end()
    for log in folder.glob("*.log"):
        check_threads(log)


def run_part(
    fault: Fault, stage: Scene, caller: Caller, seconds: float, say: Callable[[str], None]
) -> Part:
    """Send for so many seconds while the fault happens, then wait for the answers."""
    before = set(caller.sent)
    stage.events.clear()
    stage.times = 0
    met = stage.servers.front.met()
    started = time.monotonic()
    caller.refused, caller.longest_send_s = 0, 0.0
    caller.start()
    with misbehaving_s3(stage, fault.s3):
        fault.go_on(stage, seconds)
        caller.stop()
        caller.wait(PATIENCE_S)
    ids = caller.sent.keys() - before
    tally = caller.tally(ids, stage.servers.front.writes())
    times = stage.times
    if fault.s3 and not times:
        now = stage.servers.front.met()
        times = sum(now[name] - met.get(name, 0) for name in now if name != "second")
    part = Part(
        fault.name,
        fault.often,
        times,
        tally,
        _recovery(stage, caller, tally),
        time.monotonic() - started,
        bool(stage.events),
        stage.servers.front.met().get("second", 0) - met.get("second", 0),
    )
    say(f"{fault.name}: {part.times} times, recovery {part.recovery_s:.1f} s, {part.tally}")
    return part


def _recovery(stage: Scene, caller: Caller, tally: Tally) -> float:
    longest = 0.0
    #: of each task, when the last fault that hit it was over
    hit: dict[str, float] = {}
    for event in stage.events:
        after = [at for at in tally.finished_at if at > event.over_at]
        longest = max(longest, min(after, default=0) - event.over_at)
        hit.update(dict.fromkeys(event.held, event.over_at))
    for task_id, over_at in hit.items():
        # a batch ends long after the task that began it
        if "." not in task_id and (task_id not in caller.sent or caller.sent[task_id].bodies):
            continue
        answer = caller.answer_of(task_id)
        if answer is not None:
            longest = max(longest, answer.finished_at.timestamp() - over_at)
    return longest

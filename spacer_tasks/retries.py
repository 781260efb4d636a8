"""Every retry of this package: how often what failed is tried again, and after which waits.

docs/retries.md says who retries what, and what happens after the last try; a test holds it to the
numbers here. Nothing else in the package sets a number of tries or a wait between two.

Where this package waits by itself, a wait is at least half of its longest ("equal jitter" in
https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/): many that failed
together come back apart, and all of them together last at least half of what they last at most.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count


@dataclass(frozen=True)
class Schedule:
    """The waits between tries.

    Attributes
    ----------
    longest_s
        Seconds that each wait lasts at most, in their order.
    endless
        Whether the last wait is repeated for ever. Where not, there is one retry for each wait.
    least_share
        A wait lasts at least this share of its longest; 1 leaves nothing to chance.
    """

    longest_s: tuple[float, ...]
    endless: bool = False
    least_share: float = 0.5

    @property
    def retries(self) -> int | None:
        """Tries after the first; None for ever."""
        return None if self.endless else len(self.longest_s)

    def bounds_s(self, retries: int) -> tuple[float, float]:
        """Seconds that the wait lasts, at least and at most, after so many retries before it."""
        longest = self.longest_s[min(retries, len(self.longest_s) - 1)]
        return self.least_share * longest, longest

    def wait_s(self, retries: int) -> float:
        """Seconds to wait now, after so many retries before."""
        return random.uniform(*self.bounds_s(retries))

    def waits(self) -> Iterator[float]:
        """The waits of one failure after the other, until none is left."""
        for retries in range(len(self.longest_s)) if not self.endless else count():
            yield self.wait_s(retries)

    def span_s(self) -> tuple[float, float]:
        """Seconds that all its waits last together, at least and at most; each once if endless."""
        bounds = [self.bounds_s(each) for each in range(len(self.longest_s))]
        return sum(low for low, _ in bounds), sum(high for _, high in bounds)


# --- tasks -----------------------------------------------------------------------------------

#: a task that met a transient error: storage or network is away for a minute now and then. The
#: longest is well under every pool's visibility timeout, for the worker holds the task meanwhile
TASK = Schedule((2, 4, 8, 16, 32, 60))
#: share of SPACER_WORKER_SILENT_S after which a task that another worker runs is looked at again
STAND_ASIDE_SHARE = 0.25
#: seconds; the least of these
STAND_ASIDE_LEAST_S = 1.0
#: seconds that a task with one start left waits for another such task, before it stands aside
TURN_S = 60.0

# --- workers and Redis -----------------------------------------------------------------------

#: Kombu's words. A worker that has a callback, a next try or a part of a batch in hand: as long as
#: any outage, because Celery fails a task whose callback it gives up, though its answer is stored.
#: Not None: Celery takes that for three
WORKER_SENDS: Mapping[str, float] = {
    "max_retries": 1_000_000,
    "interval_start": 0,
    "interval_step": 0.2,
    "interval_max": 1,
}
#: a worker that has a state or a result in hand; about a minute
WORKER_TO_REDIS: Mapping[str, float] = {
    "max_retries": 60,
    "interval_start": 0,
    "interval_step": 0.2,
    "interval_max": 1,
}
#: milliseconds; Celery begins the above anew for a state or result, after at most this
STATE_AGAIN_MAX_MS = 1000
#: a finished part of a batch that could not be counted, or whose chord's body could not be sent
CHORD_COUNT = Schedule((1, 2, 4, 7), endless=True)
#: a Redis that refuses to hand out messages, for example because its memory is full
REDIS_REFUSES = Schedule((1,), endless=True, least_share=1)

#: a worker that ended, where one process starts several: begun anew once it has run for a minute
WORKER_PROCESS = Schedule((1, 2, 4, 8, 16, 32, 60), endless=True)

# --- callers and Redis -----------------------------------------------------------------------

#: a send. Celery's own retries would hold a request for 20 seconds while Redis is away, and Kombu's
#: for 2. A connection that was cut is made again all the same
CALLER_TO_REDIS: Mapping[str, float] = {"max_retries": 0}
#: a question to Redis past Celery: a connection that a restart of Redis cut is made again at once,
#: but a Redis that hangs is not waited for twice
REDIS_QUESTION_RETRIES = 1
#: the same from the command line, where Redis has just answered or somebody waits to be told
TERMINAL_RETRIES = 0
#: a claim on answers whose own answer did not come is made again at once
CLAIM_RETRIES = 1

# --- waiting for tasks -----------------------------------------------------------------------

#: seconds between two looks at Redis
WAIT_POLL_S = 0.3
#: seconds, at least, between two searches for the answers and messages of tasks that Redis has no
#: state of: they cost a request to storage for each, and a look through the queues
WAIT_SEARCH_S = 15.0
#: seconds for which a task must be nowhere until it is called lost; its message may be on its way
NOWHERE_S = 60.0
#: seconds after which a Redis that is away is not waited for any longer
REDIS_AWAY_S = 600.0
#: reads of the answer of a task that has just finished
ANSWER_READ = Schedule((1, 2, 4, 8, 16, 30))

# --- storage ---------------------------------------------------------------------------------

#: how often one request is sent to S3, with botocore's waits between: where S3 refuses one in ten,
#: one in a hundred thousand fails, and its task is retried
S3_ATTEMPTS = 5
#: botocore sends a request again, but does not read a body again that breaks off, stops or is not
#: what its checksum says
S3_BODY = Schedule((0.2, 0.5, 1, 2))
#: seconds after which no body is read again: a task's own retries come then
S3_BODY_PATIENCE_S = 30

#: a storage that is away, or refuses a worker's answers: asked again by each worker, which takes no
#: task meanwhile
STORAGE_AWAY = Schedule((1, 2, 4, 8, 15), endless=True)

#: seconds in which the answer of a finished job becomes visible, where S3 is not consistent
ANSWER_APPEARS_S = 60

# --- jobs of SQS and AWS Batch ---------------------------------------------------------------

#: how often one request is sent to SQS: who calls tries again by itself, this is for a request that
#: went astray
SQS_ATTEMPTS = 2
#: whatever a mailman could not do: Redis, S3 or SQS did not answer, or a bug
MAILMAN = Schedule((0.5, 1, 2, 4, 8, 16, 32, 60), endless=True)
#: seconds after which a location goes to the dead letters that does not answer; longer than most
#: outages, and short enough that such messages do not take all the room
MAILMAN_UNREADABLE_S = 3600
#: bugs in a row that a message meets before it goes to the dead letters
MAILMAN_CRASHES = 3
#: each step of AWS Batch's one job
ENV_JOB = Schedule((2, 8, 30))

"""What to do about a task, by its state."""

from __future__ import annotations

from spacer_tasks.data_classes.job_state import JobState
from spacer_tasks.story.facts import JobStory

#: the stored error of a task answers whatever comes under its id
ANEW = "send it again under a new id"


def next_step(story: JobStory) -> str:
    """A sentence for whoever looks after the queue."""
    return _NEXT[story.state](story)


def _unknown(story: JobStory) -> str:
    return (
        "check the id, and that `spacer-tasks config` names the Redis and the results prefix that"
        " it was sent with"
    )


def _waits(story: JobStory) -> str:
    if story.workers == 0:
        pool = (story.queue or "").partition(".")[0]
        return f"start a worker: none of its pool is alive; `spacer-tasks worker {pool}`"
    if story.lock is not None:
        return "wait: a worker that was cut off may still run it, and this message goes after it"
    return f"wait; `spacer-tasks cancel {story.task_id}` takes it out"


def _runs(story: JobStory) -> str:
    if story.refused is not None:
        # of a batch: it cannot end without this one
        return _missing(story)
    if story.taken is not None and story.workers == 0:
        return (
            "start a worker: none of its pool was heard of lately, so nobody gives back what this"
            " one held"
        )
    return f"wait; `spacer-tasks cancel {story.task_id}` ends it"


def _retries(story: JobStory) -> str:
    tries = story.tries
    left = f", and {tries.allowed - tries.number} after it" if tries else ""
    return f"wait for the next try{left}; look after what the error names"


def _succeeded(story: JobStory) -> str:
    job = story.job
    if job is not None and job.sender == "CoralNet" and job.collected_at is None:
        return "nothing: CoralNet's next collection takes it"
    return "nothing"


def _not_ok(story: JobStory) -> str:
    return "correct what error_message in the answer names, and send a new job"


def _failed(story: JobStory) -> str:
    if story.error is None:
        return ANEW
    if story.error.kind == "transient":
        return f"{ANEW} once storage and network answer"
    if story.error.kind == "input":
        return f"correct what the error names, and {ANEW}"
    return "report the error with its traceback, which --json prints"


def _cancelled(story: JobStory) -> str:
    return f"nothing; if it is wanted after all, {ANEW}"


def _abandoned(story: JobStory) -> str:
    if story.given_up is None:
        return f"look for what ended its workers (memory?), and {ANEW}"
    of_task = story.task_id
    return (
        f"look for what ended its workers (memory?); then `spacer-tasks dead retry {of_task}`, or"
        f" `spacer-tasks dead drop {of_task}`"
    )


def _timed_out(story: JobStory) -> str:
    return (
        f"look at what it was given, or raise SPACER_FEATURE_TIME_LIMIT_S or task_time_limit; then"
        f" {ANEW}"
    )


def _missing(story: JobStory) -> str:
    if story.refused is not None:
        ref = story.refused.ref
        return (
            f"mend what the worker refused it for; then `spacer-tasks refused requeue {ref}` puts"
            f" it back. `spacer-tasks refused show {ref}` shows it"
        )
    if story.job is not None and story.job.sender == "CoralNet":
        return "ask again in a minute; CoralNet's collection hands it out as lost if it stays so"
    if story.job is not None and story.job.sender == "mailman":
        return "ask again in a minute; its mailman sends it again if it stays so"
    return "ask again in a minute; if it stays so, send it again: Redis or a worker lost it"


def _send_again(story: JobStory) -> str:
    return "send it again"


def _unreadable(story: JobStory) -> str:
    if story.answer.note:
        return "mend what keeps the results prefix from being read, and ask again"
    return "ask again in a minute: storage may show the answer late"


_NEXT = {
    JobState.UNKNOWN: _unknown,
    JobState.QUEUED: _waits,
    JobState.RUNNING: _runs,
    JobState.RETRYING: _retries,
    JobState.SUCCEEDED: _succeeded,
    JobState.NOT_OK: _not_ok,
    JobState.FAILED: _failed,
    JobState.CANCELLED: _cancelled,
    JobState.ABANDONED: _abandoned,
    JobState.TIMED_OUT: _timed_out,
    JobState.MISSING: _missing,
    JobState.LOST: _send_again,
    JobState.EXPIRED: _send_again,
    JobState.UNREADABLE: _unreadable,
}

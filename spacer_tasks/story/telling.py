"""One task's whole story, put together from Redis and the results prefix."""

from __future__ import annotations

import time
from datetime import datetime, timezone

from redis.exceptions import NoPermissionError

from spacer_tasks import retries
from spacer_tasks.broker.contract import ROUTES
from spacer_tasks.broker.refused import Refused as RefusedMessage
from spacer_tasks.broker.whereabouts import TaskMessage
from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.job_state import JobState
from spacer_tasks.exceptions import ConfigError, SpacerError
from spacer_tasks.execution.dead_letters import DeadLetter
from spacer_tasks.jobs.outcomes import just_finished
from spacer_tasks.jobs.states import CONFIRM_SHARE
from spacer_tasks.results import TaskError
from spacer_tasks.story.facts import (
    Answer,
    GivenUp,
    Held,
    InLine,
    Job,
    JobStory,
    Lock,
    Refused,
    Start,
    Tries,
)
from spacer_tasks.story.in_redis import Traces, batch_of, headers, look_in_redis
from spacer_tasks.story.in_storage import Kept, look_in_storage, was_sent
from spacer_tasks.story.next_step import next_step


def tell(task_id: str) -> JobStory:
    """All that is known of a task. Its state is UNKNOWN if nothing is.

    Raises
    ------
    redis.exceptions.RedisError
        Redis does not answer.
    ConfigError
        The user of Redis may not look at all that is asked.
    StorageError, StorageUnavailableError
        Redis has no trace of the task, and the results prefix cannot be read.
    """
    kept = look_in_storage(task_id)
    answered = kept.answer is not None and kept.answer.state is not JobState.CANCELLED
    try:
        traces = look_in_redis(task_id, in_queues=not answered)
    except NoPermissionError as error:
        raise ConfigError(
            "the user in SPACER_BROKER_URL may not look at tasks: take `operator` of"
            f" docs/security.md, Redis users ({error})"
        ) from error
    if kept.answer is None:
        # it may have been stored meanwhile
        kept = look_in_storage(task_id)
    state = state_of(traces, kept, time.time())
    if state is JobState.UNKNOWN:
        if kept.unreadable is not None:
            raise kept.unreadable
        if was_sent(task_id, [header.stage for header in headers()]):
            state = JobState.MISSING
    return _story(task_id, state, traces, kept)


def tell_without_redis(task_id: str) -> JobStory | None:
    """What is stored of a task; None where it has no answer. Raises as `results.find_answer`."""
    kept = look_in_storage(task_id)
    if error := kept.damaged or kept.unreadable:
        raise error
    return _story(task_id, kept.answer.state, Traces(), kept) if kept.answer else None


def state_of(traces: Traces, kept: Kept, now: float) -> JobState:
    """What has become of the task; of two traces, the one that was left later counts.

    Parameters
    ----------
    now
        Seconds since 1970.
    """
    if kept.answer is not None:
        return kept.answer.state
    if kept.damaged is not None:
        return JobState.FAILED
    ended = _ended(traces, kept)
    return ended or _under_way(traces, now)


def _ended(traces: Traces, kept: Kept) -> JobState | None:
    result = traces.result
    if result is not None and result.state.answered:
        if kept.location is None:
            return result.state
        late = kept.unreadable is not None or just_finished(result.finished_at)
        return JobState.UNREADABLE if late else JobState.EXPIRED
    if result is not None and result.state.finished:
        return result.state
    if traces.cancelled_at is not None:
        return JobState.CANCELLED
    # one that was sent again is no dead letter any more
    return JobState.ABANDONED if traces.letter is not None else None


def _under_way(traces: Traces, now: float) -> JobState:
    if traces.stages:
        return JobState.RUNNING
    message = traces.message
    if message is not None:
        if traces.taken is not None and (message.not_before or 0) <= now:
            return JobState.RUNNING
        return JobState.RETRYING if message.retries else JobState.QUEUED
    if traces.holder is not None:
        return JobState.RUNNING
    sent = traces.sent
    if sent is not None and sent.missing_since is not None:
        confirmed = now - CONFIRM_SHARE * get_settings().lost_after_s
        return JobState.LOST if sent.missing_since < confirmed else JobState.MISSING
    left = traces.result or sent or traces.starts or traces.refused
    return JobState.MISSING if left else JobState.UNKNOWN


def _story(task_id: str, state: JobState, traces: Traces, kept: Kept) -> JobStory:
    sent, waiting, taken, letter = traces.sent, traces.waiting, traces.taken, traces.letter
    message = traces.message
    task = _task(traces, kept)
    sent_at = sent.record.submitted_at if sent else message.sent_at if message else None
    story = JobStory(
        task_id=task_id,
        state=state,
        meaning=state.meaning,
        task=task,
        job=_job(traces),
        part_of=batch_of(task_id),
        queue=_queue(traces) or ROUTES.get(task or ""),
        sent_at=_moment(sent_at),
        waiting=InLine(priority=waiting.priority, ahead=waiting.ahead) if waiting else None,
        taken=Held(worker=taken.worker, since=_moment(taken.since)) if taken else None,
        workers=traces.alive() if message else None,
        tries=_tries(message) if message else None,
        starts=[Start(at=each["at"], worker=each["worker"]) for each in traces.starts],
        lock=_lock(traces.holder, traces.lapses_in_s) if traces.holder else None,
        last_loss=traces.last_loss or (letter.last_loss if letter else None),
        progress=traces.result.progress if traces.result else {},
        parts=traces.stages,
        cancelled_at=_moment(traces.cancelled_at),
        answer=_answer(kept),
        error=_error(traces, kept),
        given_up=_given_up(letter) if letter else None,
        refused=_refused(traces.refused) if traces.refused else None,
    )
    story.next = next_step(story)
    return story


def _task(traces: Traces, kept: Kept) -> str | None:
    """The name of the Celery task, by whatever names it."""
    if traces.message is not None:
        return traces.message.task_name
    # the answer of a task that was cancelled names none
    if kept.answer is not None and kept.answer.task_name:
        return kept.answer.task_name
    if traces.letter is not None:
        return traces.letter.task_name
    return "spacer_tasks.process_job" if traces.sent else None


def _queue(traces: Traces) -> str | None:
    if traces.message is not None:
        return traces.message.queue
    if traces.sent is not None:
        return traces.sent.record.queue
    return (traces.letter.queue or None) if traces.letter is not None else None


def _job(traces: Traces) -> Job | None:
    sent = traces.sent
    if sent is not None:
        return Job(
            number=None if sent.by_mailman else sent.record.job_id,
            kind=sent.record.task_name,
            sender="mailman" if sent.by_mailman else "CoralNet",
            collected_at=_moment(sent.collected_at),
            missing_since=_moment(sent.missing_since),
        )
    kind = ((traces.message.content if traces.message else None) or {}).get("task_name")
    return Job(number=None, kind=kind, sender=None) if isinstance(kind, str) else None


def _tries(message: TaskMessage) -> Tries:
    return Tries(
        number=message.retries + 1,
        allowed=len(retries.TASK.longest_s) + 1,
        not_before=_moment(message.not_before),
    )


def _lock(token: str, lapses_in_s: float) -> Lock:
    # the token also says which process and which lock
    worker = "/".join(token.split("/")[:3])
    return Lock(worker=worker, lapses_in_s=lapses_in_s)


def _given_up(letter: DeadLetter) -> GivenUp:
    return GivenUp(at=letter.given_up_at, starts=len(letter.starts), last_loss=letter.last_loss)


def _refused(kept: RefusedMessage) -> Refused:
    return Refused(
        ref=kept.ref, reason=kept.reason.value, why=kept.why, at=kept.at, worker=kept.worker
    )


def _answer(kept: Kept) -> Answer:
    if kept.location is None:
        return Answer(
            location=None, stored=None, note="not looked for: SPACER_RESULTS_PREFIX is not set"
        )
    wrong = kept.damaged or kept.unreadable
    if wrong is not None:
        return Answer(location=kept.location, stored=None, note=str(wrong))
    stored = kept.answer
    if stored is None:
        return Answer(location=kept.location, stored=False)
    return Answer(
        location=kept.location,
        stored=True,
        finished_at=stored.finished_at,
        worker=stored.worker,
        summary=stored.small()["summary"],
    )


def _error(traces: Traces, kept: Kept) -> TaskError | None:
    if kept.damaged is not None:
        return TaskError.of(kept.damaged)
    if kept.answer is not None:
        return kept.answer.error
    result = traces.result
    if result is None or not result.error_type:
        return None
    error = TaskError(kind="bug", type=result.error_type, message=result.error_text)
    ours = error.as_exception()
    # another's class is told in its text
    known = type(ours) is not SpacerError
    return error.model_copy(update={"kind": ours.kind}) if known else error


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)

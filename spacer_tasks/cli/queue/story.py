"""One task's story, printed: `spacer-tasks jobs show`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from spacer_tasks.broker.contract import Priority
from spacer_tasks.console import counted
from spacer_tasks.data_classes.job_state import JobState
from spacer_tasks.jobs.status import note_of, stage_of
from spacer_tasks.story.facts import JobStory

#: characters of an answer's value; the answer itself has all
VALUE_WIDTH = 100


def lines_of(story: JobStory) -> list[tuple[str, str]]:
    """Names and what there is to say of each; not what is not known."""
    return [
        ("task", story.task_id),
        ("state", f"{story.state}: {story.meaning}"),
        *_what(story),
        *_where(story),
        *_runs(story),
        *_end(story),
        ("next", story.next),
    ]


def _what(story: JobStory) -> Iterator[tuple[str, str]]:
    if story.task:
        yield "what", story.task
    if (job := story.job) is not None:
        number = f"{job.number}, " if job.number is not None else ""
        sender = f", sent by {_sender(job.sender)}" if job.sender else ""
        yield "job", f"{number}{job.kind}{sender}"
        if job.collected_at:
            yield "collected", _time(job.collected_at)
        if job.missing_since:
            yield "missing", f"since {_time(job.missing_since)}"
    if story.part_of:
        yield "part of", story.part_of
    if story.queue:
        yield "queue", story.queue
    if story.sent_at:
        yield "sent", _time(story.sent_at)


def _sender(sender: str) -> str:
    return "a mailman" if sender == "mailman" else sender


def _where(story: JobStory) -> Iterator[tuple[str, str]]:
    alive = f"{counted(story.workers or 0, 'worker')} of its pool alive"
    if (line := story.waiting) is not None:
        goes_first = (
            f"{counted(line.ahead, 'task')} of its queue before it" if line.ahead else "next"
        )
        priority = f", {_priority(line.priority)}" if line.priority else ""
        yield "waits", f"{goes_first}{priority}; {alive}"
    if (held := story.taken) is not None:
        since = f" since {_time(held.since)}" if held.since else ""
        yield "held", f"by {held.worker or 'a worker of an older version'}{since}; {alive}"
    if (tries := story.tries) is not None and (tries.number > 1 or tries.not_before):
        after = f", not before {_time(tries.not_before)}" if tries.not_before else ""
        yield "try", f"{tries.number} of {tries.allowed}{after}"


def _priority(number: int) -> str:
    named = {each.value: each.name for each in Priority}
    return f"priority {named.get(number, number)}"


def _runs(story: JobStory) -> Iterator[tuple[str, str]]:
    for number, start in enumerate(story.starts, start=1):
        yield f"start {number}", f"{_time(start.at)} at {start.worker}"
    if story.last_loss:
        yield "last end", story.last_loss
    if (lock := story.lock) is not None:
        yield "lock", f"{lock.worker}; lapses in {lock.lapses_in_s:.0f} s unless renewed"
    now = stage_of(story.progress)
    if now and now[0] not in {stage.stage for stage in story.parts}:
        note = f", {said}" if (said := note_of(story.progress)) else ""
        yield "progress", f"{now[0]}, {now[1]:,} of {now[2]:,}{note}"
    for stage in story.parts:
        total = f" of {stage.total:,}" if stage.total is not None else ""
        yield f"parts: {stage.stage}", f"{stage.done:,}{total} done, {stage.failed:,} failed"
    if story.cancelled_at:
        yield "cancelled", _time(story.cancelled_at)
    if (kept := story.refused) is not None:
        by = f" by {kept.worker}" if kept.worker else ""
        yield "refused", f"{kept.ref}, {_time(kept.at)}{by}: {kept.why} ({kept.reason})"
    if (given_up := story.given_up) is not None:
        begun = counted(given_up.starts, "start")
        yield "dead letter", f"given up {_time(given_up.at)} after {begun}"


def _end(story: JobStory) -> Iterator[tuple[str, str]]:
    answer = story.answer
    if answer.stored:
        by = f" by {answer.worker}" if answer.worker else ""
        stored = f", stored {_time(answer.finished_at)}{by}" if answer.finished_at else ""
        yield "answer", f"{answer.location}{stored}"
    elif answer.note:
        yield "answer", answer.note
    elif story.state not in (JobState.QUEUED, JobState.RUNNING, JobState.RETRYING):
        yield "answer", f"none at {answer.location}"
    for name, value in answer.summary.items():
        yield f"  {name}", _short(value)
    if story.error is not None:
        name = story.error.type.rpartition(".")[2]
        last = "the last try's: " if story.state is JobState.RETRYING else ""
        text = " ".join(story.error.message.split())
        yield "error", f"{last}{name} ({story.error.kind}): {text}"


def _short(value: Any) -> str:
    if isinstance(value, dict) and "storage_type" in value:
        from spacer_tasks.data_classes.locations import DataLocation

        return DataLocation.model_validate(value).uri
    # an error's text may have lines
    text = f"{value:.4g}" if isinstance(value, float) else " ".join(str(value).split())
    return text if len(text) <= VALUE_WIDTH else f"{text[: VALUE_WIDTH - 1]}…"


def _time(moment: datetime) -> str:
    """In the time of this machine, and how long ago or from now."""
    seconds = (datetime.now(timezone.utc) - moment).total_seconds()
    away = "in {}" if seconds < 0 else "{} ago"
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S} ({away.format(_span(abs(seconds)))})"


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    if minutes < 120:
        return f"{minutes:.0f} min"
    hours = minutes / 60
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"

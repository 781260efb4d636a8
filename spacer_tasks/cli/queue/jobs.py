"""`spacer-tasks jobs`: what CoralNet's queue class has sent and not collected yet, and all that is
known of one task, whoever sent it.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from spacer_tasks.cli.queue.broker import reached_redis
from spacer_tasks.console import (
    NOT_DONE,
    SOME_FAILED,
    complain,
    err,
    out,
    print_facts,
    say,
    warn,
)
from spacer_tasks.data_classes.job_state import JobState
from spacer_tasks.exceptions import BrokerUnavailableError

if TYPE_CHECKING:
    from spacer_tasks.story.facts import JobStory

#: jobs that are listed one by one
LISTED = 20
#: jobs whose states are asked for at once, as CoralNet does
SLICE = 100
#: of the largest number of a job that a database has
JOB_DIGITS = 19

commands = typer.Typer(
    no_args_is_help=True,
    help="CoralNet's jobs: what waits to be collected, and again. Of any task: all that is known.",
)


@commands.command("list")
def list_jobs() -> None:
    """Show how many jobs wait to be collected, by what is known of them, and the oldest ones."""
    from spacer_tasks.jobs.redis_records import RedisRecords
    from spacer_tasks.jobs.states import look

    with reached_redis():
        waiting = RedisRecords().waiting()
        with err.status("asking where they are"):
            now = time.time()
            seen = [
                each
                for start in range(0, len(waiting), SLICE)
                for each in look(waiting[start : start + SLICE], now)
            ]
    if not seen:
        say("No job waits to be collected.")
        return
    counts = Counter(str(each.state) for each in seen)
    out.print(", ".join(f"{count:,} {state}" for state, count in sorted(counts.items())))
    out.print()
    rows = [("job", "what", "queue", "state", "for", "task")]
    for each in seen[:LISTED]:
        sent = each.record
        age = f"{(now - sent.submitted_at) / 60:.0f} min"
        rows.append(
            (str(sent.job_id), sent.task_name, sent.queue, str(each.state), age, sent.task_id)
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        # whole lines, so that an id can be copied from a narrow terminal too
        out.print(line.rstrip(), style="dim" if row is rows[0] else "", soft_wrap=True)
    if len(seen) > LISTED:
        out.print(f"and {len(seen) - LISTED:,} later ones", style="dim")


TaskOrJob = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="A task of any kind, or CoralNet's number of a job.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, tracebacks included.")]


@commands.command()
def show(task_id: TaskOrJob, as_json: AsJson = False) -> None:
    """Show all that is known of one task, and what to do next.

    Where Redis is away, its stored answer is shown. Exits with 1 if nobody knows the task.
    """
    from spacer_tasks.cli.queue.story import lines_of

    if not task_id.strip() or not task_id.isprintable():
        complain(f"no task has an id like {task_id!r}: expected letters, digits, '-', '_' and '.'")
        raise typer.Exit(SOME_FAILED)
    story = _story_of(task_id)
    if as_json:
        out.print_json(story.model_dump_json(exclude_none=True))
    elif story.state is not JobState.UNKNOWN:
        print_facts(dict(lines_of(story)))
    if story.state is JobState.UNKNOWN:
        complain(f"nobody knows the task {task_id}: {_looked(story)}. {_sentence(story.next)}")
        raise typer.Exit(SOME_FAILED)


def _story_of(task_id: str) -> JobStory:
    from spacer_tasks.jobs.sent import newest_task_of
    from spacer_tasks.story.telling import tell, tell_without_redis

    try:
        with reached_redis(), err.status("asking Redis and the results prefix"):
            number = task_id.isascii() and task_id.isdecimal() and len(task_id) <= JOB_DIGITS
            return tell((newest_task_of(int(task_id)) if number else None) or task_id)
    except BrokerUnavailableError as error:
        stored = tell_without_redis(task_id)
        if stored is None:
            raise
        warn(f"{error}; this is the task's stored answer")
        return stored


def _looked(story: JobStory) -> str:
    where = story.answer.location
    stored = f"there is no answer at {where}" if where else f"answers were {story.answer.note}"
    return f"Redis has no trace of it, and {stored}"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"


@commands.command()
def again(
    job_ids: Annotated[list[int], typer.Argument(help="CoralNet's numbers of the jobs.")],
) -> None:
    """Let jobs that were collected in the last seven days be collected once more.

    For a site whose process ended between collecting answers and taking them in. Exits with 1
    where some of the jobs are not among those, and with 2 where none is.
    """
    from spacer_tasks.jobs.redis_records import RedisRecords

    with reached_redis():
        found = RedisRecords().put_back(job_ids)
    for record in found:
        say(f"{record} will be collected again.")
    missing = sorted(set(job_ids) - {record.job_id for record in found})
    if missing:
        warn(f"not among the jobs collected in the last seven days: {', '.join(map(str, missing))}")
        raise typer.Exit(SOME_FAILED if found else NOT_DONE)

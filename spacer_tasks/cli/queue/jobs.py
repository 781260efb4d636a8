"""`spacer-tasks jobs`: what CoralNet's queue class has sent and not collected yet."""

from __future__ import annotations

import time
from collections import Counter
from typing import Annotated

import typer

from spacer_tasks.cli.queue.broker import reached_redis
from spacer_tasks.console import NOT_DONE, err, out, say, warn

#: jobs that are listed one by one
LISTED = 20
#: jobs whose states are asked for at once, as CoralNet does
SLICE = 100

commands = typer.Typer(
    no_args_is_help=True, help="CoralNet's jobs: what waits to be collected, and again."
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


@commands.command()
def again(
    job_ids: Annotated[list[int], typer.Argument(help="CoralNet's numbers of the jobs.")],
) -> None:
    """Let jobs that were collected in the last seven days be collected once more.

    For a site whose process ended between collecting answers and taking them in.
    """
    from spacer_tasks.jobs.redis_records import RedisRecords

    with reached_redis():
        found = RedisRecords().put_back(job_ids)
    for record in found:
        say(f"{record} will be collected again.")
    missing = sorted(set(job_ids) - {record.job_id for record in found})
    if missing:
        warn(f"not among the jobs collected in the last seven days: {', '.join(map(str, missing))}")
        raise typer.Exit(NOT_DONE)

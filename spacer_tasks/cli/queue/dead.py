"""`spacer-tasks dead`: tasks that were given up, because each ended its worker again and again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from spacer_tasks.cli.queue.broker import reached_redis
from spacer_tasks.console import counted, out, print_facts, say
from spacer_tasks.exceptions import MessageError

if TYPE_CHECKING:
    from redis import Redis

    from spacer_tasks.execution.dead_letters import DeadLetter

commands = typer.Typer(
    no_args_is_help=True, help="Tasks that were given up: look at them, send them again."
)

TaskIds = Annotated[list[str] | None, typer.Argument(help="Ids of tasks.", show_default=False)]
All = Annotated[bool, typer.Option("--all", help="All that were given up.")]


@commands.command("list")
def list_letters() -> None:
    """Show the tasks that were given up, the oldest first."""
    from spacer_tasks.execution import dead_letters

    with reached_redis() as redis:
        letters = dead_letters.listed(redis)
    if not letters:
        say("No task was given up.")
        return
    rows = [("task", "what", "queue", "begun", "given up")]
    for letter in letters:
        when, starts = _time(letter.given_up_at), f"{len(letter.starts)} times"
        rows.append((letter.task_id, letter.task_name, letter.queue, starts, when))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        # whole lines, so that an id can be copied from a narrow terminal too
        out.print(line.rstrip(), style="dim" if row is rows[0] else "", soft_wrap=True)


@commands.command()
def show(task_id: Annotated[str, typer.Argument(help="Id of a task.")]) -> None:
    """Show all that is known of one, its message included."""
    from spacer_tasks.execution import dead_letters

    with reached_redis() as redis:
        letter = dead_letters.find(redis, task_id)
    facts = {
        "task": letter.task_id,
        "what": letter.task_name,
        "queue": letter.queue,
        "given up": _time(letter.given_up_at),
        "error": letter.error,
        "last seen": letter.last_loss or "its worker ended without a word",
    }
    for number, start in enumerate(letter.starts, start=1):
        facts[f"start {number}"] = f"{_time(start['at'])} at {start['worker']}"
    print_facts(facts)
    out.print_json(data=letter.args)


@commands.command()
def retry(task_ids: TaskIds = None, everything: All = False) -> None:
    """Send tasks again, as if they were never begun; their answers are computed anew."""
    from spacer_tasks.execution import dead_letters

    with reached_redis() as redis:
        for letter in _chosen(redis, task_ids, everything):
            dead_letters.send_again(redis, letter.task_id)
            say(f"{letter.task_id} was sent again to {letter.queue}.")


@commands.command()
def drop(task_ids: TaskIds = None, everything: All = False) -> None:
    """Forget tasks that were given up; the error that each was answered with stays."""
    from spacer_tasks.execution import dead_letters

    with reached_redis() as redis:
        chosen = _chosen(redis, task_ids, everything)
        for letter in chosen:
            dead_letters.drop(redis, letter.task_id)
    say(f"{counted(len(chosen), 'task')} dropped.")


def _chosen(redis: Redis, task_ids: list[str] | None, everything: bool) -> list[DeadLetter]:
    from spacer_tasks.execution import dead_letters

    if bool(task_ids) == everything:
        raise MessageError("name the tasks, or say --all")
    if everything:
        return dead_letters.listed(redis)
    # all are looked for before the first is touched
    return [dead_letters.find(redis, task_id) for task_id in task_ids or ()]


def _time(since_1970: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since_1970))

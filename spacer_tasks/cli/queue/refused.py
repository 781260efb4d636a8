"""`spacer-tasks refused`: messages that workers refused, kept to be looked at and put back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from spacer_tasks.cli.queue.broker import reached_redis
from spacer_tasks.console import counted, out, print_facts, say
from spacer_tasks.exceptions import MessageError
from spacer_tasks.printable import printable

if TYPE_CHECKING:
    from redis import Redis

    from spacer_tasks.broker.refused import Refused

commands = typer.Typer(
    no_args_is_help=True, help="Messages that workers refused: look at them, put them back."
)

#: characters of a message that is not JSON, or not a task's
SHOWN = 2000
Refs = Annotated[
    list[str] | None, typer.Argument(help="Names of messages, as in the list.", show_default=False)
]
All = Annotated[bool, typer.Option("--all", help="All that were refused.")]
Why = Annotated[
    str | None,
    typer.Option("--reason", help="All that were refused for this reason.", show_default=False),
]


@commands.command("list")
def list_refused() -> None:
    """Show the messages that are kept, the oldest first, and how many were ever refused."""
    from spacer_tasks.broker import refused

    with reached_redis() as redis:
        entries, counts = refused.listed(redis), refused.counts(redis)
    if not entries:
        say("No message that was refused is kept.")
    else:
        rows = [("message", "reason", "task", "queue", "refused", "why")]
        for each in entries:
            task, queue = str(each.headers.get("task", "?")), each.queue.partition("\x06")[0]
            rows.append((each.ref, each.reason.value, task, queue or "?", _time(each.at), each.why))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
            # whole lines, so that a name can be copied from a narrow terminal too
            style = "dim" if row is rows[0] else ""
            out.print(Text(printable(line.rstrip()), style), soft_wrap=True)
    if counts:
        ever = ", ".join(f"{reason} {number:,}" for reason, number in sorted(counts.items()))
        say(f"Ever refused: {ever}.")


@commands.command()
def show(ref: Annotated[str, typer.Argument(help="Name of a message, as in the list.")]) -> None:
    """Show all that is known of one, and the message as it was."""
    from spacer_tasks.broker import refused

    with reached_redis() as redis:
        (found,) = refused.find(redis, [ref])
    facts = {
        "message": found.ref,
        "reason": found.reason.value,
        "why": found.why,
        "queue": printable(found.queue) or "not known",
        "refused": _time(found.at),
        "by": found.worker or "Redis, which cannot read it",
    }
    for name in ("task", "id"):
        if name in found.headers:
            facts[name] = printable(str(found.headers[name]))
    print_facts(facts)
    text = printable(found.raw.decode("utf-8", "backslashreplace"))
    more = f" … {len(text) - SHOWN:,} characters more" if len(text) > SHOWN else ""
    out.print(Text(text[:SHOWN] + more), soft_wrap=True)


@commands.command()
def requeue(refs: Refs = None, everything: All = False, reason: Why = None) -> None:
    """Put messages back into their queues as they were, behind all that waits there."""
    from spacer_tasks.broker import refused

    _do_to_chosen(refused.requeue, "put back", refs, everything, reason)


@commands.command()
def drop(refs: Refs = None, everything: All = False, reason: Why = None) -> None:
    """Forget messages that were refused."""
    from spacer_tasks.broker import refused

    _do_to_chosen(refused.drop, "dropped", refs, everything, reason)


def _do_to_chosen(
    do: Callable[[Redis, Refused], bool],
    done: str,
    refs: list[str] | None,
    everything: bool,
    reason: str | None,
) -> None:
    with reached_redis() as redis:
        number = sum(do(redis, each) for each in _chosen(redis, refs, everything, reason))
    say(f"{counted(number, 'message')} {done}.")


def _chosen(
    redis: Redis, refs: list[str] | None, everything: bool, reason: str | None
) -> list[Refused]:
    from spacer_tasks.broker import refused

    if bool(refs) + everything + bool(reason) != 1:
        raise MessageError("name the messages, or say --all, or --reason and one of the reasons")
    if refs:
        # all are looked for before the first is touched
        return refused.find(redis, refs)
    reasons = [each.value for each in refused.Reason]
    if reason and reason not in reasons:
        raise MessageError(f"--reason {reason}: expected one of {', '.join(reasons)}")
    return [each for each in refused.listed(redis) if not reason or each.reason.value == reason]


def _time(since_1970: float) -> str:
    if not since_1970:
        return "?"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since_1970))

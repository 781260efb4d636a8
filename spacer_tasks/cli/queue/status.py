"""`spacer-tasks status`: the queues and their workers, or one task."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from redis import Redis
from redis.exceptions import NoPermissionError
from rich.table import Table
from rich.text import Text

from spacer_tasks.app import app
from spacer_tasks.broker import refused
from spacer_tasks.broker.contract import QUEUES
from spacer_tasks.broker.queue_depths import queue_depths
from spacer_tasks.broker.refused import Refused
from spacer_tasks.broker.server_kind import check_redis
from spacer_tasks.cli.queue.broker import reached_redis
from spacer_tasks.config.settings import get_settings
from spacer_tasks.console import counted, err, out, reason, warn
from spacer_tasks.data_classes.job_state import JobState
from spacer_tasks.data_classes.task_ids import checked_id
from spacer_tasks.exceptions import BrokerUnavailableError, ConfigError
from spacer_tasks.execution.storage_away import results_fault
from spacer_tasks.jobs.status import (
    TaskState,
    in_storage,
    known_state,
    note_of,
    stage_of,
)
from spacer_tasks.printable import printable
from spacer_tasks.worker.pools import POOLS, transport_options

#: seconds that workers have to answer; those that do answer within a tenth of it
INSPECT_S = 1.5
#: colours of states
STYLES = {
    JobState.SUCCEEDED: "green",
    JobState.UNKNOWN: "dim",
    JobState.QUEUED: "yellow",
    JobState.RUNNING: "yellow",
    JobState.RETRYING: "yellow",
}


def status(
    task_id: Annotated[
        str | None, typer.Argument(help="One task; else everything.", show_default=False)
    ] = None,
) -> None:
    """Show what waits, what runs and who works, or how far one task is.

    A finished task is found by its stored answer also when Redis was wiped.
    """
    if task_id is None:
        with reached_redis() as redis:
            _print_everything(redis)
        _warn_of_faults()
    else:
        print_task(*_state_of(checked_id(task_id)))


def _warn_of_faults() -> None:
    """Say what workers that start with these settings would refuse."""
    try:
        check_redis()
    except ConfigError as error:
        warn(str(error))
    if get_settings().results_prefix and (fault := results_fault()):
        warn(fault)


def _state_of(task_id: str) -> tuple[TaskState, list[Refused]]:
    """What is known of a task, and which messages of it were refused."""
    try:
        with reached_redis() as redis:
            state = known_state(task_id)
            return state, [] if state.finished else _refused_of(redis, task_id)
    except BrokerUnavailableError as error:
        stored = in_storage(task_id)
        if stored is None:
            raise
        warn(f"{error}; this is the task's stored answer")
        return stored, []


def _refused_of(redis: Redis, task_id: str) -> list[Refused]:
    try:
        return refused.of_task(redis, task_id)
    except NoPermissionError:
        # a site's user need not see what others sent
        return []


def print_task(state: TaskState, its_refused: Sequence[Refused] = ()) -> None:
    """Print all that is known of a task."""
    facts: dict[str, Any] = {"task": state.task_id, "state": str(state.state)}
    if state.state is JobState.UNKNOWN:
        facts["state"] = f"{state.state}: it waits in its queue, or no task has this id"
    if its_refused:
        if state.state is JobState.UNKNOWN:
            facts["state"] = f"{state.state}: its message was refused, and waits to be put back"
        count, each = counted(len(its_refused), "message"), its_refused[0]
        facts["refused"] = (
            f"{count}, because {printable(each.why)} ({each.reason.value});"
            f" `spacer-tasks refused show {each.ref}` shows"
            f" {'it' if len(its_refused) == 1 else 'the last'},"
            " `refused requeue` puts back"
        )
    now = stage_of(state.progress)
    if now:
        facts["progress"] = f"{now[0]}, {now[1]:,} of {now[2]:,}"
    if note := note_of(state.progress):
        facts["accuracy"] = note
    if state.error is not None:
        facts["error"] = f"{state.error.type.rpartition('.')[2]}: {state.error.message}"
        if state.error.traceback:
            facts["traceback"] = "\n" + state.error.traceback.rstrip()
    for name, value in (state.answer or {}).items():
        facts |= _flat(name, value)
    width = max(map(len, facts)) + 2
    for name, value in facts.items():
        style = STYLES.get(state.state, "red") if name == "state" else ""
        out.print(Text(f"{name:{width}}", "dim") + Text(str(value), style), soft_wrap=True)


def _flat(name: str, value: Any) -> dict[str, Any]:
    """An entry of an answer as lines."""
    if isinstance(value, dict) and "storage_type" in value:
        from spacer_tasks.data_classes.locations import DataLocation

        return {name: DataLocation(**value).uri}
    if isinstance(value, dict):
        return {key: inner for each in value for key, inner in _flat(each, value[each]).items()}
    if name == "failures" and value:
        lines = [f"{each['name']}: {reason(each['message'], each['name'])}" for each in value]
        return {f"{name} ({len(value)})": "\n  " + "\n  ".join(lines)}
    if isinstance(value, float):
        return {name: f"{value:.4g}"}
    if isinstance(value, list):
        numbers = [f"{each:.4g}" if isinstance(each, float) else str(each) for each in value]
        return {name: ", ".join(numbers) or "none"}
    return {name: value}


def _print_everything(redis: Redis) -> None:
    with err.status("asking the workers"):
        workers = app.control.inspect(timeout=INSPECT_S).active_queues() or {}
        names = sorted(workers)
        # who answered once is waited for, and nobody else
        known = app.control.inspect(names, timeout=INSPECT_S, limit=len(names))
        active: dict[str, Any] = (known.active() or {}) if names else {}
        stats: dict[str, Any] = (known.stats() or {}) if names else {}
    consumers: dict[str, list[str]] = {name: [] for name in QUEUES}
    for name in names:
        for queue in workers[name]:
            consumers.setdefault(queue["name"], []).append(name)

    depths = queue_depths(redis)
    queues = _table("queue", "waiting", "taken", "workers")
    for pool in POOLS.values():
        taken = int(redis.hlen(transport_options(pool)["unacked_key"]))
        for name in pool.queues:
            waiting = depths[name].waiting
            count = len(consumers[name])
            queues.add_row(
                name,
                f"{waiting:,}",
                # Redis keeps what a pool has taken in one place for all its queues
                f"{taken:,}" if name == pool.queue else "",
                Text(str(count), "red" if waiting and not count else ""),
            )
    out.print(queues)
    if kept := refused.kept(redis):
        warn(f"{counted(kept, 'message')} refused by workers: `spacer-tasks refused list`")

    out.print()
    if not names:
        out.print("no worker answers; start one with `spacer-tasks worker features`", style="red")
        return
    table = _table("worker", "busy", "slots", left=1)
    for name in names:
        slots = stats.get(name, {}).get("pool", {}).get("max-concurrency", "?")
        table.add_row(name, str(len(active.get(name, []))), str(slots))
    out.print(table)

    running = [(name, task) for name in names for task in active.get(name, [])]
    if running:
        out.print()
        table = _table("running task", "what", "for", left=2)
        for _, task in sorted(running, key=lambda each: each[1].get("time_start") or 0):
            what = str(task.get("name", "?")).removeprefix("spacer_tasks.")
            table.add_row(str(task.get("id")), what, _since(task.get("time_start")))
        out.print(table)


def _table(*columns: str, left: int = 1) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for number, name in enumerate(columns):
        table.add_column(
            name, justify="left" if number < left else "right", no_wrap=number >= left,
            overflow="fold",
        )  # fmt: skip
    return table


def _since(started: float | None) -> str:
    """How long ago, on the worker's clock as on ours."""
    if not started:
        return "?"
    seconds = max(0, int(time.time() - started))
    if seconds < 120:
        return f"{seconds} s"
    minutes = seconds // 60
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"

"""What the commands print: results to standard output, everything else to standard error.

Names of files, labels and ids are others' texts: nothing in them is markup, moves the cursor, or
begins a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.text import Text

from spacer_tasks.printable import printable, printable_list

#: exit codes: done but for some images; not done; interrupted, as the shell has it
SOME_FAILED, NOT_DONE, INTERRUPTED = 1, 2, 130
#: names that a warning lists; the rest is counted
LISTED = 8
#: characters; what a progress bar says beside itself
NOTE_WIDTH = 24


def _printable_lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


class _Console(Console):
    """Rich's, without what a text could tell a terminal."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """As Rich's; tables measure what comes of it."""
        return super().render_str(_printable_lines(text), **options)

    def render(self, *args: Any, **options: Any) -> Iterable[Segment]:
        """As Rich's; its own orders to the terminal stay."""
        for segment in super().render(*args, **options):
            if segment.control is None:
                segment = Segment(_printable_lines(segment.text), segment.style)
            yield segment


out = _Console()
err = _Console(stderr=True)


def say(text: str, style: str = "") -> None:
    """A line about the work, not wrapped: it may be long, and a terminal wraps it by itself."""
    err.print(Text(printable_list(text), style=style), soft_wrap=True)


def warn(text: str) -> None:
    """Something a person should know although the work goes on."""
    say(f"warning: {text}", "yellow")


def complain(text: str) -> None:
    """Why a command ends without its work done."""
    say(f"error: {text}", "red")


def listed(names: Sequence[str]) -> str:
    """Some names, and how many more."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def counted(count: int, noun: str) -> str:
    """`1 image`, `2 images`, `1,000 images`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def print_facts(facts: Mapping[str, str]) -> None:
    """Names and what there is to say of each, one below the other."""
    width = max(map(len, facts)) + 2
    for name, value in facts.items():
        out.print(f"{printable(name):{width}}{printable_list(value)}", soft_wrap=True)


def progress_bar() -> Progress:
    """A bar with counts and a time. Each task on it has a field `note`, a few words."""
    return Progress(
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        # the time left, and at the end the time taken
        TimeRemainingColumn(elapsed_when_finished=True),
        # a name may have what looks like markup
        TextColumn("{task.fields[note]}", style="dim", markup=False),
        console=err,
        expand=True,
    )


def short(name: str) -> str:
    """A name cut to what fits beside a progress bar; its end tells more than its start."""
    return name if len(name) <= NOTE_WIDTH else "…" + name[1 - NOTE_WIDTH :]


def reason(text: str, name: str) -> str:
    """An error's text for a list that names the image already: without the location before it."""
    location, separator, rest = text.partition(": ")
    return rest if separator and location.endswith((name, f"{name}.npz")) else text


def end_with(failures: Mapping[str, str]) -> None:
    """List what failed, by name with its reason, and end with the exit code that says so."""
    if not failures:
        return
    say(f"{counted(len(failures), 'failure')}:", "red")
    for name, reason in failures.items():
        first = Text(f"  {printable(name)}: ", "red")
        err.print(first + Text(printable_list(reason), "default"), soft_wrap=True)
    raise typer.Exit(SOME_FAILED)

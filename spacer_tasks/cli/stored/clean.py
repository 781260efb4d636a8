"""`spacer-tasks clean`: remove old answers, messages and the like that nothing needs any more."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from spacer_tasks.console import counted, end_with, out, say

if TYPE_CHECKING:
    from spacer_tasks.upkeep.clean import Count

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_AGE = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)


def clean(
    older_than: Annotated[
        str,
        typer.Option(
            metavar="AGE",
            help="What was stored longer ago: 90d, 36h, 12w.",
            show_default=False,
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
) -> None:
    """Remove old answers, messages, plans of batches and checkpoints under the results prefix.

    What a task that waits or runs, a batch that waits, a dead letter, a refused message or a job
    that was not collected still needs stays, however old it is. Features, classifiers and whatever
    else a site stores are never touched.
    """
    from spacer_tasks.upkeep.clean import clean as clean_up

    age_s = _seconds(older_than)
    found = clean_up(age_s, dry_run=dry_run)
    rows = [("folder", "would be removed" if dry_run else "removed", "needed", "younger")]
    rows += [
        (f"{name}/", _count(each.removed), _count(each.needed), _count(each.young))
        for name, each in found.items()
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        out.print(line.rstrip(), style="dim" if row is rows[0] else "", soft_wrap=True)
    objects = sum(each.removed.objects for each in found.values())
    size = sum(each.removed.bytes for each in found.values())
    done = "would be removed" if dry_run else "removed"
    say(f"{counted(objects, 'object')} of {counted(size, 'byte')} {done}.")
    end_with(
        {f"{name}/{key}": why for name, each in found.items() for key, why in each.failed.items()}
    )


def _seconds(age: str) -> float:
    found = _AGE.fullmatch(age.strip())
    if not found:
        raise typer.BadParameter(
            f"{age!r} is no age; expected a number and one of {', '.join(_SECONDS)}, such as 90d",
            param_hint="--older-than",
        )
    return int(found.group(1)) * _SECONDS[found.group(2)]


def _count(count: Count) -> str:
    return f"{count.objects:,} ({count.bytes:,} bytes)" if count.objects else "0"

"""Commands of `spacer-tasks`, run in this process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from spacer_tasks.cli.program import program


@dataclass(frozen=True)
class Ran:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


def run(*arguments: str | Path) -> Ran:
    """A command of `spacer-tasks`, in this process."""
    result = CliRunner().invoke(program, [str(each) for each in arguments])
    # what is not an exit is a bug
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)

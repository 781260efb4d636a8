"""The command line: it parses, calls the package, and prints.

Nothing is imported here, so that a machine without the command line's packages is told so.
"""

from __future__ import annotations

import sys

#: what `pip install 'spacer-tasks[cli]'` brings
PACKAGES = {"typer", "rich"}


def main() -> None:
    """Run the command that the process's arguments name."""
    try:
        from spacer_tasks.cli.program import program
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in PACKAGES:
            raise
        sys.exit(
            f"error: the command line needs {error.name}, which is not installed:"
            " pip install 'spacer-tasks[cli]'"
        )
    program()

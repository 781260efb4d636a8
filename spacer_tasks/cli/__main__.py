"""`python -m spacer_tasks.cli` is the same as `spacer-tasks`."""

from __future__ import annotations

from spacer_tasks.cli import main

main()

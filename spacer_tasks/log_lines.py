"""What workers and mailmen log, one line each.

Messages name tasks, queues and keys, and other libraries log them as they are: a name with a line
end in it would forge a line of the log, and one with an escape character move the cursor of who
reads it.
"""

from __future__ import annotations

import logging

from spacer_tasks.printable import printable_list


class OneLine(logging.LogRecord):
    """A record whose message is of letters that can be printed. A traceback's lines stay."""

    def getMessage(self) -> str:  # noqa: N802 -- logging's own name
        """The message with its arguments."""
        return printable_list(super().getMessage())


def log_one_line_each() -> None:
    """From now on, in this process and in those that it forks."""
    logging.setLogRecordFactory(OneLine)

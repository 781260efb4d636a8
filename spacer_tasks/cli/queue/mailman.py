"""`spacer-tasks mailman` and `spacer-tasks env-job`: jobs from Amazon SQS and AWS Batch."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from spacer_tasks.config.settings import get_settings, without_django
from spacer_tasks.log_lines import log_one_line_each
from spacer_tasks.mailman.mailman import IN_HAND, VISIBILITY_S, sqs_mailman


def mailman(
    jobs: Annotated[str, typer.Argument(help="URL of the queue of jobs.", show_default=False)],
    results: Annotated[str, typer.Argument(help="URL of the result queue.", show_default=False)],
    dead_letters: Annotated[
        str,
        typer.Argument(help="URL of the queue for what is no job.", show_default=False),
    ],
    in_hand: Annotated[
        int, typer.Option(min=1, help="Jobs at once; more than the workers run at once.")
    ] = IN_HAND,
    visibility: Annotated[
        int,
        typer.Option(
            min=2,
            max=43200,
            help="Seconds after which the messages of a mailman that died come back.",
        ),
    ] = VISIBILITY_S,
) -> None:
    """Take jobs from an SQS queue, hand them to the workers, and send their answers.

    It works until SIGTERM, which gives back what is in hand: its tasks go on.
    """
    _as_a_service()
    sqs_mailman(jobs, results, dead_letters, in_hand=in_hand, visibility_s=visibility)


def env_job() -> None:
    """Run the one job that JOB_MSG_LOC names, without a queue, as AWS Batch starts it.

    Its answer goes to RES_MSG_LOC. Both are the JSON of a location.
    """
    from spacer_tasks.mailman.aws_batch import env_job

    _as_a_service()
    env_job()


def _as_a_service() -> None:
    """A service takes its own settings, not a site's, and logs for files: plain lines with their
    time, not a terminal's.
    """
    without_django()
    log_one_line_each()
    logging.basicConfig(
        level=get_settings().log_level,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )

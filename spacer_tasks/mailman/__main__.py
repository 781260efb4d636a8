"""`python -m spacer_tasks.mailman env_job`: the reference's command for AWS Batch."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from spacer_tasks.mailman import aws_batch


def main(arguments: Sequence[str]) -> None:
    """Take the one argument that the reference's file of this name is started with."""
    if list(arguments) != ["env_job"]:
        sys.exit(
            "error: expected the argument env_job; `spacer-tasks mailman` starts the one for SQS"
        )
    aws_batch.main()


if __name__ == "__main__":
    main(sys.argv[1:])

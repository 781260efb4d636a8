"""Start a trainer worker: `python -m workers.trainer_worker --concurrency 2`."""

from __future__ import annotations

import sys

from spacer_tasks.worker import start

if __name__ == "__main__":
    start("training", sys.argv[1:], config_module="celeryconfig")

"""Start a classify worker: `python -m workers.classify_worker --concurrency 2`."""

from __future__ import annotations

import sys

from spacer_tasks.worker import start

if __name__ == "__main__":
    start("classify", sys.argv[1:], config_module="celeryconfig")

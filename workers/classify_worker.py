"""Start a classify worker: `python -m workers.classify_worker --concurrency 2`."""

from __future__ import annotations

import sys

from spacer_tasks.worker.start import main

if __name__ == "__main__":
    main("classify", sys.argv[1:], config_module="celeryconfig")

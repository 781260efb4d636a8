"""Start a feature worker: `python -m workers.feature_worker --concurrency 2`."""

from __future__ import annotations

import sys

from spacer_tasks.worker.start import main

if __name__ == "__main__":
    main("features", sys.argv[1:], config_module="celeryconfig")

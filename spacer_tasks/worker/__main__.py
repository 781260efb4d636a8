"""Start a worker of one pool: `python -m spacer_tasks.worker features --celeryconfig=celeryconfig`.

For the process that starts several; an operator has `workers/` or `spacer-tasks worker`.
"""

from __future__ import annotations

import argparse

from spacer_tasks.worker.pools import POOLS
from spacer_tasks.worker.start import main

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m spacer_tasks.worker", allow_abbrev=False)
    parser.add_argument("pool", choices=sorted(POOLS))
    parser.add_argument("--celeryconfig")
    options, arguments = parser.parse_known_args()
    # `-m` looks for modules in the folder that it is started in
    main(options.pool, arguments, config_module=options.celeryconfig)

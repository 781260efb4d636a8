"""Where AWS Batch expects the reference: `python3 spacer/mailman.py env_job` runs one job.

The images hold it as `spacer/mailman.py`, so that a job definition for the reference's image is
one for them too.
"""

from __future__ import annotations

import sys

from spacer_tasks.mailman import main

if __name__ == "__main__":
    main(sys.argv[1:])

"""Where AWS Batch expects the reference: `python3 spacer/mailman.py env_job` runs one job.

The images hold it as `spacer/mailman.py`, so that a job definition for the reference's image is
one for them too.
"""

from __future__ import annotations

import os
import sys

from spacer_tasks.mailman.__main__ import main

#: what the image sets; a Batch job has no results prefix, and its IAM role says which buckets it
#: may use
CLOSED = "results"

if __name__ == "__main__":
    if os.environ.get("SPACER_ALLOWED_S3") == CLOSED:
        os.environ["SPACER_ALLOWED_S3"] = "s3://*"
    main(sys.argv[1:])

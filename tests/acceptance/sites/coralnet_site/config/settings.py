"""Where the servers are comes from the test that starts the site."""

from __future__ import annotations

import os
from typing import Any

SECRET_KEY = "a site of the tests"
INSTALLED_APPS = ["jobs"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["REEF_DATABASE"]}
}

SPACER_QUEUE_CHOICE = "spacer_tasks.coralnet.CeleryQueue"
# the first ones are the reference's own names, which both read
SPACER: dict[str, Any] = {
    "AWS_ACCESS_KEY_ID": os.environ["REEF_AWS_ACCESS_KEY_ID"],
    "AWS_SECRET_ACCESS_KEY": os.environ["REEF_AWS_SECRET_ACCESS_KEY"],
    "AWS_REGION": "us-west-2",
    "EXTRACTORS_CACHE_DIR": os.environ["REEF_CACHE"],
    "MAX_IMAGE_PIXELS": 10_000 * 10_000,
    "MAX_POINTS_PER_IMAGE": 1000,
    "TRAINING_BATCH_LABEL_COUNT": 5000,
    "BROKER_URL": os.environ["REEF_REDIS_URL"],
    "RESULTS_PREFIX": os.environ["REEF_RESULTS_PREFIX"],
    "S3_ENDPOINT_URL": os.environ["REEF_S3_ENDPOINT_URL"],
    # a job that is nowhere to be found is given up after this, in a test
    "LOST_AFTER_S": 2,
}
# the reference's S3 client has no setting of its own for another server
os.environ["AWS_ENDPOINT_URL"] = SPACER["S3_ENDPOINT_URL"]

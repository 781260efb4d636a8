"""Where the servers are comes from the test that starts the site."""

from __future__ import annotations

import os

DEBUG = False
SECRET_KEY = "a site of the tests"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "reef.urls"
INSTALLED_APPS = ["reef"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["REEF_DATABASE"],
        # the web process and the worker write to one file
        "OPTIONS": {"timeout": 30},
    }
}

SPACER = {
    "BROKER_URL": os.environ["REEF_REDIS_URL"],
    "RESULTS_PREFIX": os.environ["REEF_RESULTS_PREFIX"],
    "S3_ENDPOINT_URL": os.environ["REEF_S3_ENDPOINT_URL"],
    "AWS_ACCESS_KEY_ID": os.environ["REEF_AWS_ACCESS_KEY_ID"],
    "AWS_SECRET_ACCESS_KEY": os.environ["REEF_AWS_SECRET_ACCESS_KEY"],
}

# callbacks are sent by spacer's workers, so to the Redis that those are connected to
CELERY_BROKER_URL = SPACER["BROKER_URL"]
CELERY_TASK_DEFAULT_QUEUE = "site"
CELERY_TASK_IGNORE_RESULT = True

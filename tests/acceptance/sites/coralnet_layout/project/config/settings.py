"""Settings as CoralNet has them, as far as the page for CoralNet changes or names them: read from
`.env` and the environment under other names, and chosen by `SETTINGS_BASE`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import environ


class Prefixed(MutableMapping[str, str]):
    """A variable of the environment for each setting, `CORALNET_` before its name."""

    def __getitem__(self, key: str) -> str:
        return os.environ[f"CORALNET_{key}"]

    def __setitem__(self, key: str, value: str) -> None:
        os.environ[f"CORALNET_{key}"] = value

    def __delitem__(self, key: str) -> None:
        del os.environ[key]

    def __iter__(self) -> Iterator[str]:
        return iter(os.environ)

    def __len__(self) -> int:
        return len(os.environ)


class Env(environ.Env):
    ENVIRON = Prefixed()


REPO_DIR = Path(__file__).resolve().parents[2]
env = Env()
Env.read_env(REPO_DIR / ".env")

SETTINGS_BASE = env("SETTINGS_BASE")
_TESTING = "test" in sys.argv
SITE_DIR = REPO_DIR.parent
LOG_DIR = SITE_DIR / "log"

SECRET_KEY = "a site of the tests"
USE_TZ = True
TIME_ZONE = "America/Los_Angeles"
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": SITE_DIR / "db.sqlite3",
        "ATOMIC_REQUESTS": True,
    }
}

SPACER: dict[str, Any] = {
    "EXTRACTORS_CACHE_DIR": str(SITE_DIR / "spacer_models"),
    "MAX_IMAGE_PIXELS": 8000 * 8000,
    "MAX_POINTS_PER_IMAGE": 1000,
    "TRAINING_BATCH_LABEL_COUNT": 5000,
    # none of them is set on a server of its own
    "AWS_ACCESS_KEY_ID": env("AWS_ACCESS_KEY_ID", default=None),
    "AWS_SECRET_ACCESS_KEY": env("AWS_SECRET_ACCESS_KEY", default=None),
    "AWS_SESSION_TOKEN": env("AWS_SESSION_TOKEN", default=None),
    "AWS_PROFILE_NAME": env("AWS_PROFILE_NAME", default=None),
    "AWS_REGION": "us-west-2",
}

if _TESTING:
    SPACER_QUEUE_CHOICE = "vision_backend.queues.LocalQueue"
elif SETTINGS_BASE in ("production", "staging"):
    SPACER_QUEUE_CHOICE = "aws.queues.BatchQueue"
else:
    SPACER_QUEUE_CHOICE = env("SPACER_QUEUE_CHOICE", default="vision_backend.queues.LocalQueue")

INSTALLED_APPS = [
    "jobs",
    "vision_backend",
    "django.contrib.contenttypes",
    "django_huey",
    "storages",
]

# the site's own, as it takes what stands before Django's for its own
CORALNET_APP_DIRS = []
for app in INSTALLED_APPS:
    if app.startswith("django."):
        break
    CORALNET_APP_DIRS.append(app)

DJANGO_HUEY = {
    "default": "background",
    "queues": {"background": {"name": "background_tasks", "immediate": True}},
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "coralnet": {
            "level": "INFO",
            "class": "logging.handlers.RotatingFileHandler",
            "filename": LOG_DIR / "coralnet.log",
        }
    },
    "loggers": {
        CORALNET_APP_DIR: {"handlers": ["coralnet"], "level": "DEBUG"}
        for CORALNET_APP_DIR in CORALNET_APP_DIRS + ["spacer"]
    },
}

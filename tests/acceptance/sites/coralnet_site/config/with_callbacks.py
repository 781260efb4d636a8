"""The site with callbacks as on the page for CoralNet, and with CoralNet's time zone and media."""

from __future__ import annotations

import os

from config.settings import *  # noqa: F403

# django gives it to its process
TIME_ZONE = "America/Los_Angeles"
ROBOT_MODEL_FILE_PATTERN = "classifiers/{pk}.model"
STORAGES = {"default": {"BACKEND": "config.media.Media", "OPTIONS": {"location": "/nowhere"}}}
MEDIA_BUCKET = os.environ["REEF_BUCKET"]

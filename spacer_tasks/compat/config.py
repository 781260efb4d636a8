"""The reference's settings: of this project's, under their names there.

They are read when they are asked for. `spacer_tasks.config.settings` has the others.
"""

from __future__ import annotations

import os
import time
from contextlib import ContextDecorator
from logging import getLogger
from pathlib import Path
from typing import Any

from spacer_tasks.config.settings import get_settings
from spacer_tasks.config.sources import PREFIX, sources
from spacer_tasks.exceptions import ConfigError

logger = getLogger(__name__)

TASKS = ["extract_features", "train_classifier", "classify_features", "classify_image"]
CLASSIFIER_TYPES = ["LR", "MLP"]
TRAINER_NAMES = ["minibatch"]
STORAGE_TYPES = ["s3", "filesystem", "memory", "url"]
#: this project runs Caffe's nets without Caffe
HAS_CAFFE = True
APP_DIR = Path(__file__).parent

#: settings of this project
_OURS = [
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE_NAME"),
    *("AWS_ANONYMOUS", "AWS_REGION", "EXTRACTORS_CACHE_DIR", "LOG_LEVEL", "MAX_IMAGE_PIXELS"),
    *("MAX_POINTS_PER_IMAGE", "TRAINING_BATCH_LABEL_COUNT"),
]
#: of the reference's tests, and where it logs to; nothing here looks at them
_THEIRS = ["TEST_BUCKET", "CN_TEST_EXTRACTORS_BUCKET", "CN_FIXTURES_BUCKET", "LOG_DESTINATION"]
CONFIGURABLE_VARS = [*_OURS, *_THEIRS]
_NO_DEFAULT = "NO_DEFAULT"


def __getattr__(name: str) -> Any:
    if name in _THEIRS:
        return get_config_value(name, default=None)
    if name not in _OURS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(get_settings(), name.lower())
    if hasattr(value, "get_secret_value"):
        value = value.get_secret_value()
    return str(value) if isinstance(value, Path) else value


def get_config_value(key: str, value_type: type = str, default: Any = _NO_DEFAULT) -> Any:
    """A setting: of the environment (`SPACER_<key>`), of `secrets.json`, or of Django's `SPACER`.

    Raises
    ------
    ConfigError
        It is not set and there is no default, or it is a bool other than "True" and "False".
    """
    value: Any = os.getenv(PREFIX + key)
    if value in ("", None):
        for _, found in sources({key.lower()})[1:]:
            value = found.get(key.lower())
            if value not in ("", None):
                break
    if value in ("", None):
        if default == _NO_DEFAULT:
            raise ConfigError(f"{key} setting is required")
        return default
    if not isinstance(value, str) or value_type is str:
        return value
    if value_type is bool:
        if value not in ("True", "False"):
            raise ConfigError(f"{key} is {value!r}; it may only be True or False")
        return value == "True"
    return value_type(value)


def filter_warnings() -> None:
    """Nothing: no library that is used here raises the warnings that this was for."""


class log_entry_and_exit(ContextDecorator):  # noqa: N801 -- the reference's name
    """Says at DEBUG when a block begins and ends, and how long it took."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.start_time = 0.0

    def __enter__(self) -> None:
        self.start_time = time.time()
        logger.debug("Entering: %s", self.name)

    def __exit__(self, *_: object) -> None:
        logger.debug("Exiting: %s after %f seconds.", self.name, time.time() - self.start_time)


def check() -> None:
    """Print the settings that the reference has; `spacer-tasks config` prints all."""
    for name in CONFIGURABLE_VARS:
        value = globals().get(name, __getattr__(name))
        hidden = value and ("_KEY" in name or "TOKEN" in name)
        print(f"{name}: {'(set, not shown)' if hidden else value}")

"""A results prefix in this process's memory, so that tests need no S3."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.results import results_location
from spacer_tasks.storage.memory import MEMORY

PREFIX = "memory://results"


@contextmanager
def memory_results() -> Iterator[DataLocation]:
    """Answers and large messages go to memory instead of SPACER_RESULTS_PREFIX.

    What is stored in memory meanwhile is forgotten at the end, whoever stored it. Settings are read
    anew, also when Django's `override_settings(SPACER=…)` begins or ends.

    Yields
    ------
    DataLocation
        The prefix.
    """
    with MEMORY.restored(), kept_results() as prefix:
        yield prefix


@contextmanager
def kept_results() -> Iterator[DataLocation]:
    """The same, but what is stored stays until the process ends."""
    with mock.patch.dict(os.environ, {"SPACER_RESULTS_PREFIX": PREFIX}), settings_read_anew():
        yield results_location()


@contextmanager
def settings_read_anew() -> Iterator[None]:
    """What was read from environment and Django before is forgotten, also afterwards."""
    try:
        from django.core.signals import setting_changed
    except ImportError:
        setting_changed = None

    def changed(*, setting: str, **_: Any) -> None:
        if setting == "SPACER":
            get_settings.cache_clear()

    get_settings.cache_clear()
    if setting_changed:
        setting_changed.connect(changed)
    try:
        yield
    finally:
        if setting_changed:
            setting_changed.disconnect(changed)
        get_settings.cache_clear()

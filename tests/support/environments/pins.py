"""What `make pins` tries and CI does not: more Pythons, more versions."""

from __future__ import annotations

import os

import pytest

ALL = bool(os.environ.get("TEST_PINS"))
IN_PINS = pytest.mark.skipif(
    not ALL, reason="takes a minute to install; CI tries others: `make pins` tries all"
)

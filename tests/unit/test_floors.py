"""The rooms of the package: each stands on a floor, and none is too full."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.checkout import CHECKOUT

if sys.version_info >= (3, 11):
    import tomllib
else:
    pytest.skip("tomllib came with Python 3.11", allow_module_level=True)

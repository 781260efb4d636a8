"""What tests of workers that misbehave share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def starts(tmp_path: Path) -> Path:
    """A file for each start of a task."""
    folder = tmp_path / "starts"
    folder.mkdir()
    return folder

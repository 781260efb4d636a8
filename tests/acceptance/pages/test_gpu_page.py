"""The tables of docs/gpu.md are what the simulation prints."""

from __future__ import annotations

import re

import pytest

from benchmarks import busy_device
from tests.support.checkout import CHECKOUT

PAGE = (CHECKOUT / "docs" / "gpu.md").read_text()
COMMANDS = [
    " ".join(found.split())
    for found in re.findall(r"`python -m benchmarks\.busy_device ([^`]+)`", PAGE)
]


def test_the_page_has_its_tables() -> None:
    assert len(COMMANDS) == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_says_what_the_simulation_prints(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    busy_device.main(command.split())
    assert capsys.readouterr().out in PAGE

"""Where the checkout and its fixtures are."""

from __future__ import annotations

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
FIXTURES_FOLDER = CHECKOUT / "tests" / "fixtures"

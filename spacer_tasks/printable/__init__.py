"""Texts of others, fit to print and to log."""

from __future__ import annotations

from spacer_tasks.printable.texts import LISTED, printable, printable_list, shown_url

__all__ = ["LISTED", "printable", "printable_list", "shown_url"]

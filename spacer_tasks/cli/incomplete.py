"""Images that were damaged or cut short: a warning for each, and their number at the end."""

from __future__ import annotations

from spacer_tasks.console import counted, say, warn


class IncompleteImages:
    """Those of one command, by name."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def add(self, name: str, incomplete: str | None) -> None:
        """Warn of an image, once; `incomplete` is what an answer says of it."""
        if incomplete and name not in self.names:
            self.names.append(name)
            warn(f"{name}: the image is incomplete: {incomplete}")

    def tell(self) -> None:
        """Say how many there were, if there were any."""
        if self.names:
            say(
                f"{counted(len(self.names), 'incomplete image')}, read as far as they go"
                " (SPACER_INCOMPLETE_IMAGES=refuse refuses such images)",
                "yellow",
            )

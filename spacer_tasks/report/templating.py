"""Pages from templates: what they share."""

from __future__ import annotations

from typing import Any

import jinja2

from spacer_tasks.version import __version__


def rendered(template: str, context: dict[str, Any]) -> str:
    """A page as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("spacer_tasks.report", "templates"),
        # labels and file names are anybody's text
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    environment.filters["duration"] = duration
    return environment.get_template(template).render({"version": __version__, **context})


def percent(share: float, digits: int = 1) -> str:
    """A share of 1 as a text: 0.5 is "50.0 %", with a space that does not break."""
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def duration(seconds: float) -> str:
    """Seconds as a text: "0.4 s", "48 s", "2 min 05 s"."""
    if seconds < 10:
        return f"{seconds:.1f}\N{NO-BREAK SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest}\N{NO-BREAK SPACE}s"
    return f"{minutes}\N{NO-BREAK SPACE}min {rest:02d}\N{NO-BREAK SPACE}s"

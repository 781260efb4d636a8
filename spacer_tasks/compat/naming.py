"""Class paths as messages write them: the reference's, for what stands in for the reference."""

from __future__ import annotations

_HERE = "spacer_tasks.compat."


def class_path(cls: type) -> str:
    """The path of a class; `spacer.…` where it is one of compat's."""
    path = f"{cls.__module__}.{cls.__name__}"
    return f"spacer.{path.removeprefix(_HERE)}" if path.startswith(_HERE) else path

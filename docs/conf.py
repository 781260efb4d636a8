"""Sphinx: https://www.sphinx-doc.org/en/master/usage/configuration.html"""

from __future__ import annotations

from spacer_tasks import __version__
from spacer_tasks.config.settings import Settings
from spacer_tasks.config.sources import PREFIX

project = "spacer-tasks"
author = "The spacer-tasks contributors"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "spacer-tasks"
myst_enable_extensions = ["substitution", "colon_fence"]
myst_heading_anchors = 3
autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_google_docstring = False


def _settings_table() -> str:
    rows = ["| variable | what it does | default |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.default
        if hasattr(default, "get_secret_value"):
            default = default.get_secret_value()
        shown = "" if default is None else f"`{default}`"
        rows.append(f"| `{PREFIX}{name.upper()}` | {field.description} | {shown} |")
    return "\n".join(rows)


# written from the code, so that the page cannot fall behind it
myst_substitutions = {"settings_table": _settings_table()}

"""Sphinx: https://www.sphinx-doc.org/en/master/usage/configuration.html"""

from __future__ import annotations

import ast
from pathlib import Path

import tomllib

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


CHECKOUT = Path(__file__).parents[1]


def _floors_table() -> str:
    """The floors that import-linter checks, from the ground up, and what each room says it is."""
    settings = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["id"] == "floors")
    rows = ["| floor | room | what it is |", "|---|---|---|"]
    for number, layer in enumerate(reversed(layers), start=1):
        paths = [CHECKOUT / room.replace(".", "/") for room in layer.split(" | ")]
        for path in sorted(paths, key=lambda path: path.name):
            name = path.relative_to(CHECKOUT).as_posix().removeprefix("spacer_tasks/")
            end = "/" if path.is_dir() else ".py"
            rows.append(f"| {number} | `{name}{end}` | {_purpose(path)} |")
    return "\n".join(rows)


def _purpose(path: Path) -> str:
    """The first line of a room's docstring."""
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").splitlines()[0]


# written from the code, so that the pages cannot fall behind it
myst_substitutions = {"settings_table": _settings_table(), "floors_table": _floors_table()}

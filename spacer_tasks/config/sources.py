"""Where settings are written: the environment, `secrets.json`, and Django's `SPACER`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from spacer_tasks.exceptions import ConfigError

PREFIX = "SPACER_"
#: settings of the reference and of CoralNet that mean nothing here; a site that still sets them
#: is not stopped
IGNORED = {
    "TEST_BUCKET",
    "CN_TEST_EXTRACTORS_BUCKET",
    "CN_FIXTURES_BUCKET",
    "LOG_DESTINATION",
    "QUEUE_CHOICE",
    "JOB_HASH",
}
#: an empty string is the same as none, as with the reference
_NOT_SET = ("", None)
#: the variable by which Django finds its settings
_DJANGO = "DJANGO_SETTINGS_MODULE"
#: older names, still taken
OLDER_NAMES = {"LOCAL_MODEL_PATH": "EXTRACTORS_CACHE_DIR"}


def secrets_path() -> Path:
    """Where `secrets.json` is looked for: beside the README of a checkout."""
    return Path(__file__).resolve().parents[2] / "secrets.json"


def sources(known: Collection[str]) -> list[tuple[str, dict[str, Any]]]:
    """Where settings were found, first found first: (what to call the place, its settings).

    Parameters
    ----------
    known
        The settings that there are; of Django's, others are left out.
    """
    of_django = _cleaned(django_setting())
    return [
        ("the environment", _cleaned(_environment())),
        ("secrets.json", _cleaned(_secrets_file())),
        ("Django's SPACER", {name: of_django[name] for name in of_django if name in known}),
    ]


def _cleaned(values: dict[str, Any]) -> dict[str, Any]:
    # a newer name goes before an older one of the same setting
    ordered = sorted(values.items(), key=lambda item: item[0] not in OLDER_NAMES)
    return {
        field_of(name): value
        for name, value in ordered
        if name not in IGNORED and value not in _NOT_SET
    }


def field_of(name: str) -> str:
    """The attribute of `Settings` for a name as it is written."""
    return OLDER_NAMES.get(name, name).lower()


def unused(known: Collection[str]) -> dict[str, str]:
    """What Django's `SPACER` sets and nothing reads, and why."""
    return {
        name: _why_unused(name, known)
        for name, value in django_setting().items()
        if value not in _NOT_SET and field_of(name) not in known
    }


def leave_django() -> None:
    """Do not look for Django's settings from now on, in this process and its children."""
    os.environ.pop(_DJANGO, None)


def _why_unused(name: str, known: Collection[str]) -> str:
    if name in IGNORED:
        return "it is the reference's or CoralNet's, and means nothing here"
    close = get_close_matches(name.upper(), map(str.upper, known), 1, 0.8)
    if close:
        return f"no such setting; {close[0]} is one, so perhaps it is a typing error"
    return "no such setting; perhaps it is one of a newer reference"


def _environment() -> dict[str, Any]:
    return {
        name.removeprefix(PREFIX): value
        for name, value in os.environ.items()
        if name.startswith(PREFIX)
    }


def _secrets_file() -> dict[str, Any]:
    path = secrets_path()
    if not path.is_file():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds a {type(values).__name__}, expected an object")
    return values


def django_setting() -> dict[str, Any]:
    """Django's `SPACER` as it stands, or nothing where there is no Django or no such setting.

    Raises
    ------
    ConfigError
        Django's settings cannot be read, or `SPACER` is no dict.
    """
    if _DJANGO not in os.environ and "django.conf" not in sys.modules:
        return {}
    try:
        from django.conf import settings
        from django.core.exceptions import ImproperlyConfigured
    except ImportError:
        return {}
    try:
        values = getattr(settings, "SPACER", {})
    except (ImproperlyConfigured, ImportError):
        return {}
    except Exception as error:
        module, reason = os.environ.get(_DJANGO), f"{type(error).__name__}: {error}"
        raise ConfigError(f"Django's settings in {module} cannot be read: {reason}") from error
    if not isinstance(values, Mapping):
        raise ConfigError(f"Django's SPACER is a {type(values).__name__}, expected a dict")
    return {str(name): value for name, value in values.items()}

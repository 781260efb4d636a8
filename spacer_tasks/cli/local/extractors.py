"""`spacer-tasks extractors`: the networks that are installed here, and what each takes."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator

from rich.padding import Padding
from rich.text import Text

from spacer_tasks.cli.networks.options import option_of
from spacer_tasks.console import out
from spacer_tasks.exceptions import ConfigError
from spacer_tasks.extractors.loading import class_named
from spacer_tasks.registry import canonical_name, package_of, registered, short_names


def extractors() -> None:
    """List the networks that are installed, with the files and options that each takes."""
    for name, entry in sorted(registered("spacer_tasks.extractors").items()):
        names = ", ".join([*short_names(name), name])
        package = f" ({package_of(entry)})"
        out.print(Text(names, style="bold").append(package, style="not bold"))
        for line in _facts(name):
            out.print(Padding(Text(line), (0, 0, 0, 4)))


def _facts(name: str) -> Iterator[str]:
    if (other := canonical_name(name)) != name:
        yield f"cannot be used: the name stands for {other}"
        return
    try:
        found = class_named(name)
    except ConfigError as error:
        yield f"cannot be used here: {error}"
        return
    yield (inspect.getdoc(found) or "").partition("\n\n")[0].replace("\n", " ")
    # what is not stated is known once its files are loaded
    numbers = vars(found).get("feature_dim")
    dimensions = f", {numbers} numbers each" if isinstance(numbers, int) else ""
    yield f"patches of {found.crop_size} × {found.crop_size}{dimensions}"
    for key, what in found.file_keys.items():
        yield f"{option_of(key)}: {what}"
    for name, field in found.options_type.model_fields.items():
        default = "" if field.is_required() else f" ({json.dumps(field.default)} if not given)"
        yield f"--extractor-option {name}=…: {field.description or 'an option'}{default}"

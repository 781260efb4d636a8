"""The options that say which network: an extractor, its files and its options.

What an extractor takes is asked of its class, which needs nothing that computes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from spacer_tasks.cli.options import location
from spacer_tasks.console import say
from spacer_tasks.exceptions import ConfigError, UnknownExtractorError
from spacer_tasks.extractors.base import Extractor
from spacer_tasks.extractors.efficientnet import imagenet_weights
from spacer_tasks.extractors.loading import check_spec, class_named
from spacer_tasks.messages.parsing import parse
from spacer_tasks.messages.specs import ExtractorSpec

#: the title in the commands' help
NETWORK = "The network"
#: of these, the first that takes the files that are given is used where no extractor is named
DEFAULTS = ("efficientnet", "vgg16")
#: what this machine's own commands use where nothing says which network
WITHOUT_WEIGHTS = "efficientnet-lite0"
#: how other weights are given
BETTER = (
    "CoralNet's own weights are better for reefs: --weights s3://…/efficientnet_b0_ver1.pt"
    " (docs/networks.md)"
)
#: files with an option of their own
WEIGHTS, DEFINITION = "weights", "definition"


@dataclass(frozen=True)
class ExtractorOptions:
    """Which network, and its files."""

    weights: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="The network's weights: a path, s3://… or https://…. On this machine, without"
            " them: efficientnet-lite0, trained on ImageNet, of the extra imagenet.",
            rich_help_panel=NETWORK,
        ),
    ] = None
    definition: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="The network's definition (.prototxt), where its weights are a .caffemodel.",
            rich_help_panel=NETWORK,
        ),
    ] = None
    extractor_file: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=FILE",
            help="Another file of the extractor, by the key it has there; may be repeated.",
            rich_help_panel=NETWORK,
        ),
    ] = None
    sha256: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HEX",
            help="The SHA-256 that the weights must have; KEY=HEX for another file. May be"
            " repeated.",
            rich_help_panel=NETWORK,
        ),
    ] = None
    extractor: Annotated[
        str | None,
        typer.Option(
            help="A name that `spacer-tasks extractors` lists. If not given: vgg16 with a"
            " definition, efficientnet without.",
            rich_help_panel=NETWORK,
        ),
    ] = None
    extractor_option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="An option of the extractor; may be repeated.",
            rich_help_panel=NETWORK,
        ),
    ] = None

    def spec(self) -> ExtractorSpec:
        """The extractor as a message names it.

        Raises
        ------
        typer.BadParameter
            A file is missing or given twice.
        MessageError
            The extractor does not take such a file or option; the text names it.
        """
        files = self._files()
        hashes = self._hashes()
        for key in hashes:
            if key not in files:
                raise typer.BadParameter(
                    f"there is no {option_of(key)} to check", param_hint="--sha256"
                )
        name = self.extractor or _default(files)
        extractor_class = _class_of(name)
        if extractor_class is not None:
            for key, what in extractor_class.file_keys.items():
                if key not in files:
                    raise typer.BadParameter(
                        f"{name} needs its file {key}: {what}", param_hint=option_of(key)
                    )
        options = dict(_pairs(self.extractor_option, "--extractor-option", "NAME=VALUE"))
        data: dict[str, Any] = {key: _as_json(text) for key, text in options.items()}
        data["class_path"] = name
        if files:
            data["data_locations"] = {key: location(text) for key, text in files.items()}
        if hashes:
            data["data_hashes"] = hashes
        spec = parse(ExtractorSpec, data)
        if extractor_class is not None:
            check_spec(spec, extractor_class)
        return spec

    def spec_here(self) -> ExtractorSpec:
        """As `spec`; where no option says which network, the one that needs no file.

        For commands that extract on this machine: it says which network it is.

        Raises
        ------
        typer.BadParameter
            Nothing says which, and the extra `imagenet` is not installed. Else as `spec`.
        """
        if self != ExtractorOptions():
            return self.spec()
        if not imagenet_weights.is_installed():
            raise typer.BadParameter(
                f"no network is given, and {WITHOUT_WEIGHTS}, which needs no weights, is not"
                f" installed here: give --weights FILE, or {imagenet_weights.INSTALL}",
                param_hint="--weights",
            )
        say(f"network: {WITHOUT_WEIGHTS}, trained on ImageNet, as no --weights are given. {BETTER}")
        return parse(ExtractorSpec, {"class_path": WITHOUT_WEIGHTS})

    def _files(self) -> dict[str, str]:
        """What is given of each file, by its key."""
        own = {WEIGHTS: self.weights, DEFINITION: self.definition}
        found = {key: text for key, text in own.items() if text}
        for key, text in _pairs(self.extractor_file, "--extractor-file", "KEY=FILE"):
            if key in found:
                raise typer.BadParameter(f"{key} is given twice", param_hint="--extractor-file")
            if text:
                found[key] = text
        return found

    def _hashes(self) -> dict[str, str]:
        given = [text if "=" in text else f"{WEIGHTS}={text}" for text in self.sha256 or []]
        return dict(_pairs(given, "--sha256", "KEY=HEX"))


def _default(files: Iterable[str]) -> str:
    """The extractor to which these files belong, or which needs more beside them."""
    keys = set(files)
    taken = {name: set(class_named(name).file_keys) for name in DEFAULTS}
    whole = [name for name in DEFAULTS if taken[name] == keys]
    part = [name for name in DEFAULTS if taken[name] > keys]
    return next(iter(whole + part), DEFAULTS[0])


def _class_of(name: str) -> type[Extractor] | None:
    """The extractor's class, where it is installed here; a worker may have what this machine has
    not, and says itself what is wrong with a message.
    """
    try:
        return class_named(name)
    except (UnknownExtractorError, ConfigError):
        return None


def option_of(key: str) -> str:
    """The option that gives this file of an extractor."""
    return f"--{key}" if key in (WEIGHTS, DEFINITION) else f"--extractor-file {key}=…"


def _pairs(texts: Iterable[str] | None, option: str, form: str) -> list[tuple[str, str]]:
    pairs = []
    for text in texts or []:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise typer.BadParameter(f"{text!r} is not {form}", param_hint=option)
        pairs.append((name, value))
    return pairs


def _as_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text

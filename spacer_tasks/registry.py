"""Extractors and trainers by name: what a message may name, and nothing else.

A name is registered by an installed package's entry point (this package's own included), so a
message can never make a worker import a path of its choosing. The reference's class paths are
aliases of ours.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from spacer_tasks.exceptions import (
    ConfigError,
    MessageError,
    UnknownExtractorError,
    UnknownTrainerError,
)

Group = Literal["spacer_tasks.extractors", "spacer_tasks.trainers"]

ALIASES = {
    "efficientnet": "spacer_tasks.extractors.EfficientNetExtractor",
    "spacer.extractors.EfficientNetExtractor": "spacer_tasks.extractors.EfficientNetExtractor",
    "spacer.extractors.efficientnet.EfficientNetExtractor": (
        "spacer_tasks.extractors.EfficientNetExtractor"
    ),
    # before pyspacer 0.11
    "spacer.extract_features.EfficientNetExtractor": (
        "spacer_tasks.extractors.EfficientNetExtractor"
    ),
    "efficientnet-lite0": "spacer_tasks.extractors.EfficientNetLite0Extractor",
    "onnx": "spacer_tasks.extractors.OnnxExtractor",
    "spacer.extract_features.DummyExtractor": "spacer_tasks.extractors.DummyExtractor",
    "dummy": "spacer_tasks.extractors.DummyExtractor",
    "spacer.extractors.DummyExtractor": "spacer_tasks.extractors.DummyExtractor",
    "spacer.extractors.base.DummyExtractor": "spacer_tasks.extractors.DummyExtractor",
    "vgg16": "spacer_tasks.extractors.VGG16CaffeExtractor",
    "spacer.extractors.VGG16CaffeExtractor": "spacer_tasks.extractors.VGG16CaffeExtractor",
    "spacer.extractors.vgg16.VGG16CaffeExtractor": "spacer_tasks.extractors.VGG16CaffeExtractor",
    # before pyspacer 0.11
    "spacer.extract_features.VGG16CaffeExtractor": "spacer_tasks.extractors.VGG16CaffeExtractor",
    "minibatch": "spacer_tasks.training.MiniBatchTrainer",
    "spacer.train_classifier.MiniBatchTrainer": "spacer_tasks.training.MiniBatchTrainer",
}
_UNKNOWN: dict[Group, type[MessageError]] = {
    "spacer_tasks.extractors": UnknownExtractorError,
    "spacer_tasks.trainers": UnknownTrainerError,
}


def canonical_name(class_path: str) -> str:
    """The registered name that a class path stands for; itself where it is no alias."""
    return ALIASES.get(class_path, class_path)


def registered_class(group: Group, class_path: str) -> Any:
    """The class registered under a name or an alias of it.

    Raises
    ------
    UnknownExtractorError, UnknownTrainerError
        Nothing is registered under the name; the text lists what is.
    ConfigError
        Two packages register the name, or what it stands for cannot be imported.
    """
    known = _registered(group)
    try:
        entry, *others = known[canonical_name(class_path)]
    except KeyError:
        kind = group.rpartition(".")[2].removesuffix("s")
        raise _UNKNOWN[group](
            f"no {kind} {class_path!r} is registered on this worker; registered are:"
            f" {', '.join(sorted(known))}"
        ) from None
    if others:
        packages = " and ".join(package_of(each) for each in (entry, *others))
        raise ConfigError(
            f"the name {entry.name!r} is registered in {group} by {packages}; uninstall all but one"
        )
    try:
        return entry.load()
    # another package's code: it may raise anything
    except Exception as error:
        raise ConfigError(
            f"{entry.name} = {entry.value} of {package_of(entry)} cannot be imported:"
            f" {type(error).__name__}: {error}"
        ) from error


def package_of(entry: EntryPoint) -> str:
    """The package that registers it, with its version."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown package"


def registered(group: Group) -> dict[str, EntryPoint]:
    """What is registered, by name; an entry says which package brings it."""
    return {name: entries[0] for name, entries in _registered(group).items()}


def short_names(name: str) -> list[str]:
    """The aliases of a registered name that are no class path."""
    return [alias for alias, known in ALIASES.items() if known == name and "." not in alias]


@lru_cache(maxsize=2)
def _registered(group: Group) -> dict[str, list[EntryPoint]]:
    """By name; several where packages that differ register the same."""
    found: dict[str, dict[tuple[str, str], EntryPoint]] = {}
    for entry in entry_points(group=group):
        # a package may be found twice, as by its checkout and by what is installed
        package = entry.dist.name if entry.dist else ""
        found.setdefault(entry.name, {}).setdefault((package, entry.value), entry)
    return {name: list(entries.values()) for name, entries in found.items()}

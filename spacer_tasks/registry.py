"""Extractors and trainers by name: what a message may name, and nothing else.

A name is registered by an installed package's entry point (this package's own included), so a
message can never make a worker import a path of its choosing. The reference's class paths are
aliases of ours.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from spacer_tasks.exceptions import MessageError, UnknownExtractorError, UnknownTrainerError

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
    """
    known = _registered(group)
    try:
        entry = known[canonical_name(class_path)]
    except KeyError:
        kind = group.rpartition(".")[2].removesuffix("s")
        raise _UNKNOWN[group](
            f"no {kind} {class_path!r} is registered on this worker; registered are:"
            f" {', '.join(sorted(known))}"
        ) from None
    return entry.load()


def registered(group: Group) -> dict[str, EntryPoint]:
    """What is registered, by name; an entry says which package brings it."""
    return dict(_registered(group))


def short_names(name: str) -> list[str]:
    """The aliases of a registered name that are no class path."""
    return [alias for alias, known in ALIASES.items() if known == name and "." not in alias]


@lru_cache(maxsize=2)
def _registered(group: Group) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=group)}

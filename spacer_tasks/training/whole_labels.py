"""A split that keeps every label that has a point for each set, by whole photos where it can."""

from __future__ import annotations

import random
from collections import Counter

from spacer_tasks.data_classes.labels import Annotation, ImageLabels, LabelId
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.messages.tasks import TrainingTaskLabels

#: as the other splits'
SEED = 0
#: the sets, those that are filled first in front
SETS = ("val", "ref", "train")
#: a set takes a photo for a rare label until it is so much larger than wanted; then single points
LARGER = 1.5

Sets = dict[str, dict[DataLocation, list[Annotation]]]


def by_whole_labels(
    labels: ImageLabels, train_goal: int, ref_goal: int, val_goal: int
) -> TrainingTaskLabels:
    """Each photo to one set, the photos of rare labels first, so that labels are in each set.

    Where a label is on too few photos, or its photos would make a set too large, a set lacks it,
    and where there are too few photos a set is empty: `with_every_label` mends the first. The same
    labels in the same order are divided alike.
    """
    goals = {"val": val_goal, "ref": ref_goal, "train": train_goal}
    images = {key: labels[key] for key in labels.keys() if labels[key]}  # noqa: SIM118 -- no dict
    keys = list(images)
    random.Random(SEED).shuffle(keys)
    on = {key: {label for _, _, label in images[key]} for key in keys}
    photos_of: dict[LabelId, list[DataLocation]] = {}
    for key in keys:
        for label in on[key]:
            photos_of.setdefault(label, []).append(key)
    sets: Sets = {name: {} for name in SETS}
    sizes: Counter[str] = Counter()
    has: dict[str, set[LabelId]] = {name: set() for name in SETS}
    free = dict.fromkeys(keys)

    def give(name: str, key: DataLocation) -> None:
        sets[name][key] = list(images[key])
        sizes[name] += len(images[key])
        has[name] |= on[key]
        del free[key]

    def room(name: str, key: DataLocation) -> bool:
        after = sizes[name] + len(images[key])
        return after <= LARGER * goals[name]

    for label in sorted(photos_of, key=lambda each: (len(photos_of[each]), str(each))):
        for name in SETS:
            if label in has[name]:
                continue
            some = [key for key in photos_of[label] if key in free and room(name, key)]
            if some:
                # the photo that brings most of what the set lacks
                give(name, max(some, key=lambda key: len(on[key] - has[name])))
    for key in list(free):
        # the set that is farthest from its goal
        some_sets = [name for name in SETS if room(name, key)] or ["train"]
        give(
            max(some_sets, key=lambda name: (goals[name] - sizes[name]) / max(1, goals[name])), key
        )
    return _of(sets)


def with_every_label(sets: TrainingTaskLabels) -> TrainingTaskLabels:
    """The sets, where each label with three points or more has one in each.

    A set that lacks a label gets a point of it from the set that has most.
    """
    divided: Sets = {
        name: {key: list(some[key]) for key in some.keys()}  # noqa: SIM118 -- no dict
        for name, some in sets.sets().items()
    }
    counts = {
        name: Counter(label for some in images.values() for _, _, label in some)
        for name, images in divided.items()
    }
    total = sum(counts.values(), Counter[LabelId]())
    for label in sorted((each for each in total if total[each] >= len(SETS)), key=str):
        for name in SETS:
            if counts[name][label]:
                continue
            donor = max(SETS, key=lambda other: (counts[other][label], other == "train"))
            key, annotation = next(
                (key, each)
                for key, some in reversed(divided[donor].items())
                for each in some
                if each[2] == label
            )
            divided[donor][key].remove(annotation)
            if not divided[donor][key]:
                del divided[donor][key]
            divided[name].setdefault(key, []).append(annotation)
            counts[donor][label] -= 1
            counts[name][label] += 1
    return _of(divided)


def photos_in_several_sets(sets: TrainingTaskLabels) -> int:
    """How many photos have points in more than one set."""
    places = Counter(key for some in sets.sets().values() for key in some.keys())  # noqa: SIM118 -- no dict
    return sum(count > 1 for count in places.values())


def _of(sets: Sets) -> TrainingTaskLabels:
    return TrainingTaskLabels(
        **{name: ImageLabels.model_construct(sets[name]) for name in ("train", "ref", "val")}
    )

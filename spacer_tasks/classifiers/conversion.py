"""Classifier files from one format to the other, many at once, each checked.

A conversion is checked before it is stored: on random vectors the file that is written must give
the probabilities of the one that was read.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np

from spacer_tasks import storage
from spacer_tasks.classifiers.codec import decoded, encoded, format_of
from spacer_tasks.classifiers.conversion_plan import Planned
from spacer_tasks.classifiers.model import Classifier, FloatArray
from spacer_tasks.classifiers.other_files import found_instead, other_kind
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import (
    ClassifierFileError,
    InputError,
    ObjectNotFoundError,
    StorageError,
    TransientError,
)
from spacer_tasks.messages.tasks import ClassifierFormat, ClassifierType

logger = logging.getLogger(__name__)

#: what a conversion may change a probability by
TOLERANCE = 1e-6
#: random vectors that a conversion is checked on
PROBES = 128
#: files in a row that the storage failed for; one can be a bad sector, these are an outage
OUTAGE = 3

Outcome = Literal["converted", "would convert", "already there", "skipped", "failed"]


@dataclass(frozen=True)
class Conversion:
    """What became of one file, and what it held.

    Attributes
    ----------
    outcome
        "already there" is a target with an equal classifier in the wanted format; "skipped" a
        source that is something else, as its content says. What might be a classifier and is not
        taken has failed.
    format
        Of the source.
    difference
        The largest between a probability from the source and the same from the target.
    reason
        Why it was skipped or failed.
    """

    name: str
    source: DataLocation
    target: DataLocation
    outcome: Outcome
    format: ClassifierFormat | None = None
    clf_type: ClassifierType | None = None
    class_count: int | None = None
    feature_dim: int | None = None
    difference: float | None = None
    seconds: float = 0.0
    reason: str = ""


def convert(
    planned: Planned, to: ClassifierFormat, *, overwrite: bool = False, dry_run: bool = False
) -> Conversion:
    """Convert one file, unless its conversion is there already.

    Nothing is stored that gives other probabilities than the source, nor replaced unless
    `overwrite`; a source never.

    Raises
    ------
    TransientError
        The storage did not answer. Anything else that is wrong is in what is returned.
    """
    started = time.monotonic()
    row = Conversion(planned.name, planned.source, planned.target, "failed")
    try:
        row, classifier = _read(row, planned)
        if classifier is not None:
            row = _written(row, classifier, planned, to, overwrite=overwrite, dry_run=dry_run)
    except InputError as error:
        row = replace(row, outcome="failed", reason=str(error))
    except TransientError:
        raise
    except Exception as error:
        # the boundary: one file never stops the others
        logger.exception("%s", planned.source)
        row = replace(row, outcome="failed", reason=f"{type(error).__name__}: {error}")
    return replace(row, seconds=time.monotonic() - started)


def convert_all(
    plan: Iterable[Planned],
    to: ClassifierFormat,
    *,
    overwrite: bool = False,
    dry_run: bool = False,
    threads: int = 4,
) -> Generator[Conversion, None, None]:
    """Convert files, several at once; each as it is done, in no order.

    When the caller stops, the files in hand are finished and no other is begun.

    Raises
    ------
    TransientError
        The storage failed for several files in a row.
    """
    outages = 0
    pool = ThreadPoolExecutor(threads, thread_name_prefix="convert")
    try:
        futures: dict[Future[Conversion], Planned] = {
            pool.submit(convert, each, to, overwrite=overwrite, dry_run=dry_run): each
            for each in plan
        }
        for future in as_completed(futures):
            try:
                row = future.result()
                outages = 0
            except TransientError as error:
                outages += 1
                if outages == OUTAGE:
                    raise
                each = futures[future]
                row = Conversion(each.name, each.source, each.target, "failed", reason=str(error))
            yield row
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def difference(one: Classifier, other: Classifier) -> float | None:
    """The largest difference of a probability on random vectors; None where they can't be compared.

    They can where both take vectors of the same dimension and know the same labels, in any order.
    """
    keys = [[(type(label), label) for label in each.classes] for each in (one, other)]
    if one.feature_dim != other.feature_dim or set(keys[0]) != set(keys[1]):
        return None
    vectors = _probes(one.feature_dim)
    order = [keys[1].index(key) for key in keys[0]]
    return float(np.abs(one.predict_proba(vectors) - other.predict_proba(vectors)[:, order]).max())


def _read(row: Conversion, planned: Planned) -> tuple[Conversion, Classifier | None]:
    """The classifier, if the source is one, and a row that tells what it is."""
    data = storage.load(planned.source)
    if not data:
        raise ClassifierFileError(f"{planned.source}: an empty file, expected a classifier")
    found = format_of(data)
    if found is None:
        kind = None if planned.named else other_kind(data, planned.source.filename)
        if kind is None:
            raise ClassifierFileError(
                f"{planned.source}: {found_instead(data)}, expected a classifier file of"
                " spacer-tasks (safetensors) or a pickle of pyspacer (a CalibratedClassifierCV)"
            )
        return replace(row, outcome="skipped", reason=f"not a classifier: {kind}"), None
    row = replace(row, format=found)
    classifier = decoded(data, str(planned.source))
    row = replace(
        row,
        clf_type=classifier.clf_type,
        class_count=len(classifier.classes),
        feature_dim=classifier.feature_dim,
    )
    return row, classifier


def _written(
    row: Conversion,
    classifier: Classifier,
    planned: Planned,
    to: ClassifierFormat,
    *,
    overwrite: bool,
    dry_run: bool,
) -> Conversion:
    rivals = [loc for loc in planned.rivals if format_of(storage.load(loc))]
    if rivals:
        raise StorageError(
            f"{planned.source}: {planned.target} would be the conversion of {rivals[0]} too"
        )
    there = _there(planned.target, classifier, to)
    if isinstance(there, float):
        return replace(row, outcome="already there", difference=there)
    if planned.onto_itself:
        raise StorageError(f"{planned.source}: would be replaced by its own conversion")
    if there and planned.target_is_a_source:
        raise StorageError(f"{planned.target}: {there}, and is itself to be converted")
    if there and not overwrite:
        raise StorageError(f"{planned.target}: {there}; it is replaced with --overwrite only")
    made = encoded(classifier, to, str(planned.target))
    apart = difference(classifier, decoded(made, str(planned.target)))
    # also where it is no number
    if apart is None or not apart <= TOLERANCE:
        raise ClassifierFileError(
            f"{planned.source}: not converted: its probabilities would change by {apart}, more"
            f" than {TOLERANCE}"
        )
    if dry_run:
        return replace(row, outcome="would convert", difference=apart)
    storage.store(planned.target, made)
    if storage.load(planned.target) != made:
        storage.delete(planned.target)
        raise StorageError(
            f"{planned.target}: read back, it is not what was written; removed again"
        )
    return replace(row, outcome="converted", difference=apart)


def _there(target: DataLocation, classifier: Classifier, to: ClassifierFormat) -> float | str:
    """How far what is at the target is from the classifier, or how else it is not its conversion.

    An empty text where there is nothing.
    """
    try:
        data = storage.load(target)
    except ObjectNotFoundError:
        return ""
    if format_of(data) != to:
        return f"there is something other than a classifier of format {to}"
    try:
        apart = difference(classifier, decoded(data, str(target)))
    except ClassifierFileError:
        return "there is a damaged classifier"
    same = apart is not None and apart <= TOLERANCE
    return apart if apart is not None and same else "there is another classifier"


@lru_cache(maxsize=4)
def _probes(dimensions: int) -> FloatArray:
    """Vectors of any sign and none negative, from short to long; (PROBES, dimensions)."""
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(PROBES, dimensions))
    # features of a network are often not negative
    vectors[::2] = np.abs(vectors[::2])
    # long ones alone would leave every probability at 0 or 1
    return np.asarray(vectors * np.logspace(-2, 1, PROBES)[:, None])

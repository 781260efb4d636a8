"""Labelled feature vectors of several sets, in one matrix; each feature file is read once.

The matrix is in memory, or, where it is larger than SPACER_TRAINING_MATRIX_MAX_BYTES, in a file of
the temporary folder (TMPDIR). That file has no name: it is gone with the process, however it ends.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import BoundedSemaphore
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacer_tasks import storage
from spacer_tasks.classifiers.network import network_parts, shown_network
from spacer_tasks.concurrency.cores import cores
from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.features import ImageFeatures
from spacer_tasks.data_classes.labels import ImageLabels, LabelId
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import (
    FeatureDimensionError,
    FeatureFileError,
    StorageUnavailableError,
)

logger = logging.getLogger(__name__)

#: threads that read feature files; a request to S3 waits tens of milliseconds, so more threads
#: than cores, and fewer than S3 connections (SPACER_S3_MAX_CONNECTIONS)
THREADS = 16
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class LabelledVectors:
    """The vectors of one set, image after image.

    Attributes
    ----------
    vectors
        float32, shape (points, dimensions).
    targets
        Shape (points,): the label of each, as an index into the list of classes.
    starts
        Shape (images + 1,): the rows of image i are `starts[i]` up to `starts[i + 1]`.
    networks
        What the feature files of all sets name as their extractors, None for those that name none.
    """

    vectors: NDArray[np.float32]
    targets: NDArray[np.intp]
    starts: NDArray[np.intp]
    networks: list[dict[str, Any] | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.targets)

    def rows_of(self, images: Sequence[int]) -> NDArray[np.intp]:
        """The rows of these images, in that order."""
        spans = [np.arange(self.starts[image], self.starts[image + 1]) for image in images]
        return np.concatenate(spans)


def load_sets(
    sets: Mapping[str, ImageLabels],
    classes: Sequence[LabelId],
    on_image: Callable[[int, int], None] | None = None,
) -> dict[str, LabelledVectors]:
    """The vectors of all labelled points; a file that several sets use is read once.

    Parameters
    ----------
    sets
        Labels by the name of their set; at least one label in all. The file of an image without
        labels is read too, as the reference reads it; its dimensions do not matter.
    classes
        All labels that occur; targets are indices into it.
    on_image
        Called with (files read, files in all) after each.

    Raises
    ------
    FeatureDimensionError
        The files do not all have the same number of dimensions; the text names one that differs.
    RowColumnMismatchError, RowColumnMissingError, FeatureFileError
        A file has no vector for a labelled point, is of the old format without rows and columns,
        is damaged, or is of another network than the others; the text names it.
    StorageError, StorageUnavailableError
        A file cannot be read (see `storage.load`), or the temporary folder has no room.
    """
    index = {label: i for i, label in enumerate(classes)}
    files = list({loc: None for labels in sets.values() for loc in labels.keys()})  # noqa: SIM118 -- no dict
    starts = {
        name: np.cumsum([0, *(len(labels[loc]) for loc in labels.keys())])  # noqa: SIM118 -- no dict
        for name, labels in sets.items()
    }
    first_row = {
        name: dict(zip(labels.keys(), starts[name][:-1].tolist(), strict=True))
        for name, labels in sets.items()
    }

    labelled = {loc for labels in sets.values() for loc in labels.keys() if labels[loc]}  # noqa: SIM118 -- no dict
    # its dimensions are those of the matrix
    files.sort(key=lambda loc: loc not in labelled)
    first = ImageFeatures.from_bytes(storage.load(files[0]), str(files[0]))
    matrices = _matrices(
        {name: labels.label_count for name, labels in sets.items()}, first.dimensions
    )
    # the extractors that the files name
    named: dict[DataLocation, str] = {}

    def fill(loc: DataLocation, features: ImageFeatures) -> None:
        if loc in labelled and features.dimensions != first.dimensions:
            raise FeatureDimensionError(
                f"{loc}: {features.dimensions} dimensions, expected {first.dimensions} as in"
                f" {files[0]}"
            )
        if "extractor" in features.origin:
            named[loc] = json.dumps(features.origin["extractor"], sort_keys=True)
        for name, labels in sets.items():
            if loc in first_row[name]:
                points = [(row, col) for row, col, _ in labels[loc]]
                rows = features.indices_of(points, str(loc))
                start = first_row[name][loc]
                vectors = features.vectors[rows]
                if vectors.dtype != np.float32 and np.abs(vectors).max(initial=0) > LARGEST:
                    raise FeatureFileError(
                        f"{loc}: holds numbers beyond {LARGEST:.2g}, the largest of float32, in"
                        " which features are trained on; extract it again"
                    )
                if len(rows):  # where there are none, dimensions may differ
                    matrices[name][start : start + len(rows)] = vectors

    # those that inflate what they have read: more take the interpreter and the cache from each
    # other, and a third longer
    inflating = BoundedSemaphore(cores() + 1)

    def read_and_fill(loc: DataLocation) -> None:
        data = storage.load(loc)
        with inflating:
            fill(loc, ImageFeatures.from_bytes(data, str(loc)))

    fill(files[0], first)
    if on_image:
        on_image(1, len(files))
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="features")
    try:
        for done, _ in enumerate(pool.map(read_and_fill, files[1:]), start=2):
            if on_image:
                on_image(done, len(files))
    finally:
        # after an error the files not yet begun need not be read
        pool.shutdown(cancel_futures=True)
    # the first file of each, in their order
    extractors: dict[str, DataLocation] = {}
    for loc in files:
        if loc in named:
            extractors.setdefault(named[loc], loc)
    networks: list[dict[str, Any] | None] = [json.loads(each) for each in extractors]
    _refuse_several(list(zip(networks, extractors.values(), strict=True)))
    if len(extractors) > 1:
        logger.warning(
            "this training mixes features of %d precisions, which it should not: %s",
            len(extractors),
            "; ".join(f"{loc}: {extractor}" for extractor, loc in extractors.items()),
        )
    if any(loc not in named for loc in labelled):
        networks.append(None)
    return {
        name: LabelledVectors(
            matrices[name],
            np.array([index[label] for _, _, label in labels.annotations()], dtype=np.intp),
            starts[name],
            networks,
        )
        for name, labels in sets.items()
    }


def _refuse_several(networks: Sequence[tuple[dict[str, Any] | None, DataLocation]]) -> None:
    """Raise `FeatureFileError` where features are of several networks, not only of precisions."""
    by_parts: dict[str, str] = {}
    for network, loc in networks:
        if network:
            key = json.dumps(network_parts(network), sort_keys=True)
            by_parts.setdefault(key, f"{shown_network(network)}, as {loc}")
    if len(by_parts) > 1:
        raise FeatureFileError(
            f"the features of this training are of {len(by_parts)} networks, and numbers of"
            f" different networks cannot be learned together: {'; '.join(by_parts.values())}."
            " Extract all of them with one"
        )


def _matrices(counts: Mapping[str, int], dimensions: int) -> dict[str, NDArray[np.float32]]:
    """Room for so many vectors of each set, one set after the other in one matrix."""
    shape = (sum(counts.values()), dimensions)
    size = shape[0] * dimensions * np.dtype(np.float32).itemsize
    matrix: NDArray[np.float32]
    if size <= get_settings().training_matrix_max_bytes:
        matrix = np.empty(shape, dtype=np.float32)
    else:
        try:
            with tempfile.TemporaryFile(prefix="spacer-training-") as file:
                # all of it now: a disk that fills up later would end the process, not the training
                if hasattr(os, "posix_fallocate"):  # macOS has none
                    os.posix_fallocate(file.fileno(), 0, size)
                matrix = np.asarray(np.memmap(file, dtype=np.float32, mode="r+", shape=shape))
        except OSError as error:
            raise StorageUnavailableError(
                f"no room for {size} bytes of feature vectors in {tempfile.gettempdir()}:"
                f" {error.strerror}; set TMPDIR, or SPACER_TRAINING_MATRIX_MAX_BYTES to hold them"
                " in memory"
            ) from error
    ends = np.cumsum(list(counts.values())).tolist()
    return {
        name: matrix[end - count : end]
        for (name, count), end in zip(counts.items(), ends, strict=True)
    }

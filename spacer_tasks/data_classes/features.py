"""Feature vectors of one image, and their file format.

The file is the reference's `.npz` (source: `ImageFeatures.store` of pyspacer 0.14):

- `meta`: `[has rows and columns, number of points, dimensions]`
- `rows`, `cols`: integers, one a point
- `feat`: points × dimensions

and one more entry that the reference does not look at: `origin`, a JSON text that says which
image, points and extractor the vectors came from, and what of the image was missing. An older form
is also read: a JSON list of vectors, without rows and columns.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacer_tasks.data_classes.labels import Point
from spacer_tasks.data_classes.npz_arrays import MAX_ARRAY_BYTES, DamagedEntryError, NpzArrays
from spacer_tasks.exceptions import (
    FeatureFileError,
    RowColumnMismatchError,
    RowColumnMissingError,
)

#: bytes of an old file of JSON, which takes several times as much when it is read: 3 times the same
MAX_JSON_BYTES = 2**28
#: numbers of such a file, each of which takes 40 bytes: twice a thousand points of 4096
MAX_JSON_NUMBERS = 2**23
#: points of a file, of which lists are made: 100 times what the reference takes
MAX_POINTS = 100_000

#: bytes of what a file says of its image; ours have 4 for each of some hundred letters
MAX_ORIGIN_BYTES = 2**18
#: bytes of an entry of few numbers, and of a row or column
SMALL_ARRAY, MAX_INDEX_BYTES = 4096, 16
#: characters of another library's words that an error shows
SHOWN = 200
#: kinds of numpy's types that are real numbers; numpy also makes numbers of dates
REAL = "fiub"
#: characters of what a file says of its image
MAX_NOTE = 400
#: the entry of `origin` that says what of the image was missing; whole ones have none
INCOMPLETE = "incomplete"


def begins_as_features(data: bytes) -> bool:
    """Whether a file may be one of features, whole or damaged: an archive of arrays, or the older
    JSON list. Weights and classifiers begin otherwise.
    """
    if data[:4] == b"PK\x03\x04":
        # after the 30 bytes of an entry's header, its name
        return data[30 : 30 + int.from_bytes(data[26:28], "little")].endswith(b".npy")
    return data.lstrip()[:1] in (b"", b"[", b"{")


@dataclass(frozen=True)
class ImageFeatures:
    """Feature vectors of one image.

    Attributes
    ----------
    vectors
        float32, shape (points, dimensions); float64 where a file holds a number that is too large
        for float32.
    rows, cols
        int64, shape (points,); None in old files, which did not keep them.
    origin
        What the vectors were computed from, or empty where the file does not say.
    """

    vectors: NDArray[np.float32] | NDArray[np.float64]
    rows: NDArray[np.int64] | None
    cols: NDArray[np.int64] | None
    origin: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of_points(
        cls,
        rowcols: Sequence[Point],
        vectors: NDArray[np.float32] | NDArray[np.float64],
        origin: dict[str, Any] | None = None,
    ) -> ImageFeatures:
        """Vectors computed at `rowcols`, in that order."""
        points = np.asarray(rowcols, dtype=np.int64).reshape(-1, 2)
        return cls(vectors, points[:, 0], points[:, 1], origin or {})

    @property
    def has_rowcols(self) -> bool:
        """Whether it is known which point each vector belongs to."""
        return self.rows is not None

    @property
    def dimensions(self) -> int:
        """Numbers per vector."""
        return int(self.vectors.shape[1])

    @property
    def incomplete(self) -> str | None:
        """What was missing of the image, where it was incomplete and the file says so.

        A line that can be printed, whoever wrote the file.
        """
        said = self.origin.get(INCOMPLETE)
        if not isinstance(said, str):
            return None
        line = " ".join(said.split())[:MAX_NOTE]
        return "".join(letter for letter in line if letter.isprintable()) or None

    def __len__(self) -> int:
        return len(self.vectors)

    def rowcols(self) -> list[Point]:
        """The points as (row, column), in the order of the vectors.

        Raises
        ------
        RowColumnMissingError
            The file is an old one without rows and columns.
        """
        if self.rows is None or self.cols is None:
            raise RowColumnMissingError(
                "these features are of the old format without rows and columns, where points"
                " cannot be looked up; extract the image again"
            )
        return list(zip(self.rows.tolist(), self.cols.tolist(), strict=True))

    def indices_of(self, rowcols: Sequence[Point], name: str) -> NDArray[np.intp]:
        """Where the vectors of these points are.

        Raises
        ------
        RowColumnMissingError
            The file is an old one without rows and columns.
        RowColumnMismatchError
            A point is not in the file; `name` says which file in the text.
        """
        try:
            index = {point: i for i, point in enumerate(self.rowcols())}
        except RowColumnMissingError as error:
            raise RowColumnMissingError(f"{name}: {error}") from None
        try:
            found = [index[row, col] for row, col in rowcols]
        except KeyError as error:
            missing = sum((row, col) not in index for row, col in rowcols)
            raise RowColumnMismatchError(
                f"{name}: the feature file has no vector for {missing} of {len(rowcols)} points,"
                f" for example (row, column) = {error.args[0]}; it holds {len(index)} points"
            ) from None
        return np.asarray(found, dtype=np.intp)

    def to_bytes(self) -> bytes:
        """The file, uncompressed: float32 vectors of a network hardly compress."""
        rows, cols = self.rows, self.cols
        if rows is None or cols is None:
            rows = cols = np.empty(0, dtype=np.int64)
        meta = np.array([self.has_rowcols, len(self), self.dimensions])
        stream = BytesIO()
        np.savez(
            stream,
            meta=meta,
            rows=_smallest(rows),
            cols=_smallest(cols),
            feat=self.vectors,
            origin=np.array(json.dumps(self.origin)),
        )
        return stream.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, name: str, *, as_stored: bool = False) -> ImageFeatures:
        """The features in a file; `name` says which file in errors.

        Parameters
        ----------
        as_stored
            Keep numbers of float64, which a network's are not.

        Raises
        ------
        FeatureFileError
            The file is damaged, cut short, or of neither format.
        """
        if data[:2] == b"PK":
            return _from_npz(data, name, as_stored)
        return _from_json(data, name, as_stored)


def _smallest(indices: NDArray[np.int64]) -> NDArray[Any]:
    #: the reference writes uint16, which wraps above 65,535; wider only where it must be
    fits = not indices.size or int(indices.max()) <= np.iinfo(np.uint16).max
    return indices.astype(np.uint16 if fits else np.int64)


def _from_npz(data: bytes, name: str, as_stored: bool) -> ImageFeatures:
    try:
        archive = NpzArrays(data)
        meta = archive.read("meta.npy", SMALL_ARRAY)
        vectors = _vectors(archive.read("feat.npy", MAX_ARRAY_BYTES), name, as_stored)
        rows = cols = None
        if meta[0]:
            # of other numbers than points, nothing is made of them
            most = SMALL_ARRAY + MAX_INDEX_BYTES * len(vectors)
            rows, cols = (
                _indices(archive.read(entry, most), len(vectors), name, entry[:4])
                for entry in ("rows.npy", "cols.npy")
            )
        origin = {}
        if "origin.npy" in archive.entries:
            origin = _origin(archive)
    except KeyError as error:
        raise FeatureFileError(f"{name}: a damaged feature file (no entry {error})") from error
    except (MemoryError, FeatureFileError):
        # memory that runs out says nothing about the file
        raise
    # zipfile, numpy and isal raise nearly anything on what is damaged
    except Exception as error:
        raise FeatureFileError(
            f"{name}: a damaged feature file ({type(error).__name__}: {str(error)[:SHOWN]})"
        ) from error
    if rows is not None and meta[1:3].tolist() != list(vectors.shape):
        said = str(meta[1:3].tolist())[:SHOWN]
        raise FeatureFileError(
            f"{name}: a damaged feature file: its meta says {said} points and dimensions, its"
            f" vectors are of shape {vectors.shape}"
        )
    return ImageFeatures(vectors, rows, cols, origin)


def _vectors(
    values: NDArray[Any], name: str, as_stored: bool
) -> NDArray[np.float32] | NDArray[np.float64]:
    """As float32; as float64 where that holds numbers which float32 does not."""
    if values.dtype.kind not in REAL:
        raise FeatureFileError(f"{name}: vectors of {str(values.dtype)[:SHOWN]}, expected numbers")
    # before they are made larger: a file can have a byte for each
    _check_shape(name, values.shape)
    if not (as_stored and values.dtype == np.float64):
        with np.errstate(over="ignore"):
            narrow = np.require(values, np.float32, ["C", "A"])
        if np.isfinite(narrow).all():
            return narrow
    wide = values.astype(np.float64)
    if not np.isfinite(wide).all():
        raise FeatureFileError(f"{name}: holds numbers that are not finite; extract it again")
    return wide


def _indices(values: NDArray[Any], count: int, name: str, label: str) -> NDArray[np.int64]:
    """Rows or columns as the reference reads them: what has a fraction is cut off."""
    if values.shape != (count,):
        raise FeatureFileError(f"{name}: {label} of shape {values.shape}, expected ({count},)")
    if values.dtype.kind not in REAL:
        raise ValueError(f"rows or columns of {values.dtype}, expected numbers")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError("a row or column is no number")
    indices = values.astype(np.int64)
    if values.dtype.kind == "u" and indices.size and indices.min() < 0:
        raise ValueError("a row or column is beyond 64 bits")
    return indices


def _origin(archive: NpzArrays) -> dict[str, Any]:
    """What we wrote there; empty for an entry that another program made under that name."""
    if archive.entries["origin.npy"].file_size > MAX_ORIGIN_BYTES:
        return {}
    try:
        found = json.loads(str(archive.read("origin.npy", MAX_ORIGIN_BYTES)))
    except (ValueError, RecursionError) as error:
        if isinstance(error, DamagedEntryError):
            raise
        return {}
    return found if isinstance(found, dict) else {}


def _from_json(data: bytes, name: str, as_stored: bool) -> ImageFeatures:
    expected = "expected an .npz with meta, rows, cols, feat, or a JSON list of vectors"
    if len(data) > MAX_JSON_BYTES:
        raise FeatureFileError(f"{name}: {len(data)} bytes that are no .npz; {expected}")
    # before anything is made of them
    lists, numbers = data.count(b"["), data.count(b",") + 1
    if lists > MAX_POINTS + 1 or numbers > MAX_JSON_NUMBERS:
        raise FeatureFileError(
            f"{name}: not a feature file of at most {MAX_POINTS} points and {MAX_JSON_NUMBERS}"
            f" numbers; {expected}"
        )
    if b'"' in data or b"{" in data:
        # not said of what is no JSON at all
        held = ": it has texts or objects" if data[:64].lstrip()[:1] in b'[{"' else ""
        raise FeatureFileError(f"{name}: not a feature file{held}; {expected}")
    try:
        found = json.loads(data.decode("utf-8"))
        if not isinstance(found, list):
            raise FeatureFileError(
                f"{name}: not a feature file: the JSON value {json.dumps(found)[:80]} alone;"
                f" {expected}"
            )
        # numpy makes NaN of it, and then it would be told of numbers that are not finite
        if b"null" in data:
            raise FeatureFileError(f"{name}: null where a number is expected; extract it again")
        vectors = _vectors(np.asarray(found, dtype=np.float64), name, as_stored)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise FeatureFileError(f"{name}: not a feature file; {expected}") from error
    return ImageFeatures(vectors, None, None)


def _check_shape(name: str, shape: tuple[int, ...]) -> None:
    if len(shape) != 2 or 0 in shape:
        raise FeatureFileError(
            f"{name}: vectors of shape {shape}, expected (points, dimensions), not empty"
        )
    if shape[0] > MAX_POINTS:
        raise FeatureFileError(
            f"{name}: {shape[0]} points, expected at most {MAX_POINTS} in one image"
        )
    if math.prod(shape) * np.dtype(np.float32).itemsize > MAX_ARRAY_BYTES:
        raise FeatureFileError(
            f"{name}: vectors of shape {shape}, expected at most {MAX_ARRAY_BYTES} bytes of float32"
        )

"""From what a model gives to one vector for each patch."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spacer_tasks.exceptions import WeightsError

Pooling = Literal["none", "average", "max", "first"]
#: which serve for an output of so many dimensions
FITTING: dict[int, tuple[Pooling, ...]] = {
    2: ("none",),
    3: ("average", "max", "first"),
    4: ("average", "max"),
}


def pooled(
    found: NDArray[np.generic], pooling: Pooling, *, channels_last: bool, name: str
) -> NDArray[np.float32]:
    """Vectors, float32 (n, dimensions).

    Parameters
    ----------
    found
        What the model gave: vectors (n, dimensions); tokens (n, tokens, dimensions), as of a vision
        transformer; or maps (n, dimensions, rows, columns), in another order if `channels_last`.

    Raises
    ------
    WeightsError
        This pooling is not one for what the model gives; the text says which are.
    """
    # a pool that the network did itself
    if found.ndim == 4 and pooling == "none":
        axes = (1, 2) if channels_last else (2, 3)
        if all(found.shape[axis] == 1 for axis in axes):
            return _as_float(found.reshape(len(found), -1))
    fitting = FITTING.get(found.ndim, ())
    if pooling not in fitting or not np.issubdtype(found.dtype, np.floating):
        can = f"pooling={' or '.join(fitting)} serves" if fitting else "none is taken"
        raise WeightsError(
            f"{name}: it gives {found.dtype} numbers of the shape {found.shape} for {len(found)}"
            f" patches, which pooling={pooling} makes no vectors of; for such {can}"
        )
    if pooling == "none":
        return _as_float(found)
    if pooling == "first":
        return _as_float(found[:, 0])
    of_space = (1,) if found.ndim == 3 else (1, 2) if channels_last else (2, 3)
    values = found.astype(np.float32, copy=False)
    return _as_float(
        values.mean(axis=of_space) if pooling == "average" else values.max(axis=of_space)
    )


def _as_float(found: NDArray[np.generic]) -> NDArray[np.float32]:
    return np.ascontiguousarray(found, dtype=np.float32)

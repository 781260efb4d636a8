"""Good input with some faults in it: bytes and JSON."""

from __future__ import annotations

import copy
import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

#: how many times as many examples as in CI, for `make fuzz`
TIMES = int(os.environ.get("TEST_FUZZ_TIMES", "1"))
#: numbers at which programs err
EDGES = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF]


def examples(count: int) -> settings:
    """So many examples; the same ones on each run, except in `make fuzz`."""
    return settings(
        max_examples=count * TIMES,
        deadline=None,
        derandomize=TIMES == 1,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@st.composite
def damaged(draw: st.DrawFn, files: list[bytes]) -> bytes:
    """One of these files with a few changes: bytes, numbers, parts lost, doubled, exchanged."""
    data = bytearray(draw(st.sampled_from(files)))
    for _ in range(draw(st.integers(1, 6))):
        if not data:
            break
        # headers are at the beginning, a zip's directory is at the end
        reach = draw(st.sampled_from([32, 256, len(data)]))
        at = draw(st.integers(0, min(reach, len(data)) - 1))
        if draw(st.booleans()) and reach < len(data):
            at = len(data) - 1 - at
        kind = draw(st.integers(0, 6))
        if kind == 0:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == 1:
            data[at] = draw(st.integers(0, 255))
        elif kind == 2:
            width = draw(st.sampled_from([2, 4, 8]))
            order = draw(st.sampled_from(["little", "big"]))
            value = draw(st.sampled_from(EDGES)) & ((1 << 8 * width) - 1)
            data[at : at + width] = value.to_bytes(width, order)  # type: ignore[arg-type]
        elif kind == 3:
            del data[at : at + draw(st.integers(1, 64))]
        elif kind == 4:
            data[at:at] = data[at : at + draw(st.integers(1, 64))]
        elif kind == 5:
            other = draw(st.sampled_from(files))
            start = draw(st.integers(0, max(0, len(other) - 1)))
            data[at : at + 32] = other[start : start + 32]
        else:
            del data[at:]
    return bytes(data)


#: values of other types than expected, and at the edges of those that are
STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**31, 2**63, 2**64, -1, 10**30]),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["", "\0", "\ud800", "../../etc/passwd", "s3://b/k", "{}", "[[1,2]]", "1e999"]),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
    st.recursive(st.none(), lambda inner: st.lists(inner, max_size=2), max_leaves=5),
)


@st.composite
def changed(draw: st.DrawFn, values: list[Any]) -> Any:
    """One of these JSON values with parts of it exchanged, lost, doubled or added."""
    value = copy.deepcopy(draw(st.sampled_from(values)))
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(value))
        if not places:
            return draw(STRANGE)
        holder, key = draw(st.sampled_from(places))
        kind = draw(st.integers(0, 3))
        if kind == 0:
            del holder[key]
        elif kind == 1:
            holder[key] = [holder[key], copy.deepcopy(holder[key])]
        elif kind == 2 and isinstance(holder, dict):
            holder[draw(st.text(max_size=8))] = draw(STRANGE)
        else:
            holder[key] = draw(STRANGE)
    return value


def _places(value: Any) -> Any:
    pairs: Any = ()
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list):
        pairs = enumerate(value)
    for key, item in list(pairs):
        yield value, key
        yield from _places(item)

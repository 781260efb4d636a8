from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from spacer_tasks.data_classes.plain_values import plain


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int64(3), 3),
        (np.uint8(255), 255),
        (np.float32(0.5), 0.5),
        (np.float64(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("CCA"), "CCA"),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array(5), 5),
        (np.array([]), []),
        (np.array([np.int8(1), "a", None], dtype=object), [1, "a", None]),
        ([1, (2, np.int64(3))], [1, [2, 3]]),
        ((np.int64(1), 2), [1, 2]),
        ({"a": {"b": np.array([1])}}, {"a": {"b": [1]}}),
        ({np.str_("a"): 1}, {"a": 1}),
        ({np.int64(4): 1}, {4: 1}),
        ([np.array([1]), [np.array([2.5])]], [[1], [[2.5]]]),
    ],
)
def test_numpy_s_types_become_python_s(value: Any, expected: Any) -> None:
    found = plain(value)
    assert found == expected
    # types too, at any depth
    assert repr(found) == repr(expected)


@pytest.mark.parametrize(
    "value", [None, 1, True, 1.5, "a", b"a", [], (1, 2), {"a": [(1, 2), {"b": 1.5}]}]
)
def test_what_has_nothing_of_numpy_stays_the_same_object(value: Any) -> None:
    assert plain(value) is value


def test_what_is_given_is_not_changed() -> None:
    given = {"a": [np.int64(1)], "b": (np.int64(2),)}
    plain(given)
    assert type(given["a"][0]) is np.int64
    assert type(given["b"]) is tuple


def test_nesting_without_end_is_left_to_what_checks_it() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert plain(deep) is deep


def test_the_result_has_json() -> None:
    given = {"points": np.array([[1, 2]], dtype=np.uint16), "label": np.int64(7)}
    assert json.dumps(plain(given)) == '{"points": [[1, 2]], "label": 7}'

"""Which Redis can be used, by what it says of itself."""

from __future__ import annotations

import re
from typing import Any

import pytest

from spacer_tasks.broker.server_kind import fault_of

GOOD: dict[str, Any] = {
    "redis_version": "6.2.14", "redis_mode": "standalone", "cluster_enabled": 0,
    "maxmemory_policy": "noeviction",
}  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"redis_version": "6.2"},
        {"redis_version": "7.0.0"},
        {"redis_version": "8.2.1"},
        {"redis_mode": "sentinel"},
        # servers that say less, or that call themselves otherwise
        {"maxmemory_policy": None},
        {"redis_version": ""},
        {"redis_version": "unknown"},
    ],
)
def test_a_single_server_that_evicts_nothing_is_used(changes: dict[str, Any]) -> None:
    assert fault_of({**GOOD, **changes}) is None
    assert fault_of({}) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"redis_version": "6.1.9"}, "this Redis is 6.1.9, expected 6.2 or newer"),
        ({"redis_version": "5.0.14"}, "this Redis is 5.0.14"),
        ({"redis_version": "2.8"}, "this Redis is 2.8"),
        ({"redis_mode": "cluster"}, "part of a cluster"),
        ({"cluster_enabled": 1}, "part of a cluster"),
        ({"cluster_enabled": "1"}, "part of a cluster"),
        ({"maxmemory_policy": "allkeys-lru"}, "maxmemory-policy allkeys-lru.*expected noeviction"),
        ({"maxmemory_policy": "volatile-ttl"}, "maxmemory-policy volatile-ttl"),
    ],
)
def test_any_other_is_refused_with_the_reason(changes: dict[str, Any], said: str) -> None:
    assert re.search(said, fault_of({**GOOD, **changes}) or "")

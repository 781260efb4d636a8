"""Mistakes on a worker's command line."""

from __future__ import annotations

import socket

import pytest

from spacer_tasks.exceptions import ConfigError
from spacer_tasks.worker.arguments import checked
from spacer_tasks.worker.pools import POOLS, PoolName

HOST = socket.gethostname()


@pytest.mark.parametrize(
    ("pool", "arguments", "concurrency", "implementation", "hostname"),
    [
        ("features", "", None, "threads", f"features@{HOST}"),
        ("training", "", None, "prefork", f"training@{HOST}"),
        ("classify", "-c 3 -n one@%h", 3, "prefork", f"one@{HOST}"),
        ("features", "--concurrency=8 -n a@b -l debug -Q features.high", 8, "threads", "a@b"),
        ("features", "--pool=prefork --max-tasks-per-child 4", None, "prefork", f"features@{HOST}"),
        ("training", "-X training.high --time-limit=9 --without-gossip", None, "prefork",
         f"training@{HOST}"),
        ("training", "--autoscale=4,1 --loglevel INFO", None, "prefork", f"training@{HOST}"),
    ],
)  # fmt: skip
def test_what_has_an_effect_is_read(
    pool: PoolName, arguments: str, concurrency: int | None, implementation: str, hostname: str
) -> None:
    found = checked(POOLS[pool], arguments.split())
    assert (found.concurrency, found.implementation, found.hostname) == (
        concurrency, implementation, hostname,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("pool", "arguments", "said"),
    [
        ("training", ["--concurency", "2"], "No such option.*--concurency"),
        ("training", ["-Z"], "No such option.*-Z"),
        ("training", ["-c"], "requires an argument"),
        ("training", ["-c", "0"], "--concurrency 0: expected a whole number"),
        ("training", ["--concurrency=-2"], "--concurrency -2: expected a whole number"),
        ("training", ["-c", "many"], "--concurrency many: expected a whole number"),
        ("training", ["-c", "2.5"], "--concurrency 2.5: "),
        ("training", ["4"], "4: expected options only"),
        ("training", ["-Q", "features"], "does not serve features; .*spacer-tasks worker features"),
        ("features", ["-Q", "features,classify"], "does not serve classify"),
        ("features", ["-Q", "feature"], "there is no queue 'feature', expected of features, "),
        ("features", ["-Q", ""], "there is no queue ''"),
        ("classify", ["-X", "classify"], "leaves this worker no queue"),
        ("classify", ["-X", "training"], "does not serve training"),
        ("features", ["--pool", "gevent"], "--pool gevent: expected threads or prefork"),
        ("features", ["-P", "solo"], "--pool solo: expected"),
        ("features", ["--loglevel", "loud"], "--loglevel loud: "),
        ("training", ["--autoscale", "lots"], "--autoscale lots: "),
        ("features", ["--autoscale", "4,1"], "no effect on threads.*--concurrency"),
        ("features", ["--time-limit", "60"], "no effect on threads.*SPACER_FEATURE_TIME_LIMIT_S"),
        ("features", ["--max-memory-per-child", "9"], "SPACER_MAX_MEMORY_BYTES"),
        ("training", ["--time-limit", "1h"], "--time-limit 1h: "),
        ("training", ["--detach"], "--detach has no effect here: run it under a supervisor"),
        ("classify", ["-B"], "--beat has no effect here"),
    ],
)
def test_a_mistake_is_one_line(pool: PoolName, arguments: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        checked(POOLS[pool], arguments)
    assert "\n" not in str(caught.value)

"""What a Redis that is away, or refuses for now, is told by."""

from __future__ import annotations

import pytest
from redis import exceptions

from spacer_tasks.broker.outages import redis_is_away, refuses_for_now

#: as redis-py gives them, of Redis 6.2 and 7
FOR_NOW = [
    exceptions.ReadOnlyError("You can't write against a read only replica."),
    exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
    exceptions.ResponseError("MISCONF Redis is configured to save RDB snapshots"),
    exceptions.ResponseError("Error running script: @user_script:7: -OOM command not allowed"),
    exceptions.NoPermissionError(
        "this user has no permissions to run the 'setex' command or its subcommand"
    ),
    exceptions.NoPermissionError(
        "this user has no permissions to access one of the keys used as arguments"
    ),
    exceptions.NoPermissionError("User worker has no permissions to run the 'setex' command"),
    exceptions.NoPermissionError("No permissions to access a key"),
    exceptions.ResponseError(
        "Error running script (call to f_1): @user_script:3: The user executing the script can't"
        " run this command or subcommand"
    ),
    exceptions.ResponseError("ACL failure in script: User worker has no permissions to run it"),
    exceptions.ResponseError("NOPERM this user has no permissions"),
]


@pytest.mark.parametrize("error", FOR_NOW, ids=str)
def test_what_a_redis_refuses_for_now_is_kept_later(error: Exception) -> None:
    assert refuses_for_now(error)


@pytest.mark.parametrize(
    "error", [exceptions.ConnectionError("refused"), exceptions.TimeoutError("late")], ids=str
)
def test_a_redis_that_is_away_refuses_for_now(error: Exception) -> None:
    assert redis_is_away(error)
    assert refuses_for_now(error)


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ResponseError("WRONGTYPE Operation against a key holding the wrong kind"),
        exceptions.ResponseError("unknown command `BLMOVE`"),
        ValueError("a mistake"),
    ],
    ids=str,
)
def test_a_mistake_is_not_taken_for_an_outage(error: Exception) -> None:
    assert not refuses_for_now(error)

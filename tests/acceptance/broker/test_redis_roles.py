"""Every command of Redis, for every user of deploy/redis-users.acl and its form for 6.2."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.redis.guarded import USERS, guarded_redis, program_of
from tests.support.redis.roles import allowed, as_text


@pytest.mark.parametrize("version", USERS)
def test_each_user_may_what_the_table_says_and_nothing_else(version: str, tmp_path: Path) -> None:
    program = program_of("7", tmp_path / "program")
    if program is None:
        pytest.skip("there is no Redis 7 here (Debian: apt-get install redis-tools)")
    expected = Path(__file__).with_name(f"redis_roles_{version}.txt").read_text()
    # it reads the users of 6.2 in the same way, and can be asked what they may
    with guarded_redis(tmp_path, program, USERS[version]) as guarded:
        users = [name for name in guarded.passwords if name != "root"]
        found = as_text(allowed(guarded.client("root"), users))
    (tmp_path / "found.txt").write_text(found)
    assert found == expected, f"{tmp_path / 'found.txt'} is what they may"

"""A Redis with the users of deploy/redis-users.acl, or of its form for 6.2."""

from __future__ import annotations

import re
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from spacer_tasks.demo.services import _redis_program
from tests.support.checkout import CHECKOUT
from tests.support.redis.configured import redis_with, redis_with_tls

#: by the Redis that they are for
USERS = {
    "7": CHECKOUT / "deploy" / "redis-users.acl",
    "6.2": CHECKOUT / "deploy" / "redis-users-6.2.acl",
}


@dataclass(frozen=True)
class Guarded:
    """A Redis with these users only, and one of the test's own, `root`."""

    port: int
    passwords: dict[str, str]

    def url(self, user: str) -> str:
        return f"redis://{user}:{self.passwords[user]}@127.0.0.1:{self.port}/0"

    def environment(self, user: str) -> dict[str, str]:
        """What a process of that kind is started with."""
        own = f"{user}-results"
        return {
            "SPACER_BROKER_URL": self.url(user),
            "SPACER_RESULT_BACKEND_URL": self.url(own if own in self.passwords else user),
        }

    def clients(self, user: str) -> list[redis.Redis]:
        """As all that this kind of process can be."""
        return [redis.Redis.from_url(url) for url in set(self.environment(user).values())]

    def client(self, user: str) -> redis.Redis:
        return redis.Redis.from_url(self.url(user))

    def refused(self) -> list[str]:
        """What was refused to anybody since this was last asked."""
        root = self.client("root")
        found = [
            f"{entry['username']}: {entry['object']} ({entry['reason']})"
            for entry in root.acl_log()
        ]
        root.acl_log_reset()
        # redis-py tells its name and asks for notices, and a caller's events are not wanted; they
        # go on where they may not
        ignored = (" client", "caller: publish")
        return [line for line in found if not any(text in line for text in ignored)]


def program_of(version: str, folder: Path) -> Path | None:
    """A redis-server that understands the users of this version; None where there is none."""
    if version == "6.2":
        return Path(_redis_program())
    folder.mkdir(parents=True, exist_ok=True)
    found = redis_with_tls(folder)
    if found is None:
        return None
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    number = re.search(r"v=(\d+)", said)
    return found if number and int(number[1]) >= 7 else None


@contextmanager
def guarded_redis(folder: Path, program: Path, users: Path) -> Iterator[Guarded]:
    """One that runs with these users, each with a password of its own."""
    text = users.read_text()
    names = re.findall(r"^user (\S+) on ", text, re.MULTILINE)
    passwords = {name: secrets.token_hex(16) for name in (*names, "root")}
    for name in names:
        word = f">{name.upper().replace('-', '_')}_PASSWORD "
        assert word in text, name
        text = text.replace(word, f">{passwords[name]} ")
    lines = [line for line in text.splitlines() if line.startswith("user ")]
    # of the test, to read the log of refusals
    lines.append(f"user root on >{passwords['root']} ~* &* +@all")
    written = folder / "users.acl"
    folder.mkdir(parents=True, exist_ok=True)
    written.write_text("\n".join([*lines, ""]))
    with redis_with(folder, [f"aclfile {written}"], program=program) as (port, _):
        yield Guarded(port, passwords)

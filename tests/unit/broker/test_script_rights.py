"""What the scripts that Redis runs for us call, the users of deploy/ may."""

from __future__ import annotations

import re

import pytest

from tests.support.checkout import CHECKOUT

#: a command that a script calls
CALLED = re.compile(r"redis\.p?call\(\s*['\"](\w+)['\"]")
SCRIPTS = {
    path.relative_to(CHECKOUT).as_posix(): commands
    for path in sorted((CHECKOUT / "spacer_tasks").rglob("*.py"))
    if (commands := set(map(str.lower, CALLED.findall(path.read_text()))))
}


def test_the_scripts_are_found() -> None:
    assert "spacer_tasks/execution/lock.py" in SCRIPTS
    assert len(SCRIPTS) >= 9


@pytest.mark.parametrize("file", ["redis-users.acl", "redis-users-6.2.acl"])
@pytest.mark.parametrize(
    ("user", "scripts"),
    [
        ("worker", list(SCRIPTS)),
        ("operator", list(SCRIPTS)),
        ("site", ["spacer_tasks/jobs/redis_records.py", "spacer_tasks/mailman/ledger.py"]),
    ],
)
def test_who_runs_a_script_may_all_that_it_calls(file: str, user: str, scripts: list[str]) -> None:
    lines = (CHECKOUT / "deploy" / file).read_text().splitlines()
    (line,) = (each for each in lines if each.startswith(f"user {user} "))
    allowed = {word.strip("()")[1:] for word in line.split() if word.startswith("+")}
    for script in scripts:
        assert not SCRIPTS[script] - allowed, script

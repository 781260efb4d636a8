"""`python -m tests.guards [WORD …]`: take out the guards whose names have these words, all without.

In a copy of the checkout's files, one after the other: what runs beside this is not touched.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.guards.listed import GUARDS, Guard
from tests.support.checkout import CHECKOUT

#: seconds for the tests of one guard: what hangs without it is what it is for
LIMIT_S = 180
#: bytes of one process, likewise
MEMORY = 12 * 2**30
#: pytest's exit code where tests failed; others show nothing, such as that of tests not collected
FAILED = 1


def copied(to: Path) -> None:
    """What git knows of the checkout, and what is new in it, as it is now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        check=True,
    ).stdout.split(b"\0")
    for name in filter(None, listed):
        source = CHECKOUT / name.decode()
        if source.is_file():
            target = to / name.decode()
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def outcome_without(guard: Guard, folder: Path) -> tuple[bool, str]:
    """Whether a test fails, and what pytest said last."""
    path = folder / guard.file
    whole = path.read_text(encoding="utf-8")
    without = whole.replace(guard.text, guard.instead)
    if without == whole:
        return False, "its text is not there any more: tests/guards/listed.py"
    path.write_text(without, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *guard.tests]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return True, f"its tests did not end in {LIMIT_S} s"
    finally:
        path.write_text(whole, encoding="utf-8")
    lines = (done.stdout or done.stderr).strip().splitlines()
    told = [line for line in lines if line.startswith("FAILED ")] or lines[-1:]
    # below 0: the whole process ended by a signal
    return done.returncode == FAILED or done.returncode < 0, " ".join(told)[:300]


def main(words: list[str]) -> int:
    """Say of each guard whether a test fails without it. The exit code."""
    chosen = [each for each in GUARDS if not words or any(word in each.name for word in words)]
    missed = 0
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        copied(Path(folder))
        for guard in chosen:
            found, last = outcome_without(guard, Path(folder))
            missed += not found
            print(f"{'ok    ' if found else 'MISSED'} {guard.name}: {last}", flush=True)
    print(f"{len(chosen) - missed} passed, {missed} failed")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

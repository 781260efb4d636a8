"""`python -m tests.reference_suite [--tests FOLDER] [--reference 0.14.0] [pytest's options]`.

Runs the reference's tests over the reference and over `spacer_tasks.compat`, and says which pass
there and fail here. A failure without a reason in `listed.py` ends it with 1, and so does a listed
test that passes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from spacer_tasks.demo.services import s3_server
from tests.reference_suite.listed import reason_of
from tests.reference_suite.pages import write_tests
from tests.reference_suite.running import CACHE, outcomes, python_of


def own_tests() -> Path:
    """The tests out of the source archive of 0.13.0, which are got at first use."""
    folder = CACHE / "tests-0.13.0"
    if not folder.exists():
        write_tests(folder)
    return folder / "tests"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.reference_suite")
    parser.add_argument(
        "--tests", type=Path, help="spacer/tests of a checkout; by default out of the archive"
    )
    parser.add_argument("--reference", default="0.13.0", help="the version beside compat")
    given, options = parser.parse_known_args()
    tests = given.tests or own_tests()
    with s3_server() as s3:
        theirs = outcomes("reference", python_of(given.reference), tests, s3, options)
        ours = outcomes("compat", Path(sys.executable), tests, s3, options)
    passed = {name for name, outcome in theirs.items() if outcome == "passed"}
    # a file that cannot be imported fails as one
    broken = {name for name, outcome in ours.items() if outcome == "failed"}
    failed = {name for name in passed if name in broken or name.partition("::")[0] in broken}
    skipped = {name for name in passed if ours.get(name) == "skipped"}
    print(f"\npyspacer {given.reference} passes {len(passed)} of {len(theirs)} tests.")
    print(f"compat passes {len(passed - failed - skipped)} of those; the others:")
    unlisted = 0
    for name in sorted(failed | skipped):
        reason = reason_of(name)
        unlisted += reason is None
        print(f"  {name}: {reason or 'NOT LISTED'}")
    late = {name for name in passed - failed if reason_of(name) and ours.get(name) == "passed"}
    for name in sorted(late):
        print(f"  {name}: passes, and is listed")
    return 1 if unlisted or late else 0


if __name__ == "__main__":
    sys.exit(main())

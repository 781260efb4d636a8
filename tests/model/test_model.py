"""What holds in every interleaving, and that a defect would be found.

`make model` explores all faults at once; here they are explored by twos and threes.
"""

from __future__ import annotations

import hashlib
import os

import pytest

from spacer_tasks.broker import chord_count
from spacer_tasks.execution import lock, once
from spacer_tasks.worker.delivery import unacked
from tests.model.delivery import Faults, Kind, Rules
from tests.model.exploring import explore

#: kills, pauses, restarts of Redis
SOME = [(2, 1, 0), (1, 2, 0), (2, 0, 1), (0, 2, 1), (1, 1, 1)]
ALL = [(2, 2, 1)]
KINDS: tuple[Kind, ...] = ("task", "part")
#: what the model follows, by the first digits of its hash: where one of these scripts changes, look
#: whether the model still does what it does, and write the new hash here
FOLLOWS = {
    "unacked.TAKE": (unacked.TAKE, "904166f47d5a"),
    "unacked.FORGET": (unacked.FORGET, "4af2ca8154ff"),
    "unacked.GIVE_BACK": (unacked.GIVE_BACK, "df31b2040746"),
    "lock.BEGIN": (lock.BEGIN, "623fb846d925"),
    "lock.RENEW": (lock.RENEW, "ee19d9904e30"),
    "lock.RELEASE": (lock.RELEASE, "da0375701390"),
    "chord_count.COUNT": (chord_count.COUNT, "173e514094ee"),
    "chord_count.CLEAN": (chord_count.CLEAN, "641ac0fe79da"),
    "once.PUSH": (once.PUSH, "ac48d1ae85b8"),
}
#: a rule that is broken, and what comes of it: for which kind, by which faults
DEFECTS: list[tuple[str, bool, Kind, tuple[int, int, int], str]] = [
    ("first_answer_stays", False, "task", (0, 1, 1), "two answers were seen"),
    ("acknowledged_last", False, "task", (1, 0, 0), "no answer comes"),
    ("body_once", False, "part", (1, 0, 0), "the body was sent twice"),
    ("counts_again", False, "part", (1, 0, 0), "the body is not sent"),
    ("claims", True, "part", (1, 0, 0), "the body is not sent"),
    ("gives_back_unheard", False, "task", (0, 0, 1), "no answer comes"),
    ("asks_before_writing", False, "task", (0, 1, 0), LATE := "an output was written after another"
     " worker's answer"),
    ("lapsed_lock_is_looked_into", False, "task", (0, 1, 0), LATE),
    ("looks_under_the_lock", False, "task", (0, 1, 0), LATE),
    ("notes_ends", False, "task", (1, 0, 0), LATE),
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("faults", ALL if os.environ.get("TEST_MODEL") == "all" else SOME, ids=str)
def test_no_interleaving_loses_or_doubles_anything(
    kind: Kind, faults: tuple[int, int, int]
) -> None:
    found = explore(kind, Faults(*faults))
    assert found.states > 100
    assert found.wrong == {}


@pytest.mark.parametrize(("rule", "value", "kind", "faults", "what"), DEFECTS)
def test_a_defect_is_found(
    rule: str, value: bool, kind: Kind, faults: tuple[int, int, int], what: str
) -> None:
    found = explore(kind, Faults(*faults), Rules()._replace(**{rule: value}))
    assert what in found.wrong
    # and how it comes to it
    assert len(found.wrong[what]) >= 2


def test_each_rule_is_broken_by_a_defect() -> None:
    assert {name for name, *_ in DEFECTS} == set(Rules._fields)


@pytest.mark.parametrize("name", FOLLOWS)
def test_the_model_follows_the_scripts_as_they_are(name: str) -> None:
    script, known = FOLLOWS[name]
    assert hashlib.sha256(script.encode()).hexdigest()[:12] == known

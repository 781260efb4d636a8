"""All states that a model can come to, and what is wrong with some of them."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass

from tests.model.delivery import (
    Faults,
    Kind,
    Rules,
    State,
    begin,
    faults_of,
    is_good,
    moves_of,
    named_anew,
)


@dataclass(frozen=True)
class Found:
    """What an exploration came to.

    Attributes
    ----------
    states
        How many there are.
    wrong
        By what is wrong, the shortest way there.
    """

    states: int
    wrong: dict[str, list[str]]


def explore(kind: Kind, faults: Faults, rules: Rules | None = None) -> Found:
    """Go every way, with at most so many faults."""
    rules = rules or Rules()
    start = begin(faults)
    came_from: dict[State, tuple[State, str] | None] = {start: None}
    before: dict[State, list[State]] = defaultdict(list)
    good: deque[State] = deque()
    wrong: dict[str, State] = {}
    queue = deque([start])
    while queue:
        state = queue.popleft()
        if is_good(state, kind):
            good.append(state)
        for what in _unsafe(state):
            wrong.setdefault(what, state)
        for is_fault, moves in ((False, moves_of(state, kind, rules)), (True, faults_of(state))):
            for name, named in moves:
                after = named_anew(named)
                if after == state:
                    continue
                if faults.restarts:
                    # while Redis is away nobody can ask whose the task is
                    after = after._replace(late=False)
                if not is_fault:
                    before[after].append(state)
                if after not in came_from:
                    came_from[after] = (state, name)
                    queue.append(after)
    # with no more faults, all must be able to come to a good end
    ends_well = set(good)
    while good:
        for state in before[good.popleft()]:
            if state not in ends_well:
                ends_well.add(state)
                good.append(state)
    for state in came_from:
        if state not in ends_well:
            wrong.setdefault(_missing(state, kind), state)
    return Found(len(came_from), {what: _way(came_from, state) for what, state in wrong.items()})


def _unsafe(state: State) -> list[str]:
    found = []
    if len(state.seen) > 1 or (state.seen and state.answer not in state.seen):
        found.append("two answers were seen")
    if state.bodies > 1:
        found.append("the body was sent twice")
    if state.late:
        found.append("an output was written after another worker's answer")
    return found


def _missing(state: State, kind: Kind) -> str:
    if state.answer == -1:
        return "no answer comes"
    if not state.seen:
        return "callers are not told"
    if kind == "part" and state.bodies == 0:
        return "the body is not sent"
    if kind == "task" and state.links == 0:
        return "the callback is not sent"
    return "it does not come to its end"


def _way(came_from: dict[State, tuple[State, str] | None], state: State) -> list[str]:
    names = []
    while (step := came_from[state]) is not None:
        state, name = step
        names.append(name)
    return names[::-1]

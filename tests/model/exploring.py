"""All states that a model can come to, and what is wrong with some of them."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from tests.model.delivery import (
    NONE,
    Faults,
    Kind,
    Rules,
    State,
    begin,
    either_way,
    faults_of,
    is_good,
    moves_of,
    named_anew,
)

#: whether by a fault, by what, and the state that comes
_Step = tuple[bool, str, State]


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
    following = partial(_following, kind=kind, rules=rules, restarts=faults.restarts > 0)
    # states by their numbers: there are millions of them
    numbers = {start: 0}
    states = [start]
    came_from = array("i", [NONE])
    parts: dict[Any, Any] = {}
    # steps that are no faults, by where they lead
    froms, tos = array("i"), array("i")
    good = []
    wrong: dict[str, int] = {}
    number = 0
    while number < len(states):
        state = states[number]
        if is_good(state, kind):
            good.append(number)
        for what in _unsafe(state):
            wrong.setdefault(what, number)
        for is_fault, _, named in following(state):
            after = either_way(named)
            there = numbers.get(after)
            if there is None:
                # equal parts of states are one object
                after = after._replace(
                    workers=parts.setdefault(after.workers, after.workers),
                    faults=parts.setdefault(after.faults, after.faults),
                    holders=parts.setdefault(after.holders, after.holders),
                    seen=parts.setdefault(after.seen, after.seen),
                )
                there = numbers[after] = len(states)
                states.append(after)
                came_from.append(number)
            if there != number and not is_fault:
                froms.append(number)
                tos.append(there)
        number += 1
    # with no more faults, all must be able to come to a good end
    ends_well = _all_before(good, len(states), froms, tos)
    for number, well in enumerate(ends_well):
        if not well:
            wrong.setdefault(_missing(states[number], kind), number)
    ways = {}
    for what, number in wrong.items():
        path = []
        while number:
            path.append(states[number])
            number = came_from[number]
        ways[what] = _told(start, path[::-1], following)
    return Found(len(states), ways)


def _following(state: State, *, kind: Kind, rules: Rules, restarts: bool) -> Iterator[_Step]:
    """What can come after it."""
    for is_fault, moves in ((False, moves_of(state, kind, rules)), (True, faults_of(state))):
        for name, named in moves:
            after = named_anew(named)
            # while Redis is away nobody can ask whose the task is
            yield is_fault, name, after._replace(late=False) if restarts else after


def _all_before(ends: list[int], count: int, froms: array[int], tos: array[int]) -> bytearray:
    """By number, whether a state leads to one of these."""
    order = np.argsort(np.frombuffer(tos, np.int32), kind="stable")
    sources = np.frombuffer(froms, np.int32)[order]
    firsts = np.searchsorted(np.frombuffer(tos, np.int32)[order], np.arange(count + 1))
    found = bytearray(count)
    left = list(ends)
    while left:
        number = left.pop()
        if not found[number]:
            found[number] = True
            left.extend(sources[firsts[number] : firsts[number + 1]].tolist())
    return found


def _told(
    state: State, path: Iterable[State], following: Callable[[State], Iterable[_Step]]
) -> list[str]:
    """The steps of a way in words; a worker that is alive keeps its name."""
    names = []
    for wanted in path:
        name, state = next(
            (name, after) for _, name, after in following(state) if either_way(after) == wanted
        )
        names.append(name)
    return names


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

"""One message, two workers, Redis and the results prefix, as a machine of small steps.

A step is what one command to Redis or one request to storage does, in the order of the code. To ask
for a task and to store what it made is one step: docs/model.md names the window between them.
Between any two steps a worker may be killed (another takes
its place) or paused, and Redis may be restarted: then each worker's next command may have been done
without an answer.

The message is a task with a callback, or the last part of a batch. `Rules` says how the code
behaves; each rule that is changed is a defect that was there once, or could be.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

Kind = Literal["task", "part"]
#: nobody
NONE = -1
#: of a worker that takes a killed one's place, until `named_anew`
_FRESH = 9


class Rules(NamedTuple):
    """How the code behaves.

    Attributes
    ----------
    first_answer_stays
        An answer is stored where there is none.
    acknowledged_last
        A message is acknowledged after all else.
    body_once
        The body is pushed in one step with the mark that it was.
    counts_again
        A part whose answer and state are there is counted again.
    claims
        Whoever counts the last part claims the body for longer than a silent worker is waited for,
        and others leave it alone, as Celery 5.7 does.
    gives_back_unheard
        What Redis gave a worker that never heard of it is given back.
    asks_before_writing
        A worker asks for its task before it stores an output.
    looks_under_the_lock
        The stored answer is asked for by who has the lock.
    notes_ends
        That a start has ended is noted: the answer is looked for where there can be one.
    lapsed_lock_is_looked_into
        A lock that lapsed is taken again only where no other start, and no answer, came after it.
    """

    first_answer_stays: bool = True
    acknowledged_last: bool = True
    body_once: bool = True
    counts_again: bool = True
    claims: bool = False
    gives_back_unheard: bool = True
    asks_before_writing: bool = True
    looks_under_the_lock: bool = True
    notes_ends: bool = True
    lapsed_lock_is_looked_into: bool = True


class Faults(NamedTuple):
    """How many there may still be."""

    kills: int = 0
    pauses: int = 0
    restarts: int = 0


class Worker(NamedTuple):
    """One of the two.

    Attributes
    ----------
    me
        Its name: another after each kill.
    at
        The step that comes next.
    paused
        It does nothing; its beats and its lock lapse meanwhile.
    stale
        It was paused since it last heard that the task is its own.
    unsure
        Redis was restarted: its next command may be done without an answer.
    """

    me: int
    at: str = "idle"
    paused: bool = False
    stale: bool = False
    unsure: bool = False


class State(NamedTuple):
    """All that is anywhere.

    Attributes
    ----------
    queue
        Whether a copy of the message waits; two that wait count as one, which makes less come of
        them, not more.
    holders
        Who holds one, in Redis; of a worker that was killed too.
    lock, start, ended
        Whose lock it is, the last start that is noted, and whether it is noted that one ended.
    answer
        Whose answer is stored.
    seen
        Whose answers callers have seen as the task's state.
    counted, claim, done
        Of the part: it is counted, who claims the body, the chord is over.
    pushed, bodies
        Whether the series of the body has one, and how many bodies were sent.
    links
        Callbacks that were sent.
    late
        An output was written by one whose task another had finished.
    """

    workers: tuple[Worker, Worker]
    faults: Faults
    queue: int = 1
    holders: frozenset[int] = frozenset()
    lock: int = NONE
    start: int = NONE
    ended: bool = False
    answer: int = NONE
    seen: frozenset[int] = frozenset()
    counted: bool = False
    claim: int = NONE
    done: bool = False
    pushed: bool = False
    bodies: int = 0
    links: int = 0
    late: bool = False


Move = tuple[str, State]

#: the next step after an answer is there
_AFTER: dict[Kind, str] = {"task": "link", "part": "mark"}
#: of these a worker asks Redis
REDIS = {"idle", "begin", "write", "end", "release", "told", "link", "mark", "count", "send",
         "clean", "ack", "aside"}  # fmt: skip


def begin(faults: Faults) -> State:
    """A message waits, and two workers are there."""
    return State(workers=(Worker(0), Worker(1)), faults=faults)


def named_anew(state: State) -> State:
    """The same with the workers as 0 and 1, and who was killed as 2, 3 and so on, in the order in
    which they are met: states that differ in names alone are one.
    """
    first, second = state.workers
    names = {NONE: NONE, first.me: 0, second.me: 1}
    met = (state.lock, state.start, state.answer, state.claim, *sorted(state.seen | state.holders))
    for name in met:
        names.setdefault(name, len(names) - 1)
    return state._replace(
        workers=(first._replace(me=0), second._replace(me=1)),
        holders=frozenset(names[each] for each in state.holders),
        seen=frozenset(names[each] for each in state.seen),
        lock=names[state.lock],
        start=names[state.start],
        answer=names[state.answer],
        claim=names[state.claim],
    )


def either_way(state: State) -> State:
    """The same with its workers in the order of what they do: which of two does it is all one."""
    first, second = state.workers
    if first[1:] <= second[1:]:
        return state
    return named_anew(state._replace(workers=(second, first)))


def is_good(state: State, kind: Kind) -> bool:
    """Whether all has come to its end."""
    return (
        state.answer != NONE
        and state.seen == {state.answer}
        and state.queue == 0
        and not state.holders
        and (state.bodies == 1 if kind == "part" else state.links >= 1)
    )


def faults_of(state: State) -> Iterator[Move]:
    """What may go wrong now."""
    left = state.faults
    for number, worker in enumerate(state.workers):
        if left.kills and worker.at != "idle":
            fresh = Worker(_FRESH)
            after = left._replace(kills=left.kills - 1)
            yield (
                f"{worker.me} is killed before {worker.at}",
                _with(state, number, fresh, faults=after),
            )
        if left.pauses and worker.at != "idle" and not worker.paused:
            after = left._replace(pauses=left.pauses - 1)
            asleep = worker._replace(paused=True)
            yield (
                f"{worker.me} is paused before {worker.at}",
                _with(state, number, asleep, faults=after),
            )
    if left.restarts:
        first, second = (worker._replace(unsure=True) for worker in state.workers)
        restarted = state._replace(
            workers=(first, second), faults=left._replace(restarts=left.restarts - 1)
        )
        yield "Redis is restarted", restarted
        if state.lock != NONE:
            yield "Redis is restarted, the lock has lapsed", restarted._replace(lock=NONE)


def moves_of(state: State, kind: Kind, rules: Rules) -> Iterator[Move]:
    """What the workers may do now."""
    for number, worker in enumerate(state.workers):
        if worker.paused:
            awake = worker._replace(paused=False, stale=True)
            yield f"{worker.me} wakes", _with(state, number, awake)
            continue
        yield from _looks_after_others(state, number)
        for name, after in _steps(state, number, kind, rules):
            if worker.unsure and worker.at in REDIS:
                settled = after.workers[number]._replace(unsure=False)
                yield name, _with(after, number, settled)
            else:
                yield name, after
        if worker.unsure and worker.at in REDIS:
            yield from _unheard(state, number, kind, rules)
    if state.lock != NONE and not _is_awake(state, state.lock):
        yield f"the lock of {state.lock} lapses", state._replace(lock=NONE)


def _looks_after_others(state: State, number: int) -> Iterator[Move]:
    """The pulse: what silent workers hold goes back."""
    me = state.workers[number].me
    for holder in state.holders:
        if holder != me and not _is_awake(state, holder):
            yield f"{me} gives back what {holder} held", _put_back(state, holder)


def _steps(state: State, number: int, kind: Kind, rules: Rules) -> Iterator[Move]:
    worker = state.workers[number]
    me, at = worker.me, worker.at

    def to(step: str, name: str, **changes: object) -> Move:
        return f"{me} {name}", _with(state, number, worker._replace(at=step), **changes)

    if at == "idle":
        if state.queue:
            first = "begin" if rules.looks_under_the_lock else "find"
            held = state.holders | {me} if rules.acknowledged_last else state.holders
            yield to(first, "takes the message", queue=0, holders=held)
        if me in state.holders and rules.gives_back_unheard:
            yield f"{me} gives back what it never heard of", _put_back(state, me)
    elif at == "begin":
        yield _begun(state, number, rules)
    elif at == "find":
        if state.answer == NONE:
            yield to("write" if rules.looks_under_the_lock else "begin", "finds no answer")
        else:
            # its lock goes first, and with it the starts
            lock = NONE if state.lock == me else state.lock
            start = NONE if state.lock == me else state.start
            yield to(_told(kind, rules), "finds the answer", lock=lock, start=start, ended=True)
    elif at == "beside":
        if state.answer == NONE:
            yield to("aside", "finds no answer beside it")
        else:
            yield to(_told(kind, rules), "finds the answer beside it", ended=True)
    elif at == "write":
        owned, after = _asked(state, number, rules)
        if owned:
            late = after.late or (after.answer not in (NONE, me))
            yield f"{me} writes its output", _at(after._replace(late=late), number, "end")
        else:
            yield f"{me} is told that the task is another's", _at(after, number, "aside")
    elif at == "end":
        owned, after = _asked(state, number, rules)
        if owned:
            stays = rules.first_answer_stays and state.answer != NONE
            after = _at(after._replace(answer=state.answer if stays else me), number, "release")
            yield f"{me} stores its answer", after
        else:
            yield f"{me} is told that the task is another's", _at(after, number, "aside")
    elif at == "release":
        if state.lock == me:
            yield to(_AFTER[kind], "lets its lock go", lock=NONE, start=NONE, ended=True)
        else:
            yield to(_AFTER[kind], "has no lock to let go", ended=True)
    elif at == "told":
        yield to("ack" if state.seen else _AFTER[kind], "looks whether callers know")
    elif at == "link":
        yield to("mark", "sends the callback", links=1)
    elif at == "mark":
        yield to(
            "count" if kind == "part" else "ack", "writes the state",
            seen=state.seen | {state.answer},
        )  # fmt: skip
    elif at == "count":
        yield _counted(state, number, rules)
    elif at == "send":
        sent = state.bodies if state.pushed and rules.body_once else state.bodies + 1
        yield to("clean", "sends the body", bodies=min(2, sent), pushed=True)
    elif at == "clean":
        yield to("ack", "notes that the chord is over", done=True)
    elif at == "ack":
        yield to("idle", "acknowledges", holders=state.holders - {me})
    elif at == "aside":
        # what is acknowledged was sent before
        yield to("ack", "stands aside", queue=1)


def _told(kind: Kind, rules: Rules) -> str:
    """What comes after an answer that was found."""
    return "told" if kind == "task" or not rules.counts_again else _AFTER[kind]


def _begun(state: State, number: int, rules: Rules) -> Move:
    worker = state.workers[number]
    if state.lock not in (NONE, worker.me):
        return f"{worker.me} finds it running", _at(state, number, "beside")
    # what was never begun before has no answer
    maybe = state.start != NONE or (state.ended and rules.notes_ends)
    then = "find" if rules.looks_under_the_lock and maybe else "write"
    after = state._replace(lock=worker.me, start=worker.me)
    return f"{worker.me} begins", _with(after, number, worker._replace(at=then, stale=False))


def _asked(state: State, number: int, rules: Rules) -> tuple[bool, State]:
    """Whether the task is still its own, after it asked."""
    worker = state.workers[number]
    me = worker.me
    fresh = worker._replace(stale=False)
    if not rules.asks_before_writing:
        return True, state
    if state.lock == me:
        return True, _with(state, number, fresh)
    if state.lock != NONE:
        return False, state
    if not rules.lapsed_lock_is_looked_into or state.start == me:
        return True, _with(state, number, fresh, lock=me)
    if state.start != NONE or state.answer != NONE:
        return False, state
    # nothing is noted: it begins again
    return True, _with(state, number, fresh, lock=me, start=me)


def _counted(state: State, number: int, rules: Rules) -> Move:
    worker = state.workers[number]
    if state.done:
        return f"{worker.me} finds the chord over", _at(state, number, "ack")
    if rules.claims and state.claim not in (NONE, worker.me):
        return f"{worker.me} finds the body claimed", _at(state, number, "ack")
    claim = worker.me if rules.claims else NONE
    after = state._replace(counted=True, claim=claim)
    return f"{worker.me} counts the part", _at(after, number, "send")


def _unheard(state: State, number: int, kind: Kind, rules: Rules) -> Iterator[Move]:
    """The next command was done, and its answer did not come."""
    worker = state.workers[number]._replace(unsure=False)
    me, at = worker.me, worker.at
    for name, after in _steps(state, number, kind, rules):
        # where the code goes on; all others are sent again
        begun = "find" if rules.looks_under_the_lock else "write"
        going_on = {"begin": begun, "release": _AFTER[kind], "told": _AFTER[kind]}
        if at in ("write", "end"):
            continue
        if at == "aside":
            # it takes the error for an outage, and gives the message in hand back
            back = _put_back(after, me) if me in after.holders else after
            yield f"{name}, unheard", _with(back, number, worker._replace(at="idle"))
        else:
            yield f"{name}, unheard", _with(after, number, worker._replace(at=going_on.get(at, at)))
    if at in ("write", "end"):
        # it cannot ask: who was paused looks for an answer, others were not away for long enough
        lost = worker.stale and state.answer != NONE
        step = "aside" if lost else {"write": "end", "end": "release"}[at]
        after = _with(state, number, worker._replace(at=step))
        if at == "end" and not lost:
            after = after._replace(answer=me if state.answer == NONE else state.answer)
        yield f"{me} cannot ask before {at}", after


def _is_awake(state: State, me: int) -> bool:
    return any(worker.me == me and not worker.paused for worker in state.workers)


def _put_back(state: State, holder: int) -> State:
    return state._replace(holders=state.holders - {holder}, queue=1)


def _at(state: State, number: int, step: str) -> State:
    return _with(state, number, state.workers[number]._replace(at=step))


def _with(state: State, number: int, worker: Worker, **changes: object) -> State:
    first, second = state.workers
    workers = (worker, second) if number == 0 else (first, worker)
    return state._replace(workers=workers, **changes)  # type: ignore[arg-type]  # by name

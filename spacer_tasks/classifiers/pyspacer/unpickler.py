"""A pickle as plain data, read without running it.

A pickle is a program: Python's own machine imports and calls whatever it names. This machine knows
only the instructions and the names that the reference's classifiers consist of. Nothing is
imported, called or set by a name from the file, and everything else is refused. Memory and time
are bounded by the file: by its size and the number of its instructions; arrays share its bytes,
and what must be copied is counted.

Pickles of protocols 0 and 1, which Python 2 wrote, have instructions of their own, and lack those
of later protocols: each file is read with the instructions of its time.

Source: `pickletools` of the standard library (the instructions), PEP 307 and PEP 3154.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, NamedTuple

from spacer_tasks.classifiers.pyspacer.arrays import NotAnArrayError
from spacer_tasks.classifiers.pyspacer.names import known_name
from spacer_tasks.classifiers.pyspacer.objects import ObjectMaker, RefusedError
from spacer_tasks.classifiers.pyspacer.text_arguments import (
    read_float,
    read_int,
    read_long,
    read_names,
    read_place,
    read_string,
    read_unicode,
)
from spacer_tasks.exceptions import ClassifierFileError

#: bytes; 1,000 classes of 4096 dimensions with all that training leaves behind are 150 MB
MAX_BYTES = 512 * 2**20
#: 1,000 classes are 30,000, and each mini-batch of a network's training adds 20
MAX_INSTRUCTIONS = 500_000
#: bits of a number that is a key: larger ones can be chosen to have the hash of others, and a
#: hundred thousand of one hash are looked through for each that is added
KEY_BITS = 60
PROTOCOLS = range(2, 6)
#: the instruction that each file of those protocols begins with, and no other
PROTO = b"\x80"


def read_pickle(data: bytes, name: str) -> object:
    """What a pickle holds: numbers, texts, lists, dicts, `PickledArray`s and `PickledObject`s.

    Parameters
    ----------
    data
        The file.
    name
        Which file it is, for errors.

    Raises
    ------
    ClassifierFileError
        The file is damaged or too large, or names or does anything that a classifier of the
        reference does not. Nothing of it was run.
    """
    if len(data) > MAX_BYTES:
        raise ClassifierFileError(f"{name}: a pickle of {len(data)} bytes, at most {MAX_BYTES}")
    if not data:
        raise ClassifierFileError(f"{name}: an empty file, expected a pickle")
    machine = _Machine(data)
    try:
        return machine.run()
    except (RefusedError, NotAnArrayError) as error:
        raise ClassifierFileError(f"{name}: a pickle that is not read: {error}") from None
    # what cannot be decoded
    except (ValueError, OverflowError) as error:
        raise ClassifierFileError(
            f"{name}: a damaged pickle at byte {machine.position}: {str(error)[:200]}"
        ) from error


class _Machine:
    """The stack, its marks and the memory of a pickle that is being read."""

    def __init__(self, data: bytes) -> None:
        self.file = BytesIO(data)
        self.position = 0
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.maker = ObjectMaker(len(data))
        #: whether it is of protocol 0 or 1
        self.older = not data.startswith(PROTO)
        self.instructions = _OLDER if self.older else _INSTRUCTIONS

    def run(self) -> object:
        for _ in range(MAX_INSTRUCTIONS):
            self.position = self.file.tell()
            code = self.file.read(1)
            if not code:
                raise ValueError("cut short")
            known = self.instructions.get(code)
            if known is None:
                raise RefusedError(
                    f"instruction {_NAMES.get(code, repr(code))} at byte {self.position}, which no"
                    f" classifier of the reference has{' in protocol 0 or 1' if self.older else ''}"
                )
            argument = known.read_argument(self.file) if known.read_argument else None
            if known.name == "STOP":
                if self.below or len(self.stack) != 1:
                    raise ValueError("it ends with loose parts")
                return self.stack[0]
            known.step(self, argument)
        raise RefusedError(f"more than {MAX_INSTRUCTIONS} instructions")

    def pop(self) -> Any:
        if not self.stack:
            raise ValueError("something is missing")
        return self.stack.pop()

    def top(self, kind: type[Any]) -> Any:
        if not self.stack or type(self.stack[-1]) is not kind:
            raise ValueError(f"no {kind.__name__} to add to")
        return self.stack[-1]

    def popped_to_mark(self) -> list[Any]:
        if not self.below:
            raise ValueError("no mark")
        items, self.stack = self.stack, self.below.pop()
        return items

    def proto(self, protocol: int) -> None:
        if protocol not in PROTOCOLS:
            raise RefusedError(f"protocol {protocol}, expected 2 to 5")

    def ignore(self, _: object) -> None:
        """For hints to readers of streams."""

    def mark(self, _: object) -> None:
        self.below.append(self.stack)
        self.stack = []

    def push(self, value: object) -> None:
        self.stack.append(value)

    def make_tuple(self, _: object) -> None:
        items = self.popped_to_mark()
        self.stack.append(tuple(items))

    def make_tuple_of(self, length: int) -> None:
        self.stack.append(tuple([self.pop() for _ in range(length)][::-1]))

    def make_list(self, _: object) -> None:
        items = self.popped_to_mark()
        self.stack.append(items)

    def make_dict(self, _: object) -> None:
        items = self.popped_to_mark()
        self.stack.append({})
        self.add_items(items)

    def append(self, _: object) -> None:
        item = self.pop()
        self.top(list).append(item)

    def appends(self, _: object) -> None:
        items = self.popped_to_mark()
        self.top(list).extend(items)

    def set_item(self, _: object) -> None:
        value, key = self.pop(), self.pop()
        self.add_items([key, value])

    def set_items(self, _: object) -> None:
        self.add_items(self.popped_to_mark())

    def add_items(self, items: list[Any]) -> None:
        target = self.top(dict)
        if len(items) % 2:
            raise ValueError("a key without a value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # attributes and class weights; hashing a deep tuple would end the process
            if type(key) is not str and type(key) is not int:
                raise ValueError("a key that is neither text nor number")
            if type(key) is int and key.bit_length() > KEY_BITS:
                raise ValueError(f"a key of {key.bit_length()} bits, expected at most {KEY_BITS}")
            target[key] = value

    def put(self, index: int | None) -> None:
        if not self.stack:
            raise ValueError("nothing to remember")
        self.memo[len(self.memo) if index is None else index] = self.stack[-1]

    def fetch(self, index: int) -> None:
        if index not in self.memo:
            raise ValueError("it refers to what it does not hold")
        self.stack.append(self.memo[index])

    def name(self, names: tuple[str, str]) -> None:
        self.push_name(*names)

    def stack_name(self, _: object) -> None:
        name, module = self.pop(), self.pop()
        if type(name) is not str or type(module) is not str:
            raise ValueError("a name that is no text")
        self.push_name(module, name)

    def push_name(self, module: str, name: str) -> None:
        known = known_name(module, name, older=self.older)
        if known is None:
            raise RefusedError(
                f"it names {f'{module}.{name}'[:120]!a}, which no classifier of the reference"
                " holds and which could run code"
            )
        self.stack.append(known)

    def new_object(self, _: object) -> None:
        arguments, cls = self.pop(), self.pop()
        self.stack.append(self.maker.new(cls, arguments))

    def reduce(self, _: object) -> None:
        arguments, function = self.pop(), self.pop()
        self.stack.append(self.maker.made(function, arguments))

    def build(self, _: object) -> None:
        state, target = self.pop(), self.pop()
        self.maker.set_state(target, state)
        self.stack.append(target)


_Step = Callable[[_Machine, Any], None]


class _Instruction(NamedTuple):
    name: str
    read_argument: Callable[[BytesIO], Any] | None
    step: _Step


def _push_new(make: Callable[[], object]) -> _Step:
    return lambda machine, _: machine.push(make())


_PUSHES = (
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT",
    "BINSTRING", "SHORT_BINSTRING", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
)  # fmt: skip
_STEPS: dict[str, _Step] = {
    **dict.fromkeys(_PUSHES, _Machine.push),
    **dict.fromkeys(["BINPUT", "LONG_BINPUT", "MEMOIZE"], _Machine.put),
    **dict.fromkeys(["BINGET", "LONG_BINGET"], _Machine.fetch),
    "PROTO": _Machine.proto,
    "FRAME": _Machine.ignore,
    "STOP": _Machine.ignore,
    "MARK": _Machine.mark,
    "NONE": _push_new(lambda: None),
    "NEWTRUE": _push_new(lambda: True),
    "NEWFALSE": _push_new(lambda: False),
    "EMPTY_DICT": _push_new(dict),
    "EMPTY_LIST": _push_new(list),
    "EMPTY_TUPLE": _push_new(tuple),
    "TUPLE": _Machine.make_tuple,
    "TUPLE1": lambda machine, _: machine.make_tuple_of(1),
    "TUPLE2": lambda machine, _: machine.make_tuple_of(2),
    "TUPLE3": lambda machine, _: machine.make_tuple_of(3),
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.stack_name,
    "NEWOBJ": _Machine.new_object,
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
}
#: instructions with a text behind them, which protocols 0 and 1 have beside others of theirs
_TEXT_STEPS: dict[str, _Step] = {
    **dict.fromkeys(["INT", "LONG", "FLOAT", "STRING", "UNICODE"], _Machine.push),
    "PUT": _Machine.put,
    "GET": _Machine.fetch,
    "LIST": _Machine.make_list,
    "DICT": _Machine.make_dict,
}
#: those of pickletools take backslashes in names for escapes, lines of any length for numbers, and
#: no byte of Python 2 that is not ASCII
_READERS: dict[str, Callable[[BytesIO], Any]] = {
    "GLOBAL": read_names,
    "INT": read_int,
    "LONG": read_long,
    "FLOAT": read_float,
    "STRING": read_string,
    "UNICODE": read_unicode,
    "PUT": read_place,
    "GET": read_place,
}
_NAMES = {info.code.encode("latin1"): info.name for info in pickletools.opcodes}


def _instructions(
    steps: Mapping[str, _Step], protocols: range = range(6)
) -> dict[bytes, _Instruction]:
    """The instructions of some protocols, by their code."""
    return {
        info.code.encode("latin1"): _Instruction(
            info.name,
            _READERS.get(info.name, info.arg.reader if info.arg else None),
            steps[info.name],
        )
        for info in pickletools.opcodes
        if info.name in steps and info.proto in protocols
    }


_INSTRUCTIONS = _instructions(_STEPS)
_OLDER = _instructions({**_STEPS, **_TEXT_STEPS}, range(2))

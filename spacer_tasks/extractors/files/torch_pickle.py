"""A pickle in a file of torch's, walked on a stack of its own before torch runs it.

torch lets a file call a few functions of its own, with any arguments. It hashes what a file names
as a key, puts it into errors, and multiplies it: a kilobyte of tuples, each of which holds the one
before it twice, is hashed in 2^60 steps, during which no other thread of Python runs. So the walk
knows the instructions that torch knows, and takes only what weights consist of: keys are texts and
numbers, and functions get as much as a file could hold by itself.

Source: `torch._weights_only_unpickler` of torch 2.13 (the instructions), `pickletools`.
"""

from __future__ import annotations

import pickletools
import re
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from typing import Any, NamedTuple

from spacer_tasks.exceptions import WeightsError

#: bytes of a pickle, which has no numbers of tensors in it; that of an EfficientNet-B0 has 42 kB
MAX_PICKLE = 2**20
#: characters of a text in it: names, and the bytes of a number. Each call that encodes one takes 6
#: bytes of the pickle, so all together make at most 200 MB
MAX_TEXT = 1000
#: numbers, texts and tuples that are given to functions, each as often as it is named: a tensor's
#: are 20, and an EfficientNet-B0 has 360 tensors
MAX_GIVEN = 500_000
#: lists and tuples that are begun and not ended; torch's pickles nest 10 deep
MAX_DEPTH = 1000
#: bits of a number that is a key: larger ones can be chosen to have the hash of others
KEY_BITS = 63
#: what torch rebuilds tensors and small objects with; each takes plain values and tensors
_CALLED = {
    *(f"torch._utils._rebuild_{what}" for what in ("tensor", "tensor_v2", "tensor_v3")),
    *(f"torch._utils._rebuild_{what}" for what in ("parameter", "parameter_with_state")),
    "torch._utils._rebuild_meta_tensor_no_storage", "torch._utils._rebuild_sparse_tensor",
    "torch.Size", "torch.device", "torch.nn.parameter.Parameter", "builtins.complex",
    "torch.serialization._get_layout",
}  # fmt: skip
#: what hashes all that is in its argument
_CONTAINERS = {"collections.OrderedDict", "collections.Counter", "builtins.set"}
_SCALARS = {"numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"}
#: a number's type in numpy; of a text or of raw bytes a scalar has as many as its type says
_NUMBER = re.compile(r"\?|[biufc](1|2|4|8|16)?")
_PUSHED = {"BININT", "BININT1", "BININT2", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING", "LONG1"}
_CONSTANTS = {"NONE": None, "NEWFALSE": False, "NEWTRUE": True, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class UnlikeTorchError(ValueError):
    """The pickle is damaged, or does what no weights do."""


class _Name:
    """A class or function that the pickle names."""

    def __init__(self, path: str) -> None:
        self.path = path


class _Made:
    """What a function made: a dict, a tensor, a number."""


class _Bytes(_Made):
    """Bytes that a text stands for."""


class Walked(NamedTuple):
    """What a pickle comes to, its length, and the keys of the storages that it names."""

    content: object
    length: int
    storages: set[object]


def walked(data: bytes, name: str) -> Walked:
    """The pickle that `data` begins with.

    Lists, tuples, texts and numbers are themselves; dicts and what functions make are not looked
    into.

    Raises
    ------
    WeightsError
        Something in it would make torch take memory or time without measure.
    UnlikeTorchError
        It is damaged, or not of torch's.
    """
    walk = _Walk(name)
    for instruction, argument, at in pickletools.genops(data):
        try:
            if instruction.name == "STOP":
                return Walked(walk.pop(), (at or 0) + 1, walk.storages)
            walk.step(instruction.name, argument)
        except IndexError:
            raise UnlikeTorchError(f"something is missing at byte {at} of a pickle") from None
    raise UnlikeTorchError("a pickle without an end")


class _Walk:
    def __init__(self, name: str) -> None:
        self.name = name
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.given = 0
        self.storages: set[object] = set()

    def step(self, instruction: str, argument: Any) -> None:
        if isinstance(argument, (str, bytes)) and len(argument) > MAX_TEXT:
            raise WeightsError(
                f"{self.name}: a text of {len(argument)} characters in it; expected at most"
                f" {MAX_TEXT}"
            )
        if instruction in _PUSHED:
            self.stack.append(argument)
        elif instruction in _CONSTANTS:
            self.stack.append(_CONSTANTS[instruction])
        elif instruction in _TUPLES:
            count = _TUPLES[instruction]
            self.stack.append(tuple([self.pop() for _ in range(count)][::-1]))
        elif instruction in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif instruction in ("BINGET", "LONG_BINGET"):
            if argument not in self.memo:
                raise UnlikeTorchError("a pickle that refers to what it does not hold")
            self.stack.append(self.memo[argument])
        else:
            step = _STEPS.get(instruction)
            if step is None:
                raise UnlikeTorchError(f"the instruction {instruction}, which torch does not write")
            step(self, argument)

    def pop(self) -> Any:
        return self.stack.pop()

    def popped_to_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.below.pop()
        return items

    def mark(self, _: object) -> None:
        if len(self.below) >= MAX_DEPTH:
            raise UnlikeTorchError(f"more than {MAX_DEPTH} beginnings without an end")
        self.below.append(self.stack)
        self.stack = []

    def make_tuple(self, _: object) -> None:
        items = self.popped_to_mark()
        self.stack.append(tuple(items))

    def append(self, _: object) -> None:
        item = self.pop()
        self.target(list).append(item)

    def appends(self, _: object) -> None:
        items = self.popped_to_mark()
        self.target(list).extend(items)

    def set_item(self, _: object) -> None:
        _value, key = self.pop(), self.pop()
        self.target(_Made)
        self.check_key(key)

    def set_items(self, _: object) -> None:
        items = self.popped_to_mark()
        self.target(_Made)
        for key in items[::2]:
            self.check_key(key)

    def target(self, kind: type[Any]) -> Any:
        if type(self.stack[-1]) is not kind:
            raise UnlikeTorchError("a pickle that adds to what is neither list nor dict")
        return self.stack[-1]

    def check_key(self, key: object) -> None:
        if not is_plain(key):
            raise WeightsError(
                f"{self.name}: a key in it is a {_kind(key)}; expected texts and numbers below"
                f" 2^{KEY_BITS}"
            )

    def global_name(self, argument: str) -> None:
        module, _, attribute = argument.partition(" ")
        module, attribute = NAME_MAPPING.get((module, attribute), (module, attribute))
        path = f"{IMPORT_MAPPING.get(module, module)}.{attribute}"
        if "bytearray" in path:
            raise WeightsError(f"{self.name}: it makes a bytearray; expected tensors and numbers")
        self.stack.append(_Name(path))

    def persistent(self, _: object) -> None:
        """A storage, which torch looks for under the key that stands in a tuple."""
        parts = self.pop()
        if type(parts) is not tuple:
            raise UnlikeTorchError("a storage without a description")
        self.count(parts)
        flat = [part for each in parts for part in (each if type(each) is tuple else (each,))]
        if not all(is_plain(part) or type(part) is _Name for part in flat):
            raise WeightsError(f"{self.name}: a storage in it has a name that is no text or number")
        # what it is, its type, its key
        self.storages.update(parts[2:3])
        self.stack.append(_Made())

    def call(self, _: object) -> None:
        arguments, function = self.pop(), self.pop()
        if type(function) is not _Name or type(arguments) is not tuple:
            raise WeightsError(f"{self.name}: it calls what is no function")
        self.count(arguments)
        path = function.path
        if path in _CONTAINERS:
            self.check_content(path, arguments)
        elif path == "_codecs.encode":
            # of what another call made, some codecs would make the double each time
            if not (len(arguments) == 2 and all(type(part) is str for part in arguments)):
                raise self.refused(path)
            if arguments[1] != "latin1":
                raise self.refused(path)
        elif path == "numpy.dtype":
            if not all(is_plain(part) for part in arguments) or not is_number(arguments):
                raise self.refused(path)
        elif path in _SCALARS:
            # without its bytes numpy makes them itself
            if len(arguments) != 2 or not isinstance(arguments[1], _Bytes):
                raise self.refused(path)
        elif path not in _CALLED:
            raise self.refused(path)
        self.stack.append(_Bytes() if path == "_codecs.encode" else _Made())

    def check_content(self, path: str, arguments: tuple[Any, ...]) -> None:
        # a dict's keys were looked at
        if not arguments or (len(arguments) == 1 and type(arguments[0]) is _Made):
            return
        content = arguments[0]
        if len(arguments) > 1 or not isinstance(content, (list, tuple)):
            raise self.refused(path)
        for item in content:
            # pairs, as Python 2 wrote an OrderedDict
            pairs = path == "collections.OrderedDict"
            if pairs and not (type(item) in (list, tuple) and item):
                raise self.refused(path)
            self.check_key(item[0] if pairs else item)

    def build(self, _: object) -> None:
        state = self.pop()
        self.target(_Made)
        if type(state) is tuple:
            self.count(state)
        # a list could be pairs, whose keys were not looked at
        elif state is not None and type(state) is not _Made:
            raise WeightsError(f"{self.name}: it sets a state that is a {_kind(state)}")

    def count(self, given: tuple[Any, ...]) -> None:
        """Go through all that is given to a function, also what it holds many times."""
        waiting: list[object] = [given]
        while waiting:
            item = waiting.pop()
            self.given += 1
            if self.given > MAX_GIVEN:
                raise WeightsError(
                    f"{self.name}: more than {MAX_GIVEN} values are given to functions in it, or"
                    " one holds others without end; expected tensors and numbers"
                )
            if isinstance(item, (list, tuple)):
                # all of a long one would wait at once
                if len(waiting) + len(item) > MAX_GIVEN:
                    self.given = MAX_GIVEN
                waiting.extend(item[: MAX_GIVEN + 1])

    def refused(self, path: str) -> UnlikeTorchError:
        return UnlikeTorchError(f"it calls {path[:100]!a} as no weights do")


def is_plain(value: object) -> bool:
    """Whether it is hashed and shown in a few steps: a text, truth or number of 64 bits."""
    if type(value) is int:
        return value.bit_length() <= KEY_BITS
    return value is None or type(value) in (str, bytes, float, bool)


def is_number(arguments: tuple[Any, ...]) -> bool:
    """Whether these are of a type of numpy's that is one number of a few bytes."""
    code = arguments[0] if arguments else None
    return type(code) is str and _NUMBER.fullmatch(code) is not None


def _kind(value: object) -> str:
    return "large number" if type(value) is int else type(value).__name__.strip("_").lower()


_STEPS: dict[str, Any] = {
    "PROTO": lambda walk, _: None,
    "MARK": _Walk.mark,
    "EMPTY_LIST": lambda walk, _: walk.stack.append([]),
    "EMPTY_DICT": lambda walk, _: walk.stack.append(_Made()),
    "EMPTY_SET": lambda walk, _: walk.stack.append(_Made()),
    "TUPLE": _Walk.make_tuple,
    "APPEND": _Walk.append,
    "APPENDS": _Walk.appends,
    "SETITEM": _Walk.set_item,
    "SETITEMS": _Walk.set_items,
    "GLOBAL": _Walk.global_name,
    "BINPERSID": _Walk.persistent,
    "REDUCE": _Walk.call,
    "BUILD": _Walk.build,
}

"""What a pickle makes of its names: data without behaviour.

An object becomes a `PickledObject`, an array is put together from its bytes, and nothing is
called.
"""

from __future__ import annotations

from typing import Any

from spacer_tasks.classifiers.pyspacer.arrays import PickledArray, PickledType, scalar
from spacer_tasks.classifiers.pyspacer.names import KnownName


class RefusedError(ValueError):
    """The pickle does what no classifier of the reference does."""


class PickledObject:
    """An object of a pickle: where its class was, and its attributes (None: not yet)."""

    def __init__(self, module: str, name: str, attributes: dict[str, Any] | None = None) -> None:
        self.module = module
        self.name = name
        self.attributes = attributes

    def get(self, key: str) -> Any:
        """An attribute, or None where it has none of this name."""
        return (self.attributes or {}).get(key)


class ObjectMaker:
    """Makes what one pickle asks for, within a bound.

    Parameters
    ----------
    size
        Bytes of the file. No more than these are ever copied: a true file has each of its bytes
        once, a hostile one could name the same megabytes again and again.
    """

    def __init__(self, size: int) -> None:
        self._left = size

    def new(self, cls: object, arguments: object) -> PickledObject:
        """An object of a class, without attributes as yet."""
        plain = type(arguments) is tuple and not arguments
        if not isinstance(cls, KnownName) or cls.makes or not plain:
            raise RefusedError("it makes an object of what is no class of a classifier")
        return PickledObject(cls.module, cls.name)

    def made(self, function: object, arguments: object) -> object:
        """What a function would make of these arguments."""
        if not isinstance(function, KnownName) or type(arguments) is not tuple:
            raise RefusedError("it calls what is no function")
        makes, count = function.makes, len(arguments)
        if makes is None:
            # a loss with its threshold, a random generator: none is used to classify
            return PickledObject(function.module, function.name)
        if makes == "dtype":
            return PickledType(arguments)
        if makes == "object" and count == 3:
            return self._reconstructed(*arguments)
        if makes == "no bytes" and not count:
            return b""
        if makes == "bytes" and count == 2 and arguments[1] == "latin1":
            return self._bytes(arguments[0])
        if makes == "array" and count == 3 and _is_ndarray(arguments[0]):
            return PickledArray()
        if makes == "filled array" and count == 4:
            raw, dtype, shape, order = arguments
            array = PickledArray()
            array.set_state(shape, dtype, order == "F", self._bytes(raw))
            return array
        if makes == "scalar" and count == 2:
            raw = self._bytes(arguments[1])
            self._count(raw)
            return scalar(arguments[0], raw)
        raise RefusedError(f"it calls {function.module}.{function.name} with other arguments")

    def _reconstructed(self, cls: object, base: object, content: object) -> PickledObject:
        """As `new`, in the way of protocols 0 and 1."""
        plain = isinstance(base, KnownName) and base.makes == "object's base"
        if not plain or content is not None:
            raise RefusedError("it makes an object of another base than a classifier's parts have")
        return self.new(cls, ())

    def set_state(self, target: object, state: object) -> None:
        """Complete an object, an array or a type."""
        if isinstance(target, PickledArray) and target.value is None:
            if type(state) is not tuple or len(state) != 5:
                raise RefusedError("it has an array without the five parts of one")
            _, shape, dtype, fortran, raw = state
            target.set_state(shape, dtype, fortran == 1, self._bytes(raw))
        elif isinstance(target, PickledType):
            target.set_state(state)
        elif isinstance(target, PickledObject) and target.attributes is None:
            if type(state) is dict:
                # not a copy: thousands of objects could name one large dict
                target.attributes = state
            elif type(state) is tuple and target.module.startswith("numpy.random"):
                target.attributes = {}
            else:
                raise RefusedError(f"it gives a {target.name} a state other than attributes")
        else:
            raise RefusedError("it sets the state of what takes none")

    def _bytes(self, value: object) -> object:
        """Python 2's bytes come as texts of latin1; what is neither is left to be refused."""
        if type(value) is not str:
            return value
        self._count(value)
        return value.encode("latin1")

    def _count(self, copied: object) -> None:
        self._left -= len(copied) if isinstance(copied, str | bytes | bytearray) else 0
        if self._left < 0:
            raise RefusedError("it unfolds to more than its own size")


def _is_ndarray(value: object) -> bool:
    return isinstance(value, KnownName) and value.makes == "ndarray"

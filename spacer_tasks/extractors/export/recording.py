"""The operators that a torch network runs, as a list: what an ONNX model is made from.

The network is run on a few patches, and every ATen operator that it calls is noted with what it was
given. It runs twice, on two numbers of patches: sizes that differ between the runs are multiples of
how many patches there are. What does not come from the patches is a constant.

`torch.onnx.export` does this for every network there is. It is not used: the exporter of today
needs a further package and loads torch's compiler, the one before it is deprecated, and each takes
four seconds and more for EfficientNet-B0, every time that a worker loads it. This takes what five
patches take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

#: patches of the two runs. For a single one, torch leaves some steps out: if the runs differ, two
#: others follow
COUNTS = ((1, 2), (2, 3))
MOST = COUNTS[-1][-1]


class NotExportableError(Exception):
    """The network does what no ONNX model is made of here; the text says what."""


class Batch(NamedTuple):
    """A size that is this many times the number of patches."""

    times: int


class Value(NamedTuple):
    """What comes from the patches: its number, its shape and its type."""

    number: int
    shape: tuple[int | Batch, ...]
    dtype: torch.dtype


class Repeated(NamedTuple):
    """A constant that there is once for each patch, along the first axis; of length 1 there."""

    tensor: Tensor


class Call(NamedTuple):
    """An operator by its name in ATen, its arguments with their defaults, and what it gives."""

    operator: str
    arguments: dict[str, Any]
    outputs: tuple[Value, ...]


class Recording(NamedTuple):
    """All calls in their order. Value 0 is the patches."""

    calls: list[Call]
    result: Value


def recorded(
    network: Callable[[Tensor], Tensor], patches: NDArray[np.uint8]
) -> tuple[Recording, NDArray[np.float32]]:
    """What a network does with any number of patches, and its vectors of the first of these.

    Parameters
    ----------
    network
        On the CPU; from patches, uint8, to vectors.
    patches
        `MOST` of them.

    Raises
    ------
    NotExportableError
        It reads numbers back from a tensor, changes memory that another tensor shows too, or does
        other things for another number of patches.
    """
    for few, more in COUNTS:
        try:
            # others, so that what is computed from patches unseen is no constant
            one, _ = _run(network, patches[-few:])
            other, vectors = _run(network, patches[:more])
            return _Both(few, more).recording(one, other), vectors.numpy()
        except _DiffersError as error:
            why = str(error)
    raise NotExportableError(why)


def _run(
    network: Callable[[Tensor], Tensor], patches: NDArray[np.uint8]
) -> tuple[Recording, Tensor]:
    given = torch.tensor(patches)
    recorder = _Recorder(given)
    # without gradients, but not in inference mode: there torch does not take operators apart
    try:
        with torch.no_grad(), recorder:
            vectors = network(given)
    # a kind of tensor or call that this does not know; what is wrong in torch too will fail there
    except RuntimeError as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise NotExportableError(reason[:200]) from error
    result = recorder.known(vectors) if isinstance(vectors, Tensor) else vectors
    if not isinstance(result, Value):
        raise NotExportableError("what it gives is not a tensor that comes from the patches")
    return Recording(recorder.calls, result), vectors


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the calls of the thread that enters it."""

    def __init__(self, patches: Tensor) -> None:
        # torch gives it no types
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[Call] = []
        #: by the tensor's id, what it is; the tensor too, so that no other gets its id. None where
        #: it was changed through another that shares its memory
        self._values: dict[int, tuple[Tensor, Value | None]] = {}
        #: by the memory, the tensors in it that are values
        self._sharing: dict[int, list[Tensor]] = {}
        #: memory of constants to which something was written that comes from the patches
        self._spoiled: dict[int, Tensor] = {}
        self._count = 0
        self._name(patches)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # torch would load its compiler, for seconds, in order not to compile this
        return False

    def known(self, tensor: Tensor) -> Value | Tensor:
        """The value that a tensor is, or the tensor where it is a constant."""
        if id(tensor) in self._values:
            value = self._values[id(tensor)][1]
            if value is not None:
                return value
        elif _memory(tensor) not in self._spoiled:
            return tensor
        raise NotExportableError("it changes a tensor in place and reads it through another")

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        schema = func._schema
        operator = schema.name.rpartition("::")[2]
        given = dict(zip((each.name for each in schema.arguments), args, strict=False)) | kwargs
        arguments = {
            each.name: _mapped(given.get(each.name, each.default_value), self.known)
            for each in schema.arguments
        }
        changed = [
            given[each.name]
            for each in schema.arguments
            if each.alias_info is not None and each.alias_info.is_write and each.name in given
        ]
        if not any(isinstance(each, Value) for each in _leaves(arguments)):
            if changed:
                raise NotExportableError(f"{operator} changes a constant")
            # so what it gives is one too
            return func(*args, **kwargs)
        before = _placed(args[0] if args else None)
        result = func(*args, **kwargs)
        outputs = list(result) if isinstance(result, (tuple, list)) else [result]
        if not all(isinstance(each, Tensor) for each in outputs):
            raise NotExportableError(f"it reads numbers back from a tensor ({operator})")
        if operator.startswith("as_strided") and _placed(result) == before:
            # pools write strides anew that stay the same
            operator, arguments = "alias", {"self": arguments["self"]}
        for tensor in changed:
            self._note_change(tensor, operator, outputs)
        named = tuple(self._name(each) for each in outputs)
        # in place or not is the same for values, which never change
        operator = operator.removesuffix("_") if changed else operator
        self.calls.append(Call(operator, arguments, named))
        return result

    def _note_change(self, tensor: Tensor, operator: str, outputs: list[Tensor]) -> None:
        if not any(each is tensor for each in outputs):
            raise NotExportableError(f"{operator} writes to a tensor that is not what it gives")
        for other in self._sharing.get(_memory(tensor), ()):
            self._values[id(other)] = (other, None)
        self._spoiled[_memory(tensor)] = tensor

    def _name(self, tensor: Tensor) -> Value:
        value = Value(self._count, tuple(tensor.shape), tensor.dtype)
        self._count += 1
        self._values[id(tensor)] = (tensor, value)
        sharing = self._sharing.setdefault(_memory(tensor), [])
        if not any(each is tensor for each in sharing):
            sharing.append(tensor)
        return value


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _placed(tensor: Any) -> object:
    """Where each of a tensor's numbers is."""
    if not isinstance(tensor, Tensor):
        return None
    sizes = zip(tensor.shape, tensor.stride(), strict=True)
    return tensor.data_ptr(), [(length, step if length > 1 else 0) for length, step in sizes]


def _mapped(found: Any, change: Callable[[Tensor], Any]) -> Any:
    """An argument with each tensor in it changed."""
    if isinstance(found, Tensor):
        return change(found)
    if isinstance(found, (list, tuple)):
        return [_mapped(each, change) for each in found]
    return found


def _leaves(arguments: Mapping[str, Any]) -> Iterator[Any]:
    for argument in arguments.values():
        if isinstance(argument, list):
            yield from argument
        else:
            yield argument


class _DiffersError(Exception):
    """Two runs are not the same but for the number of patches."""


class _Both(NamedTuple):
    """Makes one recording of two, by how many patches they had."""

    few: int
    more: int

    def recording(self, one: Recording, other: Recording) -> Recording:
        """With `Batch` where they differ."""
        if [each.operator for each in one.calls] != [each.operator for each in other.calls]:
            raise _DiffersError("it does other things for another number of patches")
        calls = [
            Call(a.operator, self._of(a.arguments, b.arguments), self._of(a.outputs, b.outputs))
            for a, b in zip(one.calls, other.calls, strict=True)
        ]
        return Recording(calls, self._of(one.result, other.result))

    def _of(self, a: Any, b: Any) -> Any:
        if isinstance(a, Value) and isinstance(b, Value) and a.number == b.number:
            return Value(a.number, self._of(a.shape, b.shape), a.dtype)
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            return self._of_constants(a, b)
        if isinstance(a, dict) and isinstance(b, dict):
            return {key: self._of(a[key], b[key]) for key in a}
        if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
            return type(a)([self._of(one, other) for one, other in zip(a, b, strict=True)])
        if type(a) is type(b) and not isinstance(a, (Tensor, Value)):
            if a == b:
                return a
            if isinstance(a, int) and a % self.few == 0 and a // self.few * self.more == b:
                return Batch(a // self.few)
        raise _depends_on_count()

    def _of_constants(self, a: Tensor, b: Tensor) -> Tensor | Repeated:
        if _placed(a) == _placed(b) and a.dtype == b.dtype:
            return a
        if a.shape == b.shape and torch.equal(a, b):
            return a
        # such as a token that is put before those of each patch
        lengths = tuple(each.shape[0] if each.ndim else 0 for each in (a, b))
        if lengths == self and a.shape[1:] == b.shape[1:]:
            first = a[:1]
            if torch.equal(first.expand_as(a), a) and torch.equal(first.expand_as(b), b):
                return Repeated(first)
        raise _depends_on_count()


def _depends_on_count() -> _DiffersError:
    return _DiffersError("a constant or a size in it is another for each number of patches")

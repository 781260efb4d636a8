"""Pickles of weights that would keep torch, and all of Python, busy for ever."""

from __future__ import annotations

import io
from collections import Counter, OrderedDict, defaultdict

import numpy as np
import pytest
import torch

from spacer_tasks.exceptions import WeightsError
from spacer_tasks.extractors.files.state_dict import read_state_dict
from spacer_tasks.extractors.files.torch_file import check_torch_file
from spacer_tasks.extractors.files.torch_pickle import MAX_GIVEN
from tests.support.files.hostile_sizes import in_zip

#: a tuple that holds one twice that holds one twice …: hashed and shown in 2^60 steps
NESTED = b"K\x01" + b"q\x00h\x00\x86" * 60
NAME = b"X\x01\x00\x00\x00a"
TWO_LISTS = b"(]" + b"q\x06](h\x06h\x06e" * 60 + b"t"


def called(path: str, arguments: bytes) -> bytes:
    module, _, name = path.rpartition(".")
    return f"c{module}\n{name}\n".encode() + arguments + b"R"


STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\n%bX\x03\x00\x00\x00cpuK\x01tQ"
LARGE = b"\x8a\x14" + b"\x7f" * 20
HOSTILE: dict[str, tuple[bytes, str]] = {
    "a key": (b"}" + NESTED + b"K\x01s", "a key in it is a tuple"),
    "one of several keys": (b"}(" + NAME + b"K\x01" + NESTED + b"K\x01u", "a key in it is a tuple"),
    "a key of an OrderedDict": (
        called("collections.OrderedDict", b")") + NESTED + b"K\x01s",
        "a key in it is a tuple",
    ),
    "a pair of an OrderedDict": (
        called("collections.OrderedDict", b"](](" + NESTED + b"K\x01ee\x85"),
        "a key in it is a tuple|one holds others without end",
    ),
    "what a set has": (
        called("builtins.set", b"](" + NESTED + b"e\x85"),
        "a key in it is a tuple|one holds others without end",
    ),
    "what a set of Python 2 has": (
        called("__builtin__.set", b"](" + NESTED + b"e\x85"),
        "a key in it is a tuple|one holds others without end",
    ),
    "a short tuple in a set": (
        called("builtins.set", b"](K\x01K\x01\x86e\x85"),
        "a key in it is a tuple",
    ),
    "what a Counter counts": (
        called("collections.Counter", NESTED + b"\x85"),
        "a key in it is a tuple|one holds others without end",
    ),
    "a text in a Counter, twice": (
        called("collections.Counter", b"](K\x01K\x01e](K\x01e\x86"),
        "calls 'collections.Counter' as no weights do",
    ),
    "an attribute by pairs": (
        called("collections.OrderedDict", b")") + b"](](" + NESTED + b"K\x01eeb",
        "sets a state that is a list",
    ),
    "the name of a storage": (STORAGE % NESTED, "without end|a storage in it has a name"),
    "a short tuple as a storage's name": (STORAGE % b"K\x01\x85\x85", "a storage in it has a name"),
    "the shape of a tensor": (
        called("torch._utils._rebuild_tensor_v2", b"(" + NESTED + b"K\x00NNNNt"),
        "without end",
    ),
    "a size": (called("torch.Size", NESTED + b"\x85"), "without end"),
    "a list of lists": (called("torch.Size", TWO_LISTS + b"\x85"), "without end"),
    "a list of itself": (called("torch.Size", b"]q\x01h\x01a\x85"), "without end"),
    "a function, which an error shows": (NESTED + b")R", "calls what is no function"),
    "a class, which an error shows": (NESTED + b")\x81", "NEWOBJ, which torch does not write"),
    "fields of a type": (
        called("numpy.dtype", b"](" + NAME + NAME + b"\x86e\x85"),
        "calls 'numpy.dtype' as no weights do",
    ),
    "a number of two gigabytes": (
        called("numpy.core.multiarray.scalar",
               called("numpy.dtype", b"(X\x0b\x00\x00\x00S2000000000\x89\x88t") + b"\x85"),
        "calls 'numpy.dtype' as no weights do",
    ),
    "a number of half a billion others": (
        called("numpy.core.multiarray.scalar",
               called("numpy.dtype", b"(X\x0f\x00\x00\x00(500000000,)f4 \x89\x88t") + b"\x85"),
        "calls 'numpy.dtype' as no weights do",
    ),
    "a number without its bytes": (
        called("numpy.core.multiarray.scalar",
               called("numpy.dtype", b"(X\x02\x00\x00\x00f8\x89\x88t") + b"\x85"),
        "calls 'numpy.core.multiarray.scalar' as no weights do",
    ),
    "a text that doubles": (
        NAME + b"".join(
            b"q\x01c_codecs\nencode\nh\x01X\x03\x00\x00\x00hex\x86R" for _ in range(40)
        ),
        "calls '_codecs.encode' as no weights do",
    ),
    "a text that doubles, as bytes": (
        called("_codecs.encode", called("_codecs.encode", NAME + b"X\x06\x00\x00\x00latin1\x86")
               + b"X\x06\x00\x00\x00latin1\x86"),
        "calls '_codecs.encode' as no weights do",
    ),
    "a key with the hash of others": (b"}" + LARGE + b"K\x01s", "a key in it is a large number"),
    "a key of a dict that is none": (b"]" + NESTED + b"K\x01s", "neither list nor dict"),
    "memory without content": (
        called("torch.storage.UntypedStorage", b"J\xff\xff\xff\x7f\x85"),
        "calls 'torch.storage.UntypedStorage' as no weights do",
    ),
    "a function of another": (
        called("torch._tensor._rebuild_from_type_v2", b"(NNNNt"),
        "calls 'torch._tensor._rebuild_from_type_v2' as no weights do",
    ),
    "what is not there": (b"a", "something is missing"),
    "what was not remembered": (b"h\x07", "refers to what it does not hold"),
    "nothing under a mark": (b"t", "something is missing"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_hashed_and_given_to_functions_is_bounded(name: str) -> None:
    instructions, told = HOSTILE[name]
    data = in_zip(b"\x80\x02" + instructions + b".")
    assert len(data) < 5000
    with pytest.raises(WeightsError, match=f"reef.*({told})"):
        read_state_dict(data, "reef", "net")


def old(names: bytes, magic: int = 0x1950A86A20F9469CFC6C) -> bytes:
    """As torch saved before 1.6: five pickles, of which the last has the tensors' names."""
    start = b"\x80\x02\x8a\x0a" + magic.to_bytes(10, "little") + b"."
    return b"".join([start, b"\x80\x02M\xe9\x03.", b"\x80\x02}." * 2, b"\x80\x02", names, b"."])


@pytest.mark.parametrize("names", [b"](" + NESTED + b"e", b"](K\x01\x85e", NESTED, b"}"])
def test_names_of_tensors_before_zips_are_texts(names: bytes) -> None:
    check_torch_file(old(b"](K\x01e"), "reef")
    with pytest.raises(WeightsError, match=r"reef.*tensors' names are no texts"):
        check_torch_file(old(names), "reef")


def test_tensors_before_zips_have_their_numbers_in_the_file() -> None:
    empty = b"\x80\x02}."
    named = b"\x80\x02" + STORAGE % NAME + b"."
    with_numbers, without = (
        old(names).replace(empty * 2, empty + named) for names in (b"](" + NAME + b"e", b"]")
    )
    check_torch_file(with_numbers, "reef")
    # torch would use what was in memory before
    with pytest.raises(WeightsError, match=r"reef.*tensors without their numbers"):
        check_torch_file(without, "reef")


def test_what_begins_as_neither_format_is_not_given_to_torch() -> None:
    with pytest.raises(WeightsError, match=r"reef.*neither a zip nor what torch wrote before"):
        check_torch_file(old(b"]", magic=7), "reef")


@pytest.mark.parametrize("zipped", [True, False])
def test_what_is_saved_beside_weights_is_read(zipped: bool) -> None:
    linear = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(linear.parameters())
    linear(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    content = {
        "net": linear.state_dict(),
        "optimizer": optimizer.state_dict(),
        "parameters": list(linear.parameters()),
        "views": [torch.arange(6)[2:4], torch.arange(6).reshape(2, 3).T],
        "types": [torch.zeros(2, dtype=kind) for kind in (torch.bfloat16, torch.int8, torch.bool)],
        "sparse": torch.eye(2).to_sparse(),
        "beside": [
            np.float64(0.5), np.int64(3), torch.Size([1, 2]), torch.device("cpu"), torch.float16,
            {1, 2}, Counter("reef"), OrderedDict(a=1), 1 + 2j, b"bytes", None, True, 2**200,
            {"deep": {"deeper": [1, (2, (3, 4))]}}, {1: 2, 0.5: 3, None: 4, False: 5},
        ],
    }  # fmt: skip
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=zipped)
    net = read_state_dict(stream.getvalue(), "reef", "net")
    assert net["weight"].equal(linear.weight)
    assert list(net) == ["weight", "bias"]


def test_a_network_of_thousands_of_tensors_is_read() -> None:
    net = {f"layers.{number}.weight": torch.zeros(1, 1) for number in range(5_000)}
    stream = io.BytesIO()
    torch.save({"net": net}, stream)
    assert len(read_state_dict(stream.getvalue(), "reef", "net")) == 5_000
    assert MAX_GIVEN >= 5_000 * 20


def test_what_torch_itself_does_not_read_is_no_weights_file() -> None:
    stream = io.BytesIO()
    torch.save({"net": defaultdict(list)}, stream)
    with pytest.raises(WeightsError, match="reef is not a weights file"):
        read_state_dict(stream.getvalue(), "reef", "net")

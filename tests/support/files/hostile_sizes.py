"""Feature files, classifiers and weights that claim to be large, or become so."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from spacer_tasks.classifiers.safetensors_file import FORMAT


def npy(shape: tuple[int, ...], content: bytes = b"", kind: str = "<f4") -> bytes:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


def npz(**entries: bytes | io.BytesIO) -> bytes:
    small = {"meta": npy((3,), np.array([1, 2, 3], "<f4").tobytes())}
    ones = npy((2,), np.ones(2, "<f4").tobytes())
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**small, "rows": ones, "cols": ones, **entries}.items():
            archive.writestr(f"{name}.npy", data)  # type: ignore[arg-type]
    return stream.getvalue()


def understated(data: bytes, name: bytes, size: int) -> bytes:
    """A zip whose directory and entry say that this entry becomes smaller than it does."""
    changed = bytearray(data)
    for signature, at_size, at_name in ((b"PK\1\2", 24, 46), (b"PK\3\4", 22, 30)):
        start = 0
        while (start := changed.find(signature, start)) >= 0:
            if changed[start + at_name : start + at_name + len(name)] == name:
                struct.pack_into("<I", changed, start + at_size, size)
            start += 4
    return bytes(changed)


def npy_header(text: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


TWO_POINTS = npy((2, 3), bytes(24))
ZEROS = npy((2, 50_000_000), bytes(400_000_000))


FEATURE_FILES: dict[str, Callable[[], bytes]] = {
    "10^12 points": lambda: npz(feat=npy((10**12, 4096))),
    "a shape whose product is small again": lambda: npz(feat=npy((2**32, 2**32))),
    "points without dimensions": lambda: npz(feat=npy((10**12, 0))),
    "less than nothing": lambda: npz(feat=npy((-1, -(10**12)))),
    "a hundred dimensions": lambda: npz(feat=npy((1,) * 30)),
    "a text of a gigabyte": lambda: npz(origin=npy((), b"", "<U268435456")),
    "objects": lambda: npz(feat=npy((2, 3), bytes(48), "|O")),
    "a bomb": lambda: npz(feat=ZEROS),
    "70 MB of a byte for each number": lambda: npz(
        feat=npy((100_000, 700), bytes(70_000_000), "|u1")
    ),
    "18 MB of a byte for each number": lambda: npz(
        feat=npy((16_000, 1_100), bytes(17_600_000), "|u1")
    ),
    "five million rows of two points": lambda: npz(
        feat=TWO_POINTS, rows=npy((5_000_000,), bytes(5_000_000), "|u1")
    ),
    "five million numbers that say how many": lambda: npz(
        feat=TWO_POINTS, meta=npy((5_000_000,), bytes(5_000_000), "|u1")
    ),
    "a header nested too deep": lambda: npz(feat=npy_header(b"-" * 9000 + b"1")),
    "a header nested deep": lambda: npz(feat=npy_header(b"-" * 900 + b"1")),
    "entries without end": lambda: npz(feat=TWO_POINTS, **{str(n): b"" for n in range(200)}),
    "a bomb that says it is small": lambda: understated(npz(feat=ZEROS), b"feat.npy", 1000),
}


def safetensors(tensors: dict[str, Any], length: int | None = None, **header: Any) -> bytes:
    described = {
        "format": FORMAT, "version": 1, "clf_type": "LR", "hidden_activation": "relu",
        "output": "logistic", "layers": 1, "feature_dim": 5, "classes": [1, 2], "trained": {},
        **header,
    }  # fmt: skip
    text = json.dumps({"__metadata__": {"classifier": json.dumps(described)}, **tensors}).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text


def tensor(shape: list[int], end: int) -> dict[str, Any]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}


CLASSIFIERS: dict[str, Callable[[], bytes]] = {
    "a header of an exabyte": lambda: safetensors({}, 2**60),
    "a header as long as can be said": lambda: safetensors({}, 2**64 - 1),
    "10^12 numbers": lambda: safetensors({"layer.0.weight": tensor([10**12, 1], 4 * 10**12)}),
    "10^12 numbers in no bytes": lambda: safetensors({"layer.0.weight": tensor([10**12, 1], 0)}),
    "a shape whose product is small again": lambda: safetensors(
        {"layer.0.weight": tensor([2**32, 2**32], 0)}
    ),
    "a shape below nothing": lambda: safetensors({"layer.0.weight": tensor([-5, 1], 0)}),
    "a billion layers": lambda: safetensors({}, layers=10**9),
    "10^12 dimensions": lambda: safetensors({}, feature_dim=10**12),
    "20,000 tensors": lambda: safetensors({str(n): tensor([0], 0) for n in range(20_000)}),
}


def weights(content: Callable[[str, bytes], bytes] = lambda _, data: data, **how: Any) -> bytes:
    """What torch.save writes, its entries changed and packed by another writer."""
    stream, packed = io.BytesIO(), io.BytesIO()
    torch.save({"net": {"a": torch.zeros(2, 3)}}, stream)
    with zipfile.ZipFile(stream) as source, zipfile.ZipFile(packed, "w", **how) as archive:
        for name in source.namelist():
            archive.writestr(name, content(name, source.read(name)))
    return packed.getvalue()


def larger(end: str) -> Callable[[str, bytes], bytes]:
    """Adds 400 MB to the entry of this end."""
    return lambda name, data: data + bytes(400_000_000) if name.endswith(end) else data


def with_two_lists() -> bytes:
    """Python finds the second list of entries, of a harmless file; torch is led to the first."""
    bomb = weights(larger("data.pkl"), compression=zipfile.ZIP_DEFLATED)
    (start,) = struct.unpack_from("<I", bomb, len(bomb) - 6)
    both = bytearray(bomb[:-22] + weights())
    struct.pack_into("<I", both, len(both) - 6, start)
    return bytes(both)


def with_entries_that_share(data: bytes, times: int) -> bytes:
    """The list of entries so many times over: all lie in the same bytes."""
    count, size, start = struct.unpack_from("<HII", data, len(data) - 12)
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count * times, count * times, size * times,
                      start, 0)  # fmt: skip
    return data[:start] + data[start : start + size] * times + end


def pickled(instructions: bytes) -> bytes:
    """A list of what these make."""
    return b"\x80\x02](" + instructions + b"e."


def in_zip(pickle: bytes) -> bytes:
    return weights(lambda name, data: pickle if name.endswith("data.pkl") else data)


#: 3 GB in 60 bytes
BYTEARRAYS = pickled((b"c__builtin__\nbytearray\n" + b"J\xff\xff\xff\x3f" + b"\x85R") * 3)
#: 1 GB in one
ENCODED = pickled(
    b"X\x00\x00\x10\x00" + b"x" * 2**20 + b"q\x00" + b"c_codecs\nencode\nh\x00\x85R" * 1000
)


OTHER_LETTERS = pickled("c__builtin__\nb\u00fctearray\n".encode())
#: each holds the one before it twice: hashing the last takes 2^60 steps
TUPLES = b"\x80\x02})" + b"q\x00h\x00\x86" * 60 + b"K\x01s."
DEFLATED = {"compression": zipfile.ZIP_DEFLATED}
#: the file, and why it is refused
WEIGHTS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a tensor that is a bomb": (lambda: weights(larger("data/0"), **DEFLATED), "is compressed"),
    "a pickle that is a bomb": (lambda: weights(larger("data.pkl"), **DEFLATED), "is compressed"),
    "a version that is a bomb": (lambda: weights(larger("/version"), **DEFLATED), "is compressed"),
    "another way of packing": (
        lambda: weights(larger("data/0"), compression=zipfile.ZIP_LZMA),
        "is compressed",
    ),
    "a bomb behind a harmless list": (with_two_lists, "another program wrote"),
    "a note at its end": (lambda: weights() + bytes(30), "another program wrote"),
    "entries that share their bytes": (
        lambda: with_entries_that_share(weights(lambda _, data: data + bytes(5000)), 9),
        r"\d+ bytes in a file of \d+; expected no more",
    ),
    "arrays of a gigabyte": (lambda: in_zip(BYTEARRAYS), "it makes a bytearray"),
    "arrays of a gigabyte, before zips": (lambda: BYTEARRAYS, "it makes a bytearray"),
    "a text encoded a thousand times": (lambda: in_zip(ENCODED), "a large one"),
    "half such a text": (
        lambda: in_zip(pickled(b"X\x00\x00\x08\x00" + b"x" * 2**19)),
        "a text of 524288 characters",
    ),
    "tuples of tuples as a key": (lambda: in_zip(TUPLES), "a key in it is a tuple"),
    "tuples of tuples as a key, before zips": (lambda: TUPLES, "a key in it is a tuple"),
    "a million beginnings": (lambda: in_zip(b"\x80\x02" + b"(" * 10**6 + b"."), "1000 beginnings"),
    "other letters in a name": (lambda: in_zip(OTHER_LETTERS), "a damaged pickle"),
    "a list of entries without end": (
        lambda: with_entries_that_share(weights(), 4000),
        "bytes list what is in the file",
    ),
}


def old_weights() -> bytes:
    """Of torch before 1.6: a tensor of 77 numbers that claims 400 MB, in both places."""
    stream = io.BytesIO()
    torch.save({"net": {"a": torch.zeros(77)}}, stream, _use_new_zipfile_serialization=False)
    claimed = 100_000_000
    data = stream.getvalue().replace(b"K\x4d", b"J" + struct.pack("<I", claimed))
    return data.replace(struct.pack("<Q", 77), struct.pack("<Q", claimed))

"""Pickles that try to run code, to take all memory, or to confuse whoever reads them.

`HOSTILE` has for each what it is, its bytes, and a pattern of why it is refused: a file refused
for another reason would not show what it is here for. Each runs, or would run, `touch ran`.
"""

from __future__ import annotations

import functools
import operator
import os
import pickle
import struct
from typing import Any

COMMAND = "touch ran"
PROTO = b"\x80\x02"
PROTO4 = b"\x80\x04"
CALIBRATED = b"csklearn.calibration\nCalibratedClassifierCV\n"
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
SCALAR = b"cnumpy.core.multiarray\nscalar\n"
DTYPE = b"cnumpy\ndtype\n"


class Calls:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def text(value: str) -> bytes:
    encoded = value.encode("utf-8")
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def number(value: int) -> bytes:
    encoded = pickle.encode_long(value)
    return b"\x8a" + bytes([len(encoded)]) + encoded


def call(module: str, name: str, *arguments: bytes) -> bytes:
    return f"c{module}\n{name}\n".encode() + b"(" + b"".join(arguments) + b"tR"


def module_and_name(path: str) -> tuple[str, str]:
    module, _, name = path.rpartition(".")
    return module, name


def of_stack(module: str, name: str) -> bytes:
    return text(module) + text(name) + b"\x93"


def inside(part: bytes) -> bytes:
    """An attribute of an otherwise harmless classifier."""
    return PROTO + CALIBRATED + b")\x81}(" + text("cv") + text("prefit") + text("x") + part + b"ub."


def array(shape: bytes, code: str, raw: bytes) -> bytes:
    made = RECONSTRUCT + b"(cnumpy\nndarray\nK\x00\x85U\x01btR"
    dtype = DTYPE + b"(" + text(code) + b"K\x00K\x01tR"
    return PROTO + made + b"(K\x01" + shape + dtype + b"\x89" + raw + b"tb."


def deep_tuple() -> bytes:
    """A hash, a comparison or a text of it takes more stack than a process has."""
    return b")" + b"\x85" * 100_000


RUN = text(COMMAND)
SYSTEM = call("posix", "system", RUN)
FORBIDDEN = (
    "__builtin__.apply",
    "__builtin__.bytearray",
    "__builtin__.eval",
    "_codecs.decode",
    "_pickle.loads",
    "builtins.open",
    "builtins.print",
    "copy_reg._reconstructor",
    "copyreg.__newobj__",
    "ctypes.CDLL",
    "importlib.import_module",
    "joblib.load",
    "joblib.numpy_pickle.NumpyArrayWrapper",
    "marshal.loads",
    "numpy.core.multiarray.fromfile",
    "numpy.core.records.fromfile",
    "numpy.f2py.compile",
    "numpy.fromfile",
    "numpy.lib.format.read_array",
    "numpy.load",
    "numpy.memmap",
    "numpy.object_",
    "numpy.testing._private.utils.runstring",
    "pandas.read_pickle",
    "pickle.loads",
    "posix.system",
    "pty.spawn",
    "runpy.run_path",
    "sklearn.base.clone",
    "sklearn.externals.joblib.numpy_pickle.load",
    "sklearn.isotonic.IsotonicRegression",
    "sklearn.pipeline.Pipeline",
    "sklearn.utils._testing._delete_folder",
    "sklearn.utils.deprecation.deprecated",
    "spacer_tasks.storage.delete",
    "subprocess.check_output",
    "torch.load",
    "torch.storage._load_from_bytes",
    "types.FunctionType",
    "webbrowser.open",
)
NAMES = {
    **{name: inside(call(*module_and_name(name), RUN)) for name in FORBIDDEN},
    **{f"os.system, protocol {n}": pickle.dumps(Calls(os.system, COMMAND), n) for n in range(2, 6)},
    "eval": pickle.dumps(Calls(eval, f"__import__('os').system({COMMAND!r})"), 2),
    "exec": pickle.dumps(Calls(exec, f"import os; os.system({COMMAND!r})"), 4),
    "getattr": inside(call("__builtin__", "getattr", text("os"), text("system"))),
    "nested": pickle.dumps([[{"a": (1, Calls(os.system, COMMAND))}]], 2),
    "partial": pickle.dumps(functools.partial(os.system, COMMAND), 2),
    "methodcaller": pickle.dumps(operator.methodcaller("system", COMMAND), 2),
    "names from the stack": PROTO4 + of_stack("posix", "system") + RUN + b"\x85R.",
    "names from the memory": PROTO4 + text("posix") + b"\x94" + text("system") + b"\x94"
    + b"](h\x00h\x01\x93" + RUN + b"\x85Re.",
    "a dotted name": PROTO4
    + of_stack("sklearn.calibration", "CalibratedClassifierCV.__init__.__globals__") + b".",
    "a dotted name of numpy": PROTO4 + of_stack("numpy", "dtype.__reduce__") + b")R.",
    "a known name elsewhere": PROTO4 + of_stack("posix", "CalibratedClassifierCV") + b")\x81.",
    "a name with spaces": PROTO + b"cnumpy dtype\nx\n)R.",
    "a name with escapes": PROTO + b"cposi\\x78\nsystem\n" + RUN + b"\x85R.",
}  # fmt: skip
INSTRUCTIONS = {
    "INST": PROTO + b"(" + RUN + b"iposix\nsystem\n.",
    "OBJ": PROTO + b"(" + CALIBRATED + RUN + b"o.",
    "NEWOBJ_EX": PROTO4 + CALIBRATED + b")}\x92.",
    "EXT1": PROTO + b"\x82\x01.",
    "EXT2": PROTO + b"\x83\x01\x00.",
    "EXT4": PROTO + b"\x84\x01\x00\x00\x00.",
    "PERSID": PROTO + b"Pposix.system\n.",
    "BINPERSID": PROTO + RUN + b"Q.",
    "NEXT_BUFFER": b"\x80\x05\x97.",
    "LONG4": PROTO + b"\x8b\xff\xff\xff\x7f.",
    "LONG": PROTO + b"L" + b"9" * 100_000 + b"L\n.",
    "POP": PROTO + b"0.",
}
CALLS = {
    "a class called with arguments": PROTO + CALIBRATED + RUN + b"\x85\x81.",
    "a function as a class": PROTO + DTYPE + b")\x81.",
    "an object called": PROTO + CALIBRATED + b")\x81)R.",
    "a text called": PROTO + text("posix.system") + RUN + b"\x85R.",
    "arguments that are no tuple": PROTO + DTYPE + RUN + b"R.",
    "ndarray called": inside(call("numpy", "ndarray", number(10**12))),
    "_reconstruct of another class": PROTO + RECONSTRUCT + b"(" + CALIBRATED + b"K\x00\x85NtR.",
    "another encoding": inside(call("_codecs", "encode", RUN, text("rot13"))),
    "a decompression": inside(call("_codecs", "encode", text("x" * 99), text("zlib"))),
    "bytes of a size": inside(call("__builtin__", "bytes", number(10**12))),
    "a deep tuple as arguments": PROTO + CALIBRATED + deep_tuple() + b"\x81.",
    "state of a class": PROTO + CALIBRATED + b"N}(" + text("__setstate__") + b"K\x01u\x86b.",
    "state of a function": PROTO + DTYPE + b"}(" + text("__code__") + b"K\x01ub.",
    "state of a number": PROTO + b"K\x01}b.",
    "state in slots": PROTO + CALIBRATED + b")\x81N}(" + text("__class__") + RUN + b"u\x86b.",
    "state as a list": PROTO + CALIBRATED + b")\x81]b.",
    "state given twice": PROTO + CALIBRATED + b")\x81}(" + text("__setstate__") + DTYPE + b"ub}b.",
}
ARRAYS = {
    "numbers that are objects": PROTO + SCALAR + DTYPE + b"(" + text("O8") + b"tR"
    + text(pickle.dumps(Calls(os.system, COMMAND), 0).decode("latin1")) + b"\x86R.",
    "objects": array(b"K\x01\x85", "O8", b"](NNe"),
    "objects by another name": array(b"K\x01\x85", "O", b"](NNe"),
    "objects as numbers": array(b"K\x01\x85", "f8", b"](NNe"),
    "fields": array(b"K\x01\x85", "V8", text("12345678")),
    "fields by state": PROTO + DTYPE + b"(" + text("f8") + b"tR(K\x03" + text("<")
    + b"N(" + text("a") + b"t}" + text("a") + b"Nstb.",
    "a part by state": PROTO + DTYPE + b"(" + text("f8") + b"tR(K\x03" + text("<") + b"NN}tb.",
    "an order that is none": PROTO + DTYPE + b"(" + text("f8") + b"tR(K\x03" + RUN + b"NNNtb.",
    "a deep tuple as a type": PROTO + DTYPE + deep_tuple() + b"\x85R.",
    "a shape of 10^12": array(number(10**12) + b"\x85", "f8", text("12345678")),
    "a shape that overflows": array(b"J\xff\xff\xff\x7f" * 3 + b"\x87", "f8", text("")),
    "a shape of many digits": array(number(256**200) * 2 + b"\x86", "f8", text("")),
    "a negative shape": array(b"J\xff\xff\xff\xff\x85", "f8", text("")),
    "a shape of truths": array(b"\x88\x85", "f8", text("12345678")),
    "a shape of a thousand": array(b"(" + b"K\x01" * 1000 + b"t", "f8", text("12345678")),
    "no shape": array(b"N", "f8", text("12345678")),
    "texts of 10^9 characters": array(b"K\x01\x85", "U999999999", text("1234")),
    "a type of many digits": array(b"K\x01\x85", "U" + "9" * 5000, text("1234")),
    "no bytes": array(b"K\x01\x85", "f8", b"N"),
    "a number with too few bytes": PROTO + SCALAR + DTYPE + b"(" + text("f8") + b"tR"
    + text("1234") + b"\x86R.",
    "a number without a type": PROTO + SCALAR + CALIBRATED + text("1234") + b"\x86R.",
}  # fmt: skip
DAMAGED = {
    "a text that claims 2^31 bytes": PROTO + b"X\xff\xff\xff\x7fabc.",
    "a text that claims 2^62 bytes": PROTO4 + b"\x8d" + struct.pack("<Q", 2**62) + b"abc.",
    "bytes that claim 2^64": PROTO4 + b"\x8e" + b"\xff" * 8 + b"abc.",
    "an array that claims 2^62 bytes": b"\x80\x05\x96" + struct.pack("<Q", 2**62) + b"abc.",
    "a name from bytes": PROTO4 + b"C\x05posixC\x06system\x93" + RUN + b"\x85R.",
    "a deep tuple as a name": PROTO + deep_tuple() + text("system") + b"\x93.",
    "a deep tuple as a key": PROTO + b"}" + deep_tuple() + b"Ns.",
    "a list as a key": PROTO + b"}]Ns.",
    "bytes beyond latin1": array(b"K\x01\x85", "f8", text("1234567\u20ac")),
    "marks only": PROTO + b"(" * 100_000 + b".",
    "the first byte": b"\x80",
    "no end": PROTO + b"N",
    "nothing on the stack": PROTO + b".",
    "something left on the stack": PROTO + b"NN.",
    "a tuple of nothing": PROTO + b"\x87.",
    "nothing to remember": PROTO + b"q\x00.",
    "nothing of that number": PROTO + b"h\x07.",
    "nothing to add to": PROTO + b"Na.",
    "a tuple to add to": PROTO + b")Na.",
    "no mark": PROTO + b"]Ne.",
    "a key without a value": PROTO + b"}(Nu.",
    "half a character": PROTO + b"X\x01\x00\x00\x00\xc3.",
    "other letters in a name": PROTO + "cpösix\nsystem\n)R.".encode(),
    "a name cut short": PROTO + b"cposix\nsyst",
}
OTHERWISE = {
    "protocol 6": (b"\x80\x06N.", "protocol 6, expected 2 to 5"),
    "nothing": (b"", "an empty file, expected a pickle"),
    "a number": (PROTO + b"K\x01.", "the file is no object"),
    "a memory of 2^32": (PROTO + b"Nr\xff\xff\xff\xff.", "the file is no object"),
    "a frame of 2^63 bytes": (PROTO4 + b"\x95" + b"\xff" * 8 + b"N.", "the file is no object"),
    "a list that holds itself": (PROTO + b"]q\x00h\x00a.", "the file is no object"),
    "lists in lists": (PROTO + b"]" * 100_000 + b"a" * 99_999 + b".", "the file is no object"),
    "tuples in tuples": (PROTO + deep_tuple() + b".", "the file is no object"),
    "an object that holds itself": (
        PROTO + CALIBRATED + b")\x81q\x00}" + text("cv") + b"h\x00sb.",
        "expected cv 'prefit'",
    ),
    "objects in objects": (
        PROTO
        + CALIBRATED
        + b"q\x00)\x81"
        + (b"}" + text("x") + b"h\x00)\x81") * 10_000
        + b"sb" * 10_000
        + b".",
        "expected cv 'prefit'",
    ),
    "lists of ten times the last one": (
        PROTO
        + b"](NNNNNNNNNNeq\x00"
        + b"".join(b"](" + bytes([ord("h"), n]) * 10 + b"eq" + bytes([n + 1]) for n in range(200))
        + b".",
        "it ends with loose parts",
    ),
    "a megabyte encoded a thousand times": (
        PROTO
        + text("x" * 2**20)
        + b"q\x00]("
        + (b"c_codecs\nencode\nh\x00" + text("latin1") + b"\x86R") * 1000
        + b"e\x86.",
        "unfolds to more than its own size",
    ),
    "a megabyte as a number a thousand times": (
        PROTO
        + b"B\x00\x00\x08\x00"
        + b"x" * 2**19
        + b"q\x00]("
        + (SCALAR + DTYPE + b"(" + text("S524288") + b"tRh\x00\x86R") * 1000
        + b"e\x86.",
        "unfolds to more than its own size",
    ),
    "a million instructions": (PROTO + b"]" + b"Na" * 500_000 + b".", "more than 500000 instr"),
}  # fmt: skip
HOSTILE: dict[str, tuple[bytes, str]] = {
    **{name: (data, "a pickle that is not read: it names '") for name, data in NAMES.items()},
    **{name: (data, f"not read: instruction {name} ") for name, data in INSTRUCTIONS.items()},
    **{name: (data, "not read: it (calls|makes|sets|gives) ") for name, data in CALLS.items()},
    **{name: (data, "not read: it has an? ") for name, data in ARRAYS.items()},
    **{name: (data, "a damaged pickle at byte ") for name, data in DAMAGED.items()},
    **OTHERWISE,
}

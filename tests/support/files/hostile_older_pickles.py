"""Hostile pickles of protocols 0 and 1, whose instructions are texts; as `hostile_pickles`."""

from __future__ import annotations

import os
import pickle

from tests.support.files.hostile_pickles import COMMAND, FORBIDDEN, Calls, module_and_name

RUN = f"S'{COMMAND}'\n".encode()
CALIBRATED = b"csklearn.calibration\nCalibratedClassifierCV\n"
OBJECT = b"c__builtin__\nobject\n"
RECONSTRUCTOR = b"ccopy_reg\n_reconstructor\n"
DTYPE = b"cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"


def call(module: str, name: str, *arguments: bytes) -> bytes:
    return f"c{module}\n{name}\n(".encode() + b"".join(arguments) + b"tR"


def made(cls: bytes = CALIBRATED, base: bytes = OBJECT, content: bytes = b"N") -> bytes:
    return RECONSTRUCTOR + b"(" + cls + base + content + b"tR"


def inside(part: bytes) -> bytes:
    """An attribute of an otherwise harmless classifier."""
    return made() + b"(dS'cv'\nS'prefit'\nsS'x'\n" + part + b"sb."


def array(shape: bytes, raw: bytes) -> bytes:
    return ARRAY + b"(I1\n" + shape + DTYPE + b"I00\n" + raw + b"tb."


def doubled(times: int) -> bytes:
    """Tuples that hold the one before twice: to hash, compare or write it takes 2^times steps."""
    parts = [b"(t"]
    for place in range(times):
        parts.insert(0, b"(")
        parts.append(b"p%d\ng%d\nt" % (place, place))
    return b"".join(parts)


NAMES = {
    **{
        name: inside(call(*module_and_name(name), RUN))
        for name in FORBIDDEN
        if name != "copy_reg._reconstructor"
    },
    **{f"os.system, protocol {n}": pickle.dumps(Calls(os.system, COMMAND), n) for n in (0, 1)},
    "eval": pickle.dumps(Calls(eval, f"__import__('os').system({COMMAND!r})"), 0),
    "nested": pickle.dumps([[{"a": (1, Calls(os.system, COMMAND))}]], 0),
    "a class of the reference's environment": made(b"csklearn.pipeline\nPipeline\n") + b".",
    "another reconstructor": inside(call("copyreg", "__newobj__", CALIBRATED)),
    "a name with escapes": b"cposi\\x78\nsystem\n(" + RUN + b"tR.",
    "a base that runs code": made(base=b"cctypes\nCDLL\n") + b".",
}
INSTRUCTIONS = {
    "INST": b"(" + RUN + b"iposix\nsystem\n.",
    "OBJ": b"(" + CALIBRATED + RUN + b"o.",
    "PERSID": b"Pposix.system\n.",
    "BINPERSID": RUN + b"Q.",
    "POP": b"NN0.",
    "POP_MARK": b"N(N1.",
    "DUP": b"N2.",
    # of later protocols
    "PROTO": b"N\x80\x02.",
    "NEWOBJ": CALIBRATED + b")\x81.",
    "NEWTRUE": b"\x88.",
    "TUPLE2": b"NN\x86.",
    "LONG1": b"\x8a\x01\x07.",
    "LONG4": b"\x8b\xff\xff\xff\x7f.",
    "EXT1": b"\x82\x01.",
    "BINBYTES": b"B\x01\x00\x00\x00a.",
    "SHORT_BINUNICODE": b"\x8c\x01a.",
    "STACK_GLOBAL": b"S'posix'\nS'system'\n\x93.",
    "FRAME": b"\x95" + b"\xff" * 8 + b"N.",
}
CALLS = {
    "a reconstruction with content": made(content=RUN) + b".",
    "a reconstruction of another base": made(base=CALIBRATED) + b".",
    "a reconstruction of a function": made(b"cnumpy\ndtype\n") + b".",
    "a reconstruction of object": made(OBJECT) + b".",
    "a reconstruction of a text": made(RUN) + b".",
    "a reconstruction of the reconstructor": made(RECONSTRUCTOR) + b".",
    "a reconstruction of two": RECONSTRUCTOR + b"(" + CALIBRATED + OBJECT + b"tR.",
    "object called": OBJECT + b"(tR.",
    "a text called": b"S'posix.system'\n(" + RUN + b"tR.",
    "arguments that are a list": RECONSTRUCTOR + b"(" + CALIBRATED + OBJECT + b"NlR.",
    "ndarray called": inside(call("numpy", "ndarray", b"L1000000000000L\n")),
    "another encoding": inside(call("_codecs", "encode", RUN, b"S'rot13'\n")),
    "state of a class": CALIBRATED + b"(dS'__setstate__'\nI1\nsb.",
    "state of a function": RECONSTRUCTOR + b"(dS'__code__'\nI1\nsb.",
    "state as a list": made() + b"(lb.",
    "state in slots": made() + b"(N(dS'__class__'\n" + RUN + b"stb.",
    "state given twice": made() + b"(db(db.",
}
ARRAYS = {
    "objects": array(b"(I1\nt", b"(lNa").replace(b"'f8'", b"'O8'"),
    "objects as numbers": array(b"(I1\nt", b"(lNa"),
    "a shape of 10^12": array(b"(L1000000000000L\nt", b"S'12345678'\n"),
    "a negative shape": array(b"(I-1\nt", b"S''\n"),
    "a shape of truths": array(b"(I01\nt", b"S'12345678'\n"),
    "a shape of many digits": array(b"(I" + b"9" * 99 + b"\nt", b"S'12345678'\n"),
    "numbers cut short": array(b"(I2\nt", b"S'12345678'\n"),
    "a type of 10^9 characters": array(b"(I1\nt", b"S''\n").replace(b"f8", b"S1000000000"),
}
DAMAGED = {
    "an int of many digits": b"I" + b"9" * 100_000 + b"\n.",
    "a long of many digits": b"L" + b"9" * 100_000 + b"L\n.",
    "a float of many digits": b"F" + b"9" * 100_000 + b"\n.",
    "a place of many digits": b"Np" + b"9" * 100_000 + b"\n.",
    "a number without its end": b"I1",
    "a number in hex": b"I0x10\n.",
    "a number with underscores": b"I1_0\n.",
    "a number that is a text": b"Ieval\n.",
    "a float that is a text": b"Feval\n.",
    "no number": b"I\n.",
    "a string without quotes": b"Stouch\n.",
    "a string with one quote": b"S'\n.",
    "a string of two quotes": b"S'touch\"\n.",
    "a string that goes on": b"S'touch\\'\n.",
    "a string that is cut short": b"S'touch",
    "a string with a name of a character": b"S'\\N{BULLET}'\n.",
    "a string with a wide character": b"S'\\u2022'\n.",
    "a string with an octal number": b"S'\\101'\n.",
    "a string with half an escape": b"S'\\x4'\n.",
    "a text with half an escape": b"V\\u12\n.",
    "nothing of that place": b"g7\n.",
    "nothing to remember": b"p0\n.",
    "no mark": b"Nl.",
    "a dict with a key without a value": b"(Nd.",
    "a dict with a list as a key": b"((lNd.",
    "a list as a key": b"(d(lNs.",
    "tuples of each other as a key": b"(d" + doubled(1000) + b"Ns.",
    "tuples of each other as a key at once": b"(" + doubled(1000) + b"Nd.",
    "a deep tuple as a key": b"(d" + b"(" * 100_000 + b"t" * 100_000 + b"Ns.",
    "an array as a key": b"(d" + array(b"(I1\nt", b"S'12345678'\n")[:-1] + b"Ns.",
    "marks only": b"(" * 100_000 + b".",
    "no end": b"N",
    "a name cut short": b"cposix\nsyst",
    "something left on the stack": b"NN.",
}
OTHERWISE = {
    "a number": (b"I1\n.", "the file is no object"),
    "tuples of each other": (doubled(1000) + b".", "the file is no object"),
    "lists in lists": (b"(l" * 100_000 + b"a" * 99_999 + b".", "the file is no object"),
    "tuples of each other for a setting": (
        made() + b"(dS'cv'\n" + doubled(1000) + b"sb.",
        "expected cv 'prefit'",
    ),
    "a megabyte encoded a thousand times": (
        b"S'"
        + b"x" * 2**20
        + b"'\np0\n("
        + b"c_codecs\nencode\n(g0\nS'latin1'\ntR" * 1000
        + b"l(t.",
        "unfolds to more than its own size",
    ),
    "a million instructions": (b"(l" + b"Na" * 500_000 + b".", "more than 500000 instr"),
    "the reconstructor in protocol 2": (
        b"\x80\x02" + made() + b"(db.",
        "a pickle that is not read: it names 'copy_reg._reconstructor'",
    ),
    "texts in protocol 2": (b"\x80\x02I1\n.", "not read: instruction INT "),
}
HOSTILE_OLDER: dict[str, tuple[bytes, str]] = {
    **{name: (data, "a pickle that is not read: it names '") for name, data in NAMES.items()},
    **{
        name: (data, f"not read: instruction {name} .*protocol 0 or 1")
        for name, data in INSTRUCTIONS.items()
    },
    **{name: (data, "not read: it (calls|makes|sets|gives) ") for name, data in CALLS.items()},
    **{name: (data, "not read: it has an? ") for name, data in ARRAYS.items()},
    **{name: (data, "a damaged pickle at byte ") for name, data in DAMAGED.items()},
    **OTHERWISE,
}

"""Damaged and hostile files in Caffe's formats: an error or an answer, in bounded memory."""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from tests.support.checkout import CHECKOUT
from tests.support.files.caffemodels import (
    FIXTURES,
    blob,
    caffemodel,
    layer,
    message,
    one_layer,
    varint,
)

#: of each file
MUTATIONS = 100
#: bytes beyond what the process had before: the files have 0.3 MB, their nets' blobs 30 MB
ROOM = 2**30
SEED = 20260101


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one to five changes, or cut, or with a piece of them repeated or gone."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 5)):
        # the outline, where most is to be broken, is denser at the start of a message
        place = rng.randrange(len(changed)) if rng.random() < 0.5 else rng.randrange(400)
        place = min(place, len(changed) - 1)
        kind = rng.randrange(6)
        if kind == 0:
            changed[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            changed[place] = rng.choice(b'\x00\x7f\x80\xff{}:"0-9')
        elif kind == 2:
            changed[place:place] = rng.choice([b"\xff" * 9 + b"\x7f", b"9" * 9, b" dim: ", b"{"])
        elif kind == 3:
            changed[place:place] = changed[place : place + rng.randrange(1, 200)]
        elif kind == 4:
            del changed[place : place + rng.randrange(1, 200)]
        else:
            del changed[max(1, len(changed) - rng.randrange(1, 2000)) :]
    return bytes(changed)


def mutations(seed: int) -> Iterator[tuple[bytes, bytes]]:
    """Definitions and weights, one of each pair mutated."""
    rng = random.Random(seed)
    for name in ("tiny_vgg16", "tiny_vgg16_v1", "misc"):
        definition = (FIXTURES / f"{name}.prototxt").read_bytes()
        weights = (FIXTURES / f"{name}.caffemodel").read_bytes()
        for _ in range(MUTATIONS):
            yield mutated(definition, rng), weights
            yield definition, mutated(weights, rng)


def limit_memory() -> None:
    """Let this process have no more memory than it has, and some room."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))


def try_mutated() -> None:
    """In a process of its own, which may use no more memory than this: count what comes."""
    import torch

    from spacer_tasks.exceptions import WeightsError
    from spacer_tasks.extractors.caffe.net import load_net

    torch.set_num_threads(1)
    limit_memory()
    counts = {"refused": 0, "answered": 0}
    for definition, weights in mutations(SEED):
        try:
            net = load_net(BytesIO(definition), BytesIO(weights))
        except WeightsError:
            counts["refused"] += 1
            continue
        if sum(counts.values()) % 3 == 0:
            with torch.inference_mode():
                net(torch.zeros(1, *net.input_shape))
        counts["answered"] += 1
    print(json.dumps(counts))


def test_mutated_files_give_an_error_or_an_answer() -> None:
    code = "from tests.fuzz.test_caffe_files import try_mutated; try_mutated()"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=CHECKOUT)
    assert ran.returncode == 0, ran.stderr[-2000:]
    counts = json.loads(ran.stdout)
    assert sum(counts.values()) == 3 * 2 * MUTATIONS
    # most break a file; a changed number or comment does not
    assert counts["refused"] > 2 * MUTATIONS
    assert counts["answered"] > MUTATIONS / 5


def try_hostile() -> None:
    """As `try_mutated`, with the files that follow; what each is told."""
    from spacer_tasks.exceptions import WeightsError
    from spacer_tasks.extractors.caffe.net import load_net

    limit_memory()
    for definition, weights in HOSTILE.values():
        with pytest.raises(WeightsError) as caught:
            load_net(BytesIO(definition), BytesIO(weights))
        print(caught.value)


TEXT = one_layer("ReLU").encode()
NOTHING = caffemodel({"it": []})
LARGE = 2**31 - 1
#: what files can ask for, by what they do
HOSTILE = {
    "lengths beyond the file": (TEXT, varint(100 << 3 | 2) + varint(2**60)),
    "a shape beyond the file": (
        one_layer(
            "Convolution", "convolution_param { num_output: 2000000000 kernel_size: 1 }"
        ).encode(),
        layer("it", [message(7, message(1, varint(2 * 10**9) + b"\x03\x01\x01"))] * 2),
    ),
    "an input that fills memory": (one_layer("ReLU", shape=(1, LARGE, LARGE, 9)).encode(), NOTHING),
    "padding that fills memory": (
        one_layer(
            "Convolution",
            "convolution_param { num_output: 1 kernel_size: 1 pad: 65000 bias_term: false }",
            (1, 1, 9, 9),
        ).encode(),
        layer("it", [message(7, message(1, b"\x01\x01\x01\x01")) + message(5, bytes(4))]),
    ),
    "a blob doubled again and again": (
        b'input: "b0" input_shape { dim: 1 dim: 9 }'
        + b"".join(
            b'layer { name: "c%d" type: "Concat" bottom: "b%d" bottom: "b%d" top: "b%d" }'
            % (each, each, each, each + 1)
            for each in range(200)
        ),
        NOTHING,
    ),
    "one layer's weights again and again": (
        b'input: "b0" input_shape { dim: 1 dim: 9 }'
        + b"".join(
            b'layer { name: "it" type: "PReLU" bottom: "b%d" top: "b%d" }' % (each, each + 1)
            for each in range(9000)
        ),
        layer("it", [blob(np.ones(9, np.float32))]),
    ),
    "messages nested without end": (b"a {" * 500_000, NOTHING),
    "an open text of megabytes": (b'a: "' + b"\\" * 2_000_000, NOTHING),
    "a number of a million digits": (b"a: " + b"9" * 10**6, NOTHING),
    "a million fields": (TEXT, b"\x08\x00" * 10**6),
    "a million layers": (TEXT, b"\xa2\x06\x00" * 10**6),
    "a circle of layers": (
        b'input: "x" input_shape { dim: 1 dim: 3 }'
        b'layer { name: "it" type: "Eltwise" bottom: "x" bottom: "b" top: "a" }'
        b'layer { name: "to" type: "Softmax" bottom: "a" top: "b" }',
        NOTHING,
    ),
    "a layer that reads itself": (
        b'input: "x" input_shape { dim: 1 dim: 3 }'
        b'layer { name: "it" type: "ReLU" bottom: "a" top: "a" }',
        NOTHING,
    ),
    "weights of no size": (
        one_layer("PReLU").encode(),
        layer("it", [message(7, message(1, b"\x00"))]),
    ),
    "weights of a negative size": (
        one_layer("PReLU").encode(),
        layer("it", [message(7, message(1, b"\xff" * 9 + b"\x01"))]),
    ),
}
EXPECTED = {
    "lengths beyond the file": "a field longer than the rest",
    "a shape beyond the file": "are 0 numbers",
    "an input that fills memory": "larger than any net's",
    "padding that fills memory": "larger than any net's",
    "a blob doubled again and again": "larger than any net's",
    "one layer's weights again and again": "a layer before it has the same name",
    "messages nested without end": "nested more than 16 deep",
    "an open text of megabytes": "is not of a .prototxt",
    "a number of a million digits": "is too long",
    "a million fields": "more than 200000 fields",
    "a million layers": "more than 200000 fields",
    "a circle of layers": "layer it (Eltwise): no layer or input before it gives its blob b",
    "a layer that reads itself": "layer it (ReLU): no layer or input before it gives its blob a",
    "weights of no size": "have shape (0,)",
    "weights of a negative size": "have shape (18446744073709551615,)",
}


def test_what_hostile_files_ask_for_is_refused_in_bounded_memory() -> None:
    code = "from tests.fuzz.test_caffe_files import try_hostile; try_hostile()"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=CHECKOUT)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert set(EXPECTED) == set(HOSTILE)
    for line, name in zip(ran.stdout.splitlines(), HOSTILE, strict=True):
        assert EXPECTED[name] in line
        assert len(line) < 400


def read_large(path: str) -> None:
    """In a process of its own: how much its memory grew while a file was read."""
    from spacer_tasks.extractors.caffe.net import load_net

    def peak() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        (line,) = [line for line in lines if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024

    text = one_layer("InnerProduct", "inner_product_param { num_output: 200000 }")
    before = peak()
    with Path(path).open("rb") as weights:
        load_net(BytesIO(text.encode()), weights)
    print(peak() - before)


def test_a_large_file_is_not_held_twice(tmp_path: Path) -> None:
    path = tmp_path / "large.caffemodel"
    values = [np.ones((200_000, 90), np.float32), np.ones(200_000, np.float32)]
    path.write_bytes(layer("it", map(blob, values)))
    size = path.stat().st_size
    assert size > 70e6
    module = "tests.fuzz.test_caffe_files"
    code = f"from {module} import read_large; read_large({str(path)!r})"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=CHECKOUT)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert 0.8 * size < int(ran.stdout) < 1.3 * size


def test_the_same_files_without_their_faults_are_taken() -> None:
    """The writer of these tests makes files that are taken where nothing is wrong with them."""
    from spacer_tasks.extractors.caffe.net import load_net

    weights = layer("it", [blob(np.ones(3, np.float32))])
    assert load_net(BytesIO(one_layer("PReLU").encode()), BytesIO(weights)).shapes["out"] == (
        3,
        5,
        6,
    )

"""Changed pickles of the reference's classifiers: a classifier or a refusal, and nothing else."""

from __future__ import annotations

import random

import numpy as np
import pytest

from spacer_tasks.classifiers.pyspacer import unpickler
from spacer_tasks.classifiers.pyspacer.reading import from_pyspacer_bytes
from spacer_tasks.exceptions import ClassifierFileError
from tests.fuzz.mutations import TIMES
from tests.support.checkout import FIXTURES_FOLDER
from tests.support.files.older_pickles import in_protocol

FIXTURES = FIXTURES_FOLDER / "pyspacer"


@pytest.mark.parametrize("protocol", [0, 1, None])
def test_a_changed_file_is_a_classifier_or_refused(protocol: int | None) -> None:
    """Bits, bytes and instructions changed, dropped, doubled and mixed; the same on each run."""
    names = ["int_lr.pkl", "older/0.18.2/bytes_mlp_4.pkl", "older/1.1.3/int_mlp_2.pkl"]
    files = [(FIXTURES / name).read_bytes() for name in names]
    instructions = b"".join(unpickler._INSTRUCTIONS)
    if protocol is not None:
        files = [in_protocol(data, protocol) for data in files]
        instructions = b"".join(unpickler._OLDER)
    generator = random.Random(20)
    read = 0
    for _ in range(2500 * TIMES):
        changed = bytearray(generator.choice(files))
        for _ in range(generator.choice([1, 1, 2, 8])):
            change(changed, generator, files, instructions)
        try:
            classifier = from_pyspacer_bytes(bytes(changed), "s3://b/x.pkl")
        except ClassifierFileError:
            continue
        read += 1
        rows = np.zeros((2, classifier.feature_dim))
        assert classifier.predict_proba(rows).shape == (2, len(classifier.classes))
    assert 0 < read < 1000 * TIMES


def change(
    data: bytearray, generator: random.Random, files: list[bytes], instructions: bytes
) -> None:
    at = generator.randrange(len(data))
    kind = generator.randrange(6)
    if kind == 0:
        data[at] ^= 1 << generator.randrange(8)
    elif kind == 1:
        data[at] = generator.randrange(256)
    elif kind == 2:
        data[at] = generator.choice(instructions)
    elif kind == 3:
        data.insert(at, generator.choice(instructions))
    elif kind == 4:
        # the protocol stays, or every such file would end at its first byte
        del data[max(at, 2) : at + generator.randrange(1, 60)]
    else:
        other = generator.choice(files)
        start = generator.randrange(len(other))
        data[at:at] = other[start : start + generator.randrange(100)]

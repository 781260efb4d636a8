"""The real reference and this project classify alike with pickles of protocols 0 and 1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spacer_tasks import operations
from tests.support.checkout import FIXTURES_FOLDER
from tests.support.environments.reference import run_reference
from tests.support.files.older_pickles import in_protocol

OLDER = FIXTURES_FOLDER / "pyspacer" / "older"
#: of the versions that the reference says it reads; labels that are bytes it cannot send
KINDS = {
    version: [path.stem for path in sorted((OLDER / version).glob("*.pkl"))
              if not path.stem.startswith("bytes")]
    for version in ("0.17.1", "0.17.1-protocol-0", "0.22.1", "1.1.3", "1.5.2-protocol-0")
}  # fmt: skip
CASES = [
    (version, kind, protocol) for version, kinds in KINDS.items() for kind in kinds
    for protocol in (0, 1)
]  # fmt: skip
REFERENCE = """
    from spacer.data_classes import DataLocation
    from spacer.messages import ClassifyFeaturesMsg
    from spacer.tasks import classify_features

    return {
        name: classify_features(
            ClassifyFeaturesMsg(
                'job',
                DataLocation('filesystem', args['folder'] + '/old.feats'),
                DataLocation('filesystem', args['folder'] + '/' + name),
            )
        ).serialize()
        for name in args['names']
    }
"""


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder of the files, and what the reference answers with each classifier."""
    folder = tmp_path_factory.mktemp("older")
    vectors = np.random.default_rng(2).normal(size=(9, 8)) * 2
    # as the reference stored features in those years
    (folder / "old.feats").write_text(json.dumps(vectors.tolist()))
    names = []
    for version, kind, protocol in CASES:
        data = (OLDER / version / f"{kind}.pkl").read_bytes()
        names.append(f"{version}-{kind}-{protocol}.model")
        (folder / names[-1]).write_bytes(in_protocol(data, protocol))
    return folder, run_reference(REFERENCE, {"folder": str(folder), "names": names})


@pytest.mark.parametrize(("version", "kind", "protocol"), CASES)
def test_a_classifier_of_python_2_answers_as_in_the_reference(
    version: str, kind: str, protocol: int, both: tuple[Path, dict[str, Any]]
) -> None:
    folder, answers = both
    name = f"{version}-{kind}-{protocol}.model"

    def at(file: str) -> dict[str, Any]:
        return {"storage_type": "filesystem", "key": str(folder / file), "bucket_name": None}

    ours = operations.classify_features(
        {"job_token": "job", "feature_loc": at("old.feats"), "classifier_loc": at(name)}
    )
    theirs = answers[name]
    assert ours.classes == theirs["classes"]
    assert ours.valid_rowcol is theirs["valid_rowcol"] is False
    np.testing.assert_allclose(
        [scores for _, _, scores in ours.scores],
        [scores for _, _, scores in theirs["scores"]],
        rtol=0,
        atol=1e-6,
    )

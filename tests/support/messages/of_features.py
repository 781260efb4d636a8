"""Messages about the feature files that the reference wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.checkout import FIXTURES_FOLDER

FIXTURES = FIXTURES_FOLDER / "pyspacer"


def training(folder: Path) -> dict[str, Any]:
    """The reference's training message, with its relative keys made absolute."""
    text = (FIXTURES / "str_lr.train_msg.json").read_text()
    message: dict[str, Any] = json.loads(text.replace("features_str/", f"{FIXTURES}/features_str/"))
    for name in ("model_loc", "valresult_loc"):
        message[name] = {"storage_type": "filesystem", "key": str(folder / name)}
    return message


def scoring(features: Path, classifier: Path) -> dict[str, Any]:
    """A message that asks for the scores of a feature file."""
    return {
        "job_token": features.name,
        "feature_loc": {"storage_type": "filesystem", "key": str(features)},
        "classifier_loc": {"storage_type": "filesystem", "key": str(classifier)},
    }

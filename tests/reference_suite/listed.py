"""The reference's tests that `spacer_tasks.compat` does not pass, each with its reason.

docs/from-pyspacer.md has the same list.
"""

from __future__ import annotations

PARTS = "tests parts of the reference's network, which this project does not have"
DOWNLOADS = "replaces `urlopen`, through which this project does not download"
#: how the name of a test begins, below the folder `tests`
REASONS = {
    "extractors/test_efficientnet.py": PARTS,
    "extractors/test_vgg16.py": "imports `load_net` and `Transformer`, wrappers of Caffe",
    "test_aws.py::TestGetS3Resource": "expects log lines of the logger `spacer.aws`",
    "test_storage.py::TestURLStorage::test_404": DOWNLOADS,
    "test_storage.py::TestURLStorage::test_incomplete_read": DOWNLOADS,
    "test_storage.py::TestURLStorage::test_timeout": DOWNLOADS,
    "test_storage.py::TestURLStorage::test_urlerror": DOWNLOADS,
    # of 0.14
    "test_tasks.py::TestTrainClassifier::test_feature_caching": (
        "counts downloads; each file is read once here, with and without a cache"
    ),
    "test_train_classifier.py::TestTrainerFactory::test_invalid": (
        "expects the error of an import; a name that is not registered is `UnknownTrainerError`"
    ),
    "test_train_classifier.py::TestTrainerFactory::test_not_a_trainer": (
        "expects the error of an import; a name that is not registered is `UnknownTrainerError`"
    ),
    "test_train_classifier.py::TestTrain::test_custom_batch_size": (
        "expects a call of a function inside the trainer"
    ),
}


def reason_of(test: str) -> str | None:
    """Why a test does not pass; None where it should."""
    return next((reason for start, reason in REASONS.items() if test.startswith(start)), None)

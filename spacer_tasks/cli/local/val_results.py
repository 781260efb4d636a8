"""Validation results that a person names."""

from __future__ import annotations

from pydantic import ValidationError

from spacer_tasks import storage
from spacer_tasks.cli.options import location
from spacer_tasks.data_classes.val_results import ValResults
from spacer_tasks.exceptions import InputError


def read_val_results(path: str) -> ValResults:
    """What `train` wrote beside a classifier.

    Raises
    ------
    InputError
        It is another file.
    StorageError, StorageUnavailableError
        It cannot be read.
    """
    data = storage.load(location(path))
    try:
        return ValResults.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"{path}: not the validation results that train writes beside a classifier"
            f" (NAME.valresult.json): {'.'.join(map(str, first['loc'])) or 'the file'}:"
            f" {first['msg']}"
        ) from error

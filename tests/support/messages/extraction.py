"""An extraction on S3 as a site asks for it."""

from __future__ import annotations

from typing import Any

from spacer_tasks import storage
from spacer_tasks.data_classes.locations import DataLocation
from tests.support.photos import DUMMY


def on_s3(bucket: str, key: str) -> DataLocation:
    return DataLocation(storage_type="s3", bucket_name=bucket, key=key)


def extraction(bucket: str, name: str, data: bytes) -> dict[str, Any]:
    """The message for an image, which is stored."""
    image_loc = on_s3(bucket, f"{name}.png")
    storage.store(image_loc, data)
    return {
        "job_token": name,
        "extractor": DUMMY.model_dump(mode="json"),
        "rowcols": [[3, 4], [5, 6]],
        "image_loc": image_loc.model_dump(),
        "feature_loc": on_s3(bucket, f"{name}.npz").model_dump(),
    }

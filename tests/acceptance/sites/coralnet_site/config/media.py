from __future__ import annotations

from django.conf import settings
from django.core.files.storage import FileSystemStorage
from spacer.data_classes import DataLocation


class Media(FileSystemStorage):
    """As far as locations of CoralNet's media storage: a bucket, and below it `media/`."""

    def spacer_data_loc(self, key: str) -> DataLocation:
        return DataLocation("s3", f"media/{key}", settings.MEDIA_BUCKET)

"""What the site keeps of each image."""

from __future__ import annotations

from django.db import models


class Photo(models.Model):
    """A photo and what became of it."""

    state = models.CharField(max_length=20, default="sent")
    task_id = models.CharField(max_length=64, blank=True)
    answer = models.JSONField(null=True)
    reason = models.TextField(blank=True)

    class Meta:
        app_label = "reef"

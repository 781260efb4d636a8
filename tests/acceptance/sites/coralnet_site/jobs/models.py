from __future__ import annotations

from django.db import models


class Job(models.Model):
    """A unit of the site's own work, as far as the queue's contract touches it."""

    job_name = models.CharField(max_length=100)
    status = models.CharField(max_length=20, default="pending")
    result_message = models.TextField(default="")
    #: how often a result was handled; more than once would be a mistake of the queue's
    handled = models.IntegerField(default=0)

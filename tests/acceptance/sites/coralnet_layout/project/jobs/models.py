from __future__ import annotations

from django.db import models


class Job(models.Model):
    """As much of CoralNet's as its report of stuck jobs asks for."""

    class Status(models.TextChoices):
        PENDING = "pending"
        IN_PROGRESS = "in_progress"
        SUCCESS = "success"
        FAILURE = "failure"

    job_name = models.CharField(max_length=100)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.PENDING)
    modify_date = models.DateTimeField()

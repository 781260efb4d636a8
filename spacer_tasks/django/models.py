"""The table of jobs that were sent."""

from __future__ import annotations

from django.db import models


class SentJobQuerySet(models.QuerySet):
    """Some of the jobs."""

    def waiting(self) -> SentJobQuerySet:
        """Those that are not collected."""
        return self.filter(collected_at=None)

    def collected(self) -> SentJobQuerySet:
        """Those whose answer was handed out."""
        return self.exclude(collected_at=None)

    def hand_out_again(self) -> int:
        """Let those that were collected wait again; how many they are."""
        return self.collected().update(collected_at=None, claim=None)


class SentJob(models.Model):
    """A job that was sent, until some days after its answer was handed out."""

    task_id = models.CharField(
        max_length=64, unique=True, help_text="By it the answer is found under the results prefix."
    )
    # no foreign key: the site may delete its job before the answer is collected
    job_id = models.BigIntegerField(db_index=True, help_text="The site's own number of the job.")
    task_name = models.CharField(max_length=100)
    queue = models.CharField(max_length=100)
    submitted_at = models.DateTimeField()
    job = models.BinaryField(
        null=True,
        help_text="What was sent, as compressed JSON;"
        " without its labels and most points if it went through storage.",
    )
    missing_since = models.DateTimeField(
        null=True, help_text="When it was first looked for and found nowhere."
    )
    collected_at = models.DateTimeField(null=True, help_text="When its answer was handed out.")
    claim = models.UUIDField(null=True, help_text="Which collection its answer was handed out to.")

    objects = SentJobQuerySet.as_manager()

    class Meta:
        verbose_name = "sent job"
        indexes = (
            # the waiting ones, oldest first; and those collected long ago, to be deleted
            models.Index(fields=["collected_at", "submitted_at"], name="spacer_sentjob_collection"),
        )

    def __str__(self) -> str:
        return f"job {self.job_id} ({self.task_name}, task {self.task_id})"

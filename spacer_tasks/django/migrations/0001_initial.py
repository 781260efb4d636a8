"""The table of sent jobs."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """Makes a table and touches no other."""

    initial = True
    dependencies = ()
    operations = (
        migrations.CreateModel(
            name="SentJob",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "task_id",
                    models.CharField(
                        help_text="By it the answer is found under the results prefix.",
                        max_length=64,
                        unique=True,
                    ),
                ),
                (
                    "job_id",
                    models.BigIntegerField(
                        db_index=True, help_text="The site's own number of the job."
                    ),
                ),
                ("task_name", models.CharField(max_length=100)),
                ("queue", models.CharField(max_length=100)),
                ("submitted_at", models.DateTimeField()),
                (
                    "job",
                    models.BinaryField(
                        help_text="What was sent, as compressed JSON;"
                        " without its labels and most points if it went through storage.",
                        null=True,
                    ),
                ),
                (
                    "missing_since",
                    models.DateTimeField(
                        help_text="When it was first looked for and found nowhere.", null=True
                    ),
                ),
                (
                    "collected_at",
                    models.DateTimeField(help_text="When its answer was handed out.", null=True),
                ),
                (
                    "claim",
                    models.UUIDField(
                        help_text="Which collection its answer was handed out to.", null=True
                    ),
                ),
            ],
            options={
                "verbose_name": "sent job",
                "indexes": [
                    models.Index(
                        fields=["collected_at", "submitted_at"], name="spacer_sentjob_collection"
                    )
                ],
            },
        ),
    )

"""What Django is told of the app."""

from __future__ import annotations

from django.apps import AppConfig


class SpacerTasksConfig(AppConfig):
    """The app; its label keeps its table apart from whatever else is called "django"."""

    name = "spacer_tasks.django"
    label = "spacer_tasks_django"
    verbose_name = "Spacer tasks"
    default_auto_field = "django.db.models.BigAutoField"

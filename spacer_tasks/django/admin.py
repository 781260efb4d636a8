"""Sent jobs in Django's admin: to look at, and to hand out again."""

from __future__ import annotations

import json
import zlib
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_permission_codename
from django.http import HttpRequest
from django.utils.html import format_html

from spacer_tasks.django.models import SentJob, SentJobQuerySet


class StateFilter(admin.SimpleListFilter):
    """By what became of a job."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [("waiting", "Waiting"), ("missing", "Missing"), ("collected", "Collected")]

    def queryset(self, request: HttpRequest, queryset: SentJobQuerySet) -> SentJobQuerySet:
        """The jobs in the state that was chosen."""
        if self.value() == "waiting":
            return queryset.waiting()
        if self.value() == "missing":
            return queryset.waiting().exclude(missing_since=None)
        if self.value() == "collected":
            return queryset.collected()
        return queryset


@admin.register(SentJob)
class SentJobAdmin(admin.ModelAdmin):
    """Read-only, but for one action, which needs the permission to change sent jobs."""

    list_display = (
        "job_id",
        "task_name",
        "queue",
        "state",
        "submitted_at",
        "missing_since",
        "collected_at",
        "task_id",
    )
    list_filter = (StateFilter, "task_name", "queue")
    search_fields = ("=job_id", "=task_id")
    search_help_text = "The site's number of a job, or a task id."
    # by its key the table is in order without a sort: it was filled in the order of submission
    ordering = ("-pk",)
    show_full_result_count = False
    fields = (*list_display, "claim", "sent")
    readonly_fields = ("state", "sent")
    actions = ("hand_out_again",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A record without its job would be reported lost."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: SentJob | None = None) -> bool:
        """There is nothing in a record to be changed by hand."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: SentJob | None = None) -> bool:
        """A job without its record would never come back."""
        return False

    def has_hand_out_permission(self, request: HttpRequest) -> bool:
        """Whether this user may let jobs be collected again."""
        codename = get_permission_codename("change", self.opts)
        return request.user.has_perm(f"{self.opts.app_label}.{codename}")

    def get_queryset(self, request: HttpRequest) -> SentJobQuerySet:
        """Without what was sent, which can be 64 KiB each and is read where it is shown."""
        return super().get_queryset(request).defer("job")

    @admin.display(ordering="collected_at")
    def state(self, job: SentJob) -> str:
        """What is known of a job."""
        if job.collected_at is not None:
            return "collected"
        return "waiting" if job.missing_since is None else "missing"

    @admin.display(description="What was sent")
    def sent(self, job: SentJob) -> str:
        """The job's JSON, indented."""
        if job.job is None:
            return f"It is under the results prefix: messages/{job.task_id}.json"
        sent = json.loads(zlib.decompress(job.job))
        return format_html("<pre>{}</pre>", json.dumps(sent, indent=1, ensure_ascii=False))

    @admin.action(description="Let the selected jobs be collected again", permissions=["hand_out"])
    def hand_out_again(self, request: HttpRequest, queryset: SentJobQuerySet) -> None:
        """For a site whose process ended between collecting answers and taking them in."""
        count = queryset.hand_out_again()
        self.message_user(request, f"Jobs that will be collected again: {count}")

"""The admin page, as a browser gets it, and the migration."""

from __future__ import annotations

import time
from typing import Any

from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.db import connections
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from records_cases import saved

from spacer_tasks.django.models import SentJob
from spacer_tasks.django.records import DjangoRecords

LISTED = "admin:spacer_tasks_django_sentjob_changelist"
ACTION = "hand_out_again"


class AdminTests(TestCase):
    def setUp(self) -> None:
        self.records = DjangoRecords()
        saved(self.records, 11, 22, 33, job=b'{"task_name": "<b>"}')
        saved(self.records, 44, job=None)
        self.records.missing(["task-22"], [])
        self.records.claim(["task-33"])
        self.client.force_login(User.objects.create_superuser("operator"))

    def listed(self, **query: str) -> list[int]:
        page = self.client.get(reverse(LISTED), query)
        self.assertEqual(page.status_code, 200)
        return [job.job_id for job in page.context["cl"].result_list]

    def page(self, name: str, *arguments: Any) -> Any:
        return self.client.get(reverse(f"admin:spacer_tasks_django_sentjob_{name}", args=arguments))

    def hand_out(self, *job_ids: int) -> Any:
        keys = SentJob.objects.filter(job_id__in=job_ids).values_list("pk", flat=True)
        data = {"action": ACTION, "_selected_action": list(keys)}
        return self.client.post(reverse(LISTED), data, follow=True)

    def test_jobs_are_listed_filtered_and_found(self) -> None:
        self.assertEqual(self.listed(), [44, 33, 22, 11])
        self.assertEqual(self.listed(state="waiting"), [44, 22, 11])
        self.assertEqual(self.listed(state="missing"), [22])
        self.assertEqual(self.listed(state="collected"), [33])
        self.assertEqual(self.listed(queue="classify", task_name="extract_features"), [])
        self.assertEqual(self.listed(q="11"), [11])
        self.assertEqual(self.listed(q="task-22"), [22])

    def test_the_list_does_not_read_what_was_sent(self) -> None:
        with CaptureQueriesContext(connections["default"]) as queries:
            self.listed()
        asked = [each["sql"] for each in queries if '"submitted_at"' in each["sql"]]
        self.assertEqual(len(asked), 1)
        self.assertNotIn('."job"', asked[0])

    def test_a_job_is_shown_with_what_was_sent_and_cannot_be_changed(self) -> None:
        inline = self.page("change", SentJob.objects.get(job_id=11).pk)
        self.assertContains(inline, "&quot;task_name&quot;: &quot;&lt;b&gt;&quot;")
        self.assertNotContains(inline, 'name="_save"')
        self.assertContains(
            self.page("change", SentJob.objects.get(job_id=44).pk), "messages/task-44.json"
        )
        self.assertEqual(self.page("add").status_code, 403)
        self.assertEqual(self.page("delete", SentJob.objects.get(job_id=11).pk).status_code, 403)

    def test_collected_jobs_are_handed_out_again(self) -> None:
        self.assertContains(self.hand_out(22, 33), "Jobs that will be collected again: 1")
        self.assertEqual(self.listed(state="collected"), [])
        self.assertEqual(self.records.claim(["task-33"]), {"task-33"})
        # one that was not collected is left as it was
        self.assertLess(self.records.missing(["task-22"], [])["task-22"], time.time())
        self.assertEqual(self.listed(state="missing"), [22])

    def test_who_may_only_look_cannot_hand_out(self) -> None:
        looker = User.objects.create_user("looker", is_staff=True)
        looker.user_permissions.add(Permission.objects.get(codename="view_sentjob"))
        self.client.force_login(looker)
        self.assertEqual(len(self.listed()), 4)
        self.hand_out(33)
        self.assertEqual(self.listed(state="collected"), [33])
        looker.user_permissions.add(Permission.objects.get(codename="change_sentjob"))
        self.hand_out(33)
        self.assertEqual(self.listed(state="collected"), [])

    def test_no_migration_is_missing(self) -> None:
        # ends the process where one is
        call_command("makemigrations", "spacer_tasks_django", check=True, dry_run=True, verbosity=0)
        self.assertEqual(self.records.waiting()[0].job_id, 11)

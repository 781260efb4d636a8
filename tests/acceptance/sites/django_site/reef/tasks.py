"""The site's callbacks: they run in the site's own worker."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from reef.models import Photo
from spacer_tasks import find_answer, load_answer


@shared_task
def image_done(result: dict[str, Any], photo_id: int) -> None:
    Photo.objects.filter(pk=photo_id).update(
        state="done", task_id=result["task_id"], answer=load_answer(result)
    )


@shared_task
def image_failed(task_id: str, photo_id: int) -> None:
    stored = find_answer(task_id)
    reason = f"{stored.error.kind}: {stored.error.message}" if stored and stored.error else "lost"
    Photo.objects.filter(pk=photo_id).update(state="failed", task_id=task_id, reason=reason)

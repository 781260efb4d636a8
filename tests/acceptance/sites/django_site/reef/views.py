"""The site's pages. What is posted is the message for the workers."""

from __future__ import annotations

import json
import sys

import celery
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from reef.models import Photo
from reef.tasks import image_done, image_failed
from spacer_tasks import InputError, classify_image, extract_features, process_job

COMPUTING = ("torch", "numpy", "sklearn", "PIL", "boto3")


@csrf_exempt
def send_photo(request: HttpRequest) -> JsonResponse:
    photo = Photo.objects.create()
    before = connection.connection
    sent = extract_features.apply_async(
        [json.loads(request.body)],
        link=image_done.s(photo.pk),
        link_error=image_failed.s(photo.pk),
    )
    kept = before is not None and connection.connection is before
    return JsonResponse({"photo": photo.pk, "task_id": sent.id, "connection_kept": kept})


@csrf_exempt
def send_job(request: HttpRequest) -> JsonResponse:
    photo = Photo.objects.create()
    job = process_job.s(json.loads(request.body))
    job.link(image_done.s(photo.pk))
    return JsonResponse({"photo": photo.pk, "task_id": job.delay().id})


@csrf_exempt
def ask(request: HttpRequest) -> JsonResponse:
    try:
        sent = classify_image.delay(json.loads(request.body))
    except InputError as error:
        return JsonResponse({"error": str(error)}, status=400)
    return JsonResponse({"task_id": sent.id})


def show_photo(request: HttpRequest, photo_id: int) -> JsonResponse:
    photo = Photo.objects.get(pk=photo_id)
    return JsonResponse(
        {
            "state": photo.state,
            "task_id": photo.task_id,
            "answer": photo.answer,
            "reason": photo.reason,
        }
    )


def show_process(request: HttpRequest) -> JsonResponse:
    return JsonResponse(
        {
            "current_app": celery.current_app.main,
            "tasks": sorted(name for name in celery.current_app.tasks if "celery." not in name),
            "computing": [name for name in COMPUTING if name in sys.modules],
        }
    )

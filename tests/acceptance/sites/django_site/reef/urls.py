"""The site's pages."""

from __future__ import annotations

from django.urls import path

from reef import views

urlpatterns = [
    path("photos/", views.send_photo),
    path("photos/<int:photo_id>/", views.show_photo),
    path("jobs/", views.send_job),
    path("questions/", views.ask),
    path("process/", views.show_process),
]

"""A survey site: it installs the base package, sends images and keeps what comes back."""

from reef.celery import app as celery_app

__all__ = ["celery_app"]

"""The site's settings for its own tests: no servers, no workers."""

from __future__ import annotations

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS

SPACER_QUEUE_CHOICE = "spacer_tasks.testing.coralnet.InProcessQueue"
INSTALLED_APPS = [*INSTALLED_APPS, "spacer_tasks.django"]
